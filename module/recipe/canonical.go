package recipe

import (
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Canonical returns the canonical string of a message on the wire, without secrets: of
// the last signature of a request, which covers the most, or of the first one of an
// answer or a notification. It neither verifies nor needs keys, unless a serial
// number is signed. Its errors are *scheme.Error.
func (p *Program) Canonical(m *message.Message) ([]byte, error) {
	m = m.Fresh()
	e := &env{p: p, m: m, keys: new(keys.Set), zone: china}
	var t *text
	switch {
	case m.Kind == message.Request && p.request != nil && len(p.request.signs) > 0:
		t, e.zone = p.request.signs[len(p.request.signs)-1].text, p.request.zone
	case m.Kind == message.Answer && p.answer != nil:
		t, e.zone = p.answer.verifies[0].text, p.answer.zone
	case m.Kind == message.Notification && p.notification != nil:
		t, e.zone = p.notification.verifies[0].text, p.notification.zone
	default:
		return nil, scheme.Failf(scheme.Invalid, "%s has no signature for a message that is a %s", p.name, m.Kind)
	}
	made, _, err := t.signed(e)
	return made.Canonical, err
}
