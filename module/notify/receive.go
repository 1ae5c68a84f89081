package notify

import (
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/problem"
)

// receive reads a notification and verifies nothing.
func (n *notification) receive(r *http.Request) (*message.Message, *problem.Problem) {
	if !slices.Contains(n.h.rules.Notify.Methods, r.Method) {
		return nil, n.h.methodNotAllowed()
	}
	if p := checkEncoding(r); p != nil {
		return nil, p
	}
	raw, p := inbound.ReadBody(r, n.h.MaxRequestBody)
	switch {
	case p != nil && p.Reason == problem.InvalidRequest:
		return nil, invalid(p.Text())
	case p != nil:
		return nil, p
	}
	n.entry.RequestBytes = len(raw)
	m := message.New(message.Notification)
	m.Wire, m.Method, m.Header = raw, r.Method, r.Header.Clone()
	m.Scheme, m.Host = "http", r.Host
	if r.TLS != nil {
		m.Scheme = "https"
	}
	m.Path, m.Query = r.URL.EscapedPath(), r.URL.RawQuery
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		m.Path, m.Query = orig.URL.EscapedPath(), orig.URL.RawQuery // as the provider sent it
	}
	format := n.h.rules.Notification.Format
	if p := checkType(r, format, len(raw) == 0); p != nil {
		return nil, p
	}
	if err := format.Read(m); err != nil {
		if body.LooksLikeGzip(raw) {
			return nil, invalid(i18n.T("the body is compressed with gzip: have the provider send it as it is"))
		}
		if body.LooksLikeUTF16(raw) {
			return nil, invalid(i18n.T("the body is UTF-16, not UTF-8: have the provider send UTF-8"))
		}
		if format.LooksLikeGBK(raw) {
			return nil, invalid(i18n.T("the body is not UTF-8; it looks like GBK: have the provider send UTF-8, or say so in the recipe with receive … charset gbk"))
		}
		if !utf8.Valid(raw) {
			return nil, invalid(i18n.T("the body is not UTF-8 near byte %d: have the provider send UTF-8", body.ValidUTF8(raw)))
		}
		return nil, invalid(i18n.T("the body is refused: %v", err))
	}
	return m, nil
}

// checkEncoding refuses a body with a content coding. Values that are not a coding, such
// as UTF-8 or identity, are ignored: the signature decides.
func checkEncoding(r *http.Request) *problem.Problem {
	for _, value := range r.Header["Content-Encoding"] {
		for coding := range strings.SplitSeq(value, ",") {
			switch coding = strings.ToLower(strings.TrimSpace(coding)); coding {
			case "gzip", "x-gzip", "deflate", "compress", "br", "zstd":
				return invalid(i18n.T("the body is encoded with %s; a notification has no Content-Encoding", coding))
			}
		}
	}
	return nil
}

// methodNotAllowed names the methods that are taken: a form may come in the query
// of a GET as well.
func (h *Handler) methodNotAllowed() *problem.Problem {
	p := problem.New(problem.MethodNotAllowed, i18n.T("the provider's notifications are %s requests", strings.Join(h.rules.Notify.Methods, ", ")), nil)
	allow := slices.Clone(h.rules.Notify.Methods)
	slices.Sort(allow)
	p.Allow = strings.Join(allow, ", ")
	return p
}

// checkType refuses a Content-Type with which the application would read something else
// than was verified. A missing one is accepted for JSON.
func checkType(r *http.Request, format message.Format, empty bool) *problem.Problem {
	types := r.Header["Content-Type"]
	if len(types) == 0 && format.IsJSON() || empty {
		return nil
	}
	wanted := []string{"application/json", "text/json", "text/plain"}
	kind := format.Kind
	if format.Wrap != nil && format.Wrap.Kind != "" {
		kind = format.Wrap.Kind
	}
	switch kind {
	case message.Form:
		wanted = []string{"application/x-www-form-urlencoded"}
	case message.XML:
		wanted = []string{"text/xml", "application/xml", "text/plain"}
	case message.Text:
		return nil
	}
	got := ""
	if len(types) == 1 {
		got = types[0]
	}
	media, params, err := mime.ParseMediaType(got)
	charset := strings.ToLower(params["charset"])
	if err != nil || !slices.Contains(wanted, media) && !(format.IsJSON() && strings.HasSuffix(media, "+json")) ||
		charset != "" && charset != "utf-8" && charset != "utf8" && charset != strings.ToLower(format.Options.Charset) {
		name := "UTF-8"
		if format.Options.Charset != "" {
			name = format.Options.Charset
		}
		if strings.Join(types, "") == "" {
			return invalid(i18n.T("the Content-Type must be %s, in %s; there is none", wanted[0], name))
		}
		return invalid(i18n.T("the Content-Type must be %s, in %s; it is %s", wanted[0], name, body.ShowName(strings.Join(types, ", "))))
	}
	return nil
}

func invalid(detail i18n.Text) *problem.Problem {
	return problem.New(problem.NotificationInvalid, detail, nil)
}
