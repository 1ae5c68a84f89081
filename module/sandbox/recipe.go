package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// fromRecipe is a provider that is played from a recipe. It agrees with the sidecar
// by construction: it is for trying an application, and proves nothing of the rule.
type fromRecipe struct {
	name         string
	program      *recipe.Program
	peer         *recipe.Peer
	answer       *recipe.Template // or nil
	notification *recipe.Template // or nil
	notify       *url.URL         // or nil
}

func newFromRecipe(h *Handler, own protocol.Recipes) (*fromRecipe, error) {
	if _, err := protocol.Options(h.Scheme, own); err != nil {
		return nil, i18n.Errorf("there is no sandbox for %q: it is no recipe; caddy countersign recipe list shows those that ship", h.Scheme)
	}
	loaded, err := protocol.Config{Name: h.Scheme, Settings: h.Options}.Load(own)
	if err != nil {
		return nil, err
	}
	f := &fromRecipe{name: h.Scheme}
	var ok bool
	if f.program, ok = loaded.(*recipe.Program); !ok {
		return nil, i18n.Errorf("%s is written in Go; a sandbox plays recipes", h.Scheme)
	}
	if f.peer, err = f.program.Peer(); err != nil {
		return nil, err
	}
	d := f.program.Describe()
	for _, t := range []struct {
		word, text string
		has        bool
		to         **recipe.Template
	}{{"answer", h.Answer, d.Request != nil, &f.answer}, {"notification", h.Notification, d.Notification != nil, &f.notification}} {
		if t.text == "" {
			continue
		}
		if !t.has {
			return nil, i18n.Errorf("the recipe %s has nothing that %s could be for; remove it", h.Scheme, t.word)
		}
		if *t.to, err = f.peer.ParseTemplate(t.text); err != nil {
			return nil, i18n.Errorf("%s: %w", t.word, err)
		}
	}
	if h.Notify != "" {
		if d.Notification == nil {
			return nil, i18n.Errorf("the recipe %s has no notifications; remove notify", h.Scheme)
		}
		if f.notify, err = url.Parse(h.Notify); err != nil {
			return nil, i18n.Errorf("notify must be an http or https address, not %q", h.Notify)
		}
	}
	if d.Request == nil && h.Notify == "" {
		return nil, i18n.Errorf("the recipe %s has notifications only; add: notify <address>, and POST to …/send-notification", h.Scheme)
	}
	return f, nil
}

// isTrigger reports whether a request asks for a notification.
func isTrigger(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/send-notification")
}

func (f *fromRecipe) accepts(method string) bool {
	d := f.program.Describe()
	return d.Request != nil && slices.Contains(d.Methods, method)
}

func (f *fromRecipe) refuses(r *http.Request) (status int, why string) {
	switch d := f.program.Describe(); {
	case isTrigger(r) && f.notify == nil:
		return http.StatusNotFound, "this sandbox does not know where notifications go; add: notify <address>"
	case isTrigger(r):
	case d.Request == nil:
		return http.StatusNotFound, f.name + " has notifications only; POST to a path that ends in /send-notification has one sent"
	case !f.accepts(r.Method):
		return http.StatusMethodNotAllowed, f.name + " has the methods " + strings.Join(d.Methods, ", ")
	}
	return 0, ""
}

// message returns the request as it came, with the path that it had when it left.
func (q *question) message() *message.Message {
	r := q.request
	m := message.New(message.Request)
	m.Method, m.Host, m.Scheme, m.Header, m.Wire = r.Method, r.Host, "http", r.Header.Clone(), q.text
	if r.TLS != nil {
		m.Scheme = "https"
	}
	u := r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		u = original.URL
	}
	m.Path, m.Query = u.EscapedPath(), u.RawQuery
	return m
}

func (f *fromRecipe) member(q *question, name string) (string, bool) {
	format := message.Format{}
	if d := f.program.Describe(); d.Request != nil && !isTrigger(q.request) {
		format = d.Request.Format
	}
	m := q.message()
	if err := format.Read(m); err != nil || m.Payload == nil {
		return "", false
	}
	value, ok := m.Payload.Get(body.Path{name})
	if !ok || value.Kind() != body.String {
		return "", false
	}
	return string(value.Text()), true
}

func (f *fromRecipe) play(q *question) provider.Answer {
	received, refusal := f.peer.Receive(q.message(), q.keys, q.now)
	if scheme.ReasonOf(refusal) == scheme.NeedsKeys {
		return provider.Unable(refusal)
	}
	payload := f.peer.Default(message.Answer, received, refusal)
	var err error
	if refusal == nil && f.answer != nil {
		if payload, err = f.peer.Fill(f.answer, received, q.now); err != nil {
			return provider.Unable(err)
		}
	}
	m, err := f.peer.Answer(received, payload, recipe.Sending{Keys: q.keys, Now: q.now, Status: q.status, Fault: recipe.Fault(q.fault)})
	if err != nil {
		return provider.Unable(err)
	}
	answer := provider.Answer{Status: http.StatusOK, ContentType: m.Header.Get("Content-Type"), Header: m.Header, Body: m.Wire, OK: refusal == nil}
	if refusal != nil {
		answer.Seen = "made from the recipe " + f.name + "; refused: " + refusal.Error()
		return answer
	}
	answer.Seen = "made from the recipe " + f.name + "; verified"
	if received.Plain != nil {
		answer.Seen += ": " + string(received.Plain.Source())
	}
	if f.notify != nil && q.fault == "" {
		n, err := f.notificationFor(q, received, nil)
		if err != nil {
			return provider.Unable(i18n.Errorf("making the notification: %w", err))
		}
		answer.Notification = n
	}
	return answer
}

// notificationFor makes the notification of a request, or of members that somebody
// gives.
func (f *fromRecipe) notificationFor(q *question, received *recipe.Received, given *body.Object) (*provider.Notification, error) {
	to := message.New(message.Notification)
	to.Method, to.Scheme, to.Host, to.Path, to.Query = http.MethodPost, f.notify.Scheme, f.notify.Host, f.notify.EscapedPath(), f.notify.RawQuery
	if to.Path == "" {
		to.Path = "/"
	}
	payload := given
	var err error
	switch {
	case given != nil:
	case f.notification != nil:
		payload, err = f.peer.Fill(f.notification, received, q.now)
	default:
		payload = f.peer.Default(message.Notification, received, nil)
	}
	if err != nil {
		return nil, err
	}
	m, err := f.peer.Notification(to, payload, recipe.Sending{Keys: q.keys, Now: q.now, Fault: recipe.Fault(q.fault)})
	if err != nil {
		return nil, err
	}
	set := q.keys
	return &provider.Notification{
		ContentType: m.Header.Get("Content-Type"), Header: m.Header, Query: m.Query, Body: m.Wire,
		Signed: func(status int, header http.Header, answer []byte) bool {
			return f.peer.Acknowledged(status, header, answer, set, q.now) == nil
		},
	}, nil
}

// sent is the result of a notification that a client has requested.
type sent struct {
	Status       int    `json:"status"`
	Answer       string `json:"answer"`
	Acknowledged bool   `json:"acknowledged"`
	Error        string `json:"error,omitempty"`
}

// serveTrigger sends a notification once, with the members of the body, and answers
// with the result.
func (h *Handler) serveTrigger(w http.ResponseWriter, f *fromRecipe, q *question, fault fault) (err error) {
	refuse := func(err error) error {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	if fault.name != "" && fault.ofMessage == "" {
		return refuse(i18n.Errorf("the fault %s is one of answers; a notification has bad_signature, wrong_key, tampered and unsigned", fault.name))
	}
	if q.keys, err = h.keys(q); err != nil {
		return refuse(i18n.Errorf("the sandbox has no keys: %w", err))
	}
	var given *body.Object
	if len(strings.TrimSpace(string(q.text))) > 0 {
		if given, err = body.Parse(q.text); err != nil {
			return refuse(i18n.Errorf("the body holds the members of the notification, as JSON: %w", err))
		}
	}
	n, err := f.notificationFor(q, nil, given)
	if err != nil {
		return refuse(i18n.Errorf("the notification could not be made: %w", err))
	}
	var result sent
	status, header, answer, err := h.notifier.post(*n)
	if err != nil {
		result.Error = err.Error()
	} else {
		result = sent{Status: status, Answer: string(answer), Acknowledged: n.Stops(status, header, answer)}
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(result)
}
