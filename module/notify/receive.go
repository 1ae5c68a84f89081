package notify

import (
	"mime"
	"net/http"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/proxy"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// message is a notification as it came.
type message struct {
	scheme.Notification
	raw []byte // the body
}

// text is the text of a member that is a string, or of a parameter.
func (m *message) text(name string) (string, bool) {
	if m.Body == nil {
		return m.param(name)
	}
	member, ok := m.Body.Get(name)
	if !ok || member.Kind() != body.String {
		return "", false
	}
	return string(member.Text()), true
}

func (m *message) param(name string) (string, bool) {
	for _, p := range m.Form {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// receive reads a notification and verifies nothing.
func (n *notification) receive(r *http.Request) (*message, *problem.Problem) {
	if r.Method != http.MethodPost && !(n.h.rule.Form && r.Method == http.MethodGet) {
		return nil, n.h.methodNotAllowed()
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return nil, invalid("the body is encoded; a notification has no Content-Encoding")
	}
	raw, p := proxy.ReadBody(r, n.h.MaxRequestBody)
	switch {
	case p != nil && p.Code == problem.InvalidRequest:
		return nil, invalid("the body could not be read whole")
	case p != nil:
		return nil, p
	}
	n.entry.RequestBytes = len(raw)
	m := &message{raw: raw}
	if n.h.rule.Form {
		return m, m.readForm(r)
	}
	return m, m.readJSON(r)
}

// methodNotAllowed names the methods that are taken: a form may come in the
// query of a GET as well.
func (h *Handler) methodNotAllowed() *problem.Problem {
	p := problem.New(problem.MethodNotAllowed, "the provider's notifications are POST requests", nil)
	if h.rule.Form {
		p.Detail = "the provider's notifications are POST requests with a form, or GET requests with its parameters in the query"
		p.Allow = "GET, POST"
	}
	return p
}

func (m *message) readForm(r *http.Request) *problem.Problem {
	if len(m.raw) > 0 && !hasType(r, "application/x-www-form-urlencoded") {
		return invalid("the body is no form: the Content-Type must be application/x-www-form-urlencoded, in UTF-8")
	}
	var err error
	if m.Form, err = ParseForm(r.URL.RawQuery, string(m.raw)); err != nil {
		return invalid(describeForm(err))
	}
	return nil
}

// readJSON reads a JSON body. Providers are careless with its Content-Type; but
// one that has the application read something else than was verified is
// refused.
func (m *message) readJSON(r *http.Request) *problem.Problem {
	if len(r.Header["Content-Type"]) > 0 && !hasType(r, "application/json", "text/json", "text/plain") {
		return invalid("the body is no JSON: the Content-Type must be application/json, in UTF-8")
	}
	var err error
	if m.Body, err = body.Parse(m.raw); err != nil {
		return invalid("the body is refused: " + err.Error())
	}
	return nil
}

// hasType reports whether the Content-Type is one of those, in UTF-8.
func hasType(r *http.Request, allowed ...string) bool {
	types := r.Header["Content-Type"]
	if len(types) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil {
		return false
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return false
	}
	for _, a := range allowed {
		if media == a {
			return true
		}
	}
	return false
}

func invalid(detail string) *problem.Problem {
	return problem.New(problem.NotificationInvalid, detail, nil)
}
