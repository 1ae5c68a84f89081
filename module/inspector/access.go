package inspector

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// checkListeners refuses a server that others than this machine can reach.
func checkListeners(server *caddyhttp.Server) error {
	if server == nil {
		return i18n.Errorf("countersign_inspector: it is not known where the page would be served; put it into a site that binds 127.0.0.1")
	}
	for _, listen := range server.Listen {
		addr, err := caddy.ParseNetworkAddress(listen)
		if err != nil {
			return i18n.Errorf("countersign_inspector: the address %s: %w", listen, err)
		}
		if !addr.IsUnixNetwork() && !addr.IsFdNetwork() && !loopback(addr.Host) {
			return i18n.Errorf("countersign_inspector would be reached from other machines at %s: bind the site to 127.0.0.1, ::1 or a Unix socket (bind 127.0.0.1), or accept that with allow_remote and put authentication before it", listen)
		}
	}
	return nil
}

// loopback reports whether a host is this machine. A host that is empty is every
// address.
func loopback(host string) bool {
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// token authenticates the requests of the page that change something. Another site
// cannot read it.
var token = rand.Text()

// headerToken has the token.
const headerToken = "Countersign-Token"

// refusal is the reason for which a request is not served.
type refusal struct {
	status int
	text   i18n.Text
	allow  string
}

func (f *refusal) write(w http.ResponseWriter, r *http.Request) error {
	if f.allow != "" {
		w.Header().Set("Allow", f.allow)
	}
	return writeJSON(w, f.status, map[string]string{"error": f.text.In(languageOf(r))})
}

func forbidden(text i18n.Text) *refusal { return &refusal{status: http.StatusForbidden, text: text} }

// refuse refuses every request that does not come from a page of this origin or from an
// address that a user has typed. With DNS rebinding the Host is another one; the page
// of another site sends an Origin or Sec-Fetch-Site.
func (h *Handler) refuse(r *http.Request, method string) *refusal {
	if !h.AllowRemote {
		if !local(r) {
			return forbidden(i18n.T("the inspector is for this machine only"))
		}
		for name := range r.Header {
			if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
				return forbidden(i18n.T("the request came through a proxy, and the inspector is for this machine only; it needs allow_remote"))
			}
		}
	}
	if !h.knows(r.Host) {
		return forbidden(i18n.T("the Host is not this machine's; address the inspector as 127.0.0.1 or localhost, or name the host behind allow_remote"))
	}
	if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
		return &refusal{http.StatusMethodNotAllowed, i18n.T("only %s is served here", method), method}
	}
	if origins := r.Header["Origin"]; len(origins) > 0 && (len(origins) > 1 || !sameOrigin(origins[0], r.Host)) {
		return forbidden(i18n.T("the request comes from a page of another origin"))
	}
	navigates := r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" && !navigates {
		return forbidden(i18n.T("the request comes from a page of another site"))
	}
	if method != http.MethodPost {
		return nil
	}
	if got := r.Header.Get(headerToken); subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
		return forbidden(i18n.T("the token is missing or old; load the page again"))
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &refusal{status: http.StatusUnsupportedMediaType, text: i18n.T("the Content-Type must be application/json")}
	}
	return nil
}

// local reports whether both ends of the connection are on this machine.
func local(r *http.Request) bool {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		return false
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return err != nil || addr.Addr().Unmap().IsLoopback() // a Unix socket has no address
}

// knows reports whether a Host is one by which the page may be addressed.
func (h *Handler) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if loopback(host) {
		return true
	}
	if !h.AllowRemote {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || slices.ContainsFunc(h.Hosts, func(known string) bool { return strings.EqualFold(known, host) })
}

func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, host)
}

// secureHeader sets the headers of every answer: no content of other hosts, no scripts
// except those of the page, no frames, no cache, no access by other origins.
func secureHeader(header http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Cache-Control":                "no-store",
		"Vary":                         "Origin, Sec-Fetch-Site",
	} {
		header.Set(name, value)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(text)
	return err
}
