package proxy

import (
	"bytes"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/wire"
)

// admit checks a request as far as it can be checked without keys, and reads it.
func (t *Transport) admit(r *http.Request) (*message.Message, *problem.Problem) {
	if p := t.checkHead(r); p != nil {
		return nil, p
	}
	raw, p := inbound.ReadBody(r, t.MaxRequestBody)
	if p != nil {
		return nil, p
	}
	m := message.New(message.Request)
	m.Method, m.Host, m.Scheme = r.Method, t.expected, "http"
	if t.TLSEnabled() {
		m.Scheme = "https"
	}
	m.Path, m.Query, m.Wire = r.URL.EscapedPath(), r.URL.RawQuery, raw
	m.Header = pick(r.Header, t.forward)
	m.Header.Del("Content-Type")
	inQuery := t.rules.Request.Format.Kind == message.Query && m.Query != "" // as it was sent to the provider
	if len(raw) == 0 && (!hasBody(r.Method) || inQuery) {
		return m, t.readQuery(m)
	}
	format, p := t.formatOf(r)
	if p != nil {
		return nil, p
	}
	o, err := format.Parse(bytes.TrimPrefix(raw, []byte("\ufeff")))
	if err != nil {
		detail := i18n.T("the request body is refused: %v", err)
		switch {
		case len(bytes.TrimSpace(raw)) == 0:
			detail = i18n.T("the request body is empty")
		case body.LooksLikeGzip(raw):
			detail = i18n.T("the request body is compressed with gzip: have the application send it as it is")
		case body.LooksLikeUTF16(raw):
			detail = i18n.T("the request body is UTF-16, not UTF-8: have the application write UTF-8 (in .NET Encoding.UTF8, not Encoding.Unicode)")
		case format.LooksLikeGBK(raw) && t.rules.Request.Format.Options.Charset != "":
			detail = i18n.T("the request body is not UTF-8; it looks like GBK: say so in the Content-Type, as in %s, or convert it to UTF-8", t.rules.Request.Format.MediaType())
		case format.LooksLikeGBK(raw):
			detail = i18n.T("the request body is not UTF-8; it looks like GBK: convert it to UTF-8, the sidecar sends what the provider wants")
		case !utf8.Valid(raw):
			detail = i18n.T("the request body is not UTF-8 near byte %d: convert it to UTF-8, the sidecar sends what the provider wants", body.ValidUTF8(raw))
		}
		return nil, problem.New(problem.InvalidRequest, detail, nil)
	}
	m.SetPayload(o)
	return m, nil
}

// readQuery reads the payload from the query, if the scheme's requests have it there.
func (t *Transport) readQuery(m *message.Message) *problem.Problem {
	if t.rules.Request.Format.Kind != message.Query {
		return nil
	}
	o, err := t.rules.Request.Format.Parse([]byte(m.Query))
	if err != nil {
		return problem.New(problem.InvalidRequest, i18n.T("the query is refused: %v", err), nil)
	}
	m.SetPayload(o)
	return nil
}

// hasBody reports whether a request of a method has a body.
func hasBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// checkHead refuses requests of web pages (cross-origin forms and fetches have Origin
// or Sec-Fetch-Site), methods that are not signed, and bodies with a content coding.
func (t *Transport) checkHead(r *http.Request) *problem.Problem {
	if len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return problem.New(problem.ForbiddenOrigin, i18n.T("the request has Origin or Sec-Fetch-Site and so comes from a web page; only applications may use the sidecar"), nil)
	}
	if !slices.Contains(t.rules.Methods, r.Method) {
		p := problem.New(problem.MethodNotAllowed, i18n.T("only %s requests are signed", strings.Join(t.rules.Methods, ", ")), nil)
		p.Allow = strings.Join(t.rules.Methods, ", ")
		return p
	}
	if r.URL.Path != "" && r.URL.Path[0] != '/' || r.URL.Opaque != "" {
		return problem.New(problem.InvalidRequest, i18n.T("the request target must be a path"), nil)
	}
	for _, coding := range r.Header["Content-Encoding"] {
		if name := strings.TrimSpace(coding); name != "" && !strings.EqualFold(name, "identity") {
			return problem.New(problem.UnsupportedMediaType, i18n.T("the request has the Content-Encoding %s; leave it out, the body must not be encoded", shown(coding)), nil)
		}
	}
	return nil
}

// pick returns those of the headers that have one of the names.
func pick(header http.Header, names []string) http.Header {
	picked := make(http.Header)
	for _, name := range names {
		if values := header[name]; len(values) > 0 {
			picked[name] = values
		}
	}
	return picked
}

// formatOf returns the format of a request of the application: JSON, or the one in
// which the provider wants it.
func (t *Transport) formatOf(r *http.Request) (message.Format, *problem.Problem) {
	types := r.Header["Content-Type"]
	own := t.rules.Request.Format
	theirs := own.Options.Charset
	own.Options.Charset = "" // from the application it is UTF-8, unless it says that it writes as the provider wants it
	own.Wrap = nil
	if len(types) == 1 {
		media, params, err := mime.ParseMediaType(types[0])
		charset := strings.ToLower(params["charset"])
		if theirs != "" && (charset == theirs || charset == "gb2312" && theirs == "gbk") {
			charset, own.Options.Charset = "", theirs
		}
		if err == nil && (charset == "" || charset == "utf-8" || charset == "utf8") {
			switch {
			case media == jsonType, strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
				return message.Format{Kind: message.JSON, Options: wire.Options{Charset: own.Options.Charset}}, nil
			case (own.Kind == message.Form || own.Kind == message.Query) && media == "application/x-www-form-urlencoded",
				own.Kind == message.XML && (media == "text/xml" || media == "application/xml"),
				own.Kind == message.Text && media == "text/plain":
				return own, nil
			}
		}
	}
	own.Options.Charset = ""
	wanted := i18n.T(jsonType)
	if own.Kind == message.Query {
		own.Kind = message.Form // the media type that it has in a body
	}
	if !own.IsJSON() {
		wanted = i18n.T("%s or %s", jsonType, own.MediaType())
	}
	detail := i18n.T("the request must have the Content-Type %v, in UTF-8; it has none", wanted)
	if strings.Join(types, "") != "" {
		detail = i18n.T("the request must have the Content-Type %v, in UTF-8; it has %s", wanted, shown(strings.Join(types, ", ")))
	}
	return own, problem.New(problem.UnsupportedMediaType, detail, nil)
}

// shown returns the value of a header for a person: printable, and cut.
func shown(text string) string { return body.ShowName([]byte(text)) }

// headerName is a name that a header can have (RFC 9110, section 5.1).
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// checkForward refuses headers that must not be forwarded.
func checkForward(name string) error {
	if !headerName.MatchString(name) || strings.Contains(name, "*") {
		return i18n.Errorf("forward_headers cannot name %q: it is no name of a header, and there are no patterns", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Idempotency-Key", "X-Idempotency-Key":
		return i18n.Errorf("forward_headers cannot name %s: with it Go's HTTP client sends a POST a second time when a connection breaks", name)
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Content-Length", "Content-Encoding", "Host", "Accept-Encoding":
		return i18n.Errorf("forward_headers cannot name %s: it belongs to the connection, not to the request", name)
	}
	return nil
}
