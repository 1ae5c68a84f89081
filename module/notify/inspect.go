package notify

import (
	"net/http"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/message"
)

// inspection collects what the inspector shows of a notification. A notification has
// one only where the inspector keeps messages.
type inspection struct {
	bodies recorder.Bodies
}

// inspectable makes the handler known to the inspector, if there is one.
func (h *Handler) inspectable(a *app.App) {
	h.hook = a.Hook()
	h.hook.AddRoute(&recorder.Route{
		Kind: recorder.Notification, Profile: h.Profile, Config: h.Scheme, Recipes: a.Recipes, Scheme: h.scheme,
		Reference: h.reference, Ring: h.ring,
	})
}

// inspect begins an inspection where messages are kept.
func (n *notification) inspect(r *http.Request) {
	if rec := n.h.hook.Recorder(); rec != nil {
		n.method, n.path = r.Method, r.URL.EscapedPath()
		if rec.Bodies() {
			n.inspection = new(inspection)
		}
	}
}

// reads records a notification as it was received.
func (i *inspection) reads(m *message.Message) {
	if i != nil && m != nil {
		i.bodies.Received = recorder.NewPart(m)
	}
}

// answers records the answer of the application.
func (i *inspection) answers(status int, text []byte) {
	if i != nil {
		m := message.New(message.Answer)
		m.Status, m.Wire = status, text
		i.bodies.Answered = recorder.NewPart(m)
	}
}

// inspected adds the notification, which has ended, to what the inspector shows.
func (n *notification) inspected() {
	r := n.h.hook.Recorder()
	if r == nil {
		return
	}
	rec := &recorder.Record{
		Kind: recorder.Notification, Entry: n.entry, Method: n.method, Path: n.path, Detail: n.detail, Diagnosis: n.diagnosis,
	}
	if n.verified != nil {
		rec.Signed = n.verified.Part()
	}
	if i := n.inspection; i != nil {
		b := &i.bodies
		b.Scheme = n.h.scheme
		if n.verified != nil {
			b.Opened = n.verified.Traces()
			m := message.New(message.Notification)
			m.Wire = n.text
			b.Handed = recorder.NewPart(m)
		}
		rec.Bodies = b
	}
	r.Add(rec, n.keys)
}
