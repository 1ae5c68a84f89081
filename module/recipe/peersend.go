package recipe

import (
	"cmp"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Sending has the keys, the time and the fault with which a peer sends.
type Sending struct {
	Keys   *keys.Set
	Now    time.Time
	Status int   // of an answer; 0 is 200
	Fault  Fault // what goes wrong with the message, or ""
}

// Answer seals an answer as the provider would. Without a block answer the
// provider does not sign its answers, and the payload leaves as it is.
func (r *Peer) Answer(to *Received, payload *body.Object, with Sending) (*message.Message, error) {
	m := message.New(message.Answer)
	m.Status = cmp.Or(with.Status, 200)
	m.SetPayload(payload)
	if r.p.answer == nil {
		m.Wire = payload.Source()
		m.Header.Set("Content-Type", "application/json")
		return m, nil
	}
	return r.seal(r.p.answer, m, to, with)
}

// Notification seals a notification as the provider would. To is where it goes:
// its method, host, path and query, which the signature may cover. The recipe must
// have a block notification.
func (r *Peer) Notification(to *message.Message, payload *body.Object, with Sending) (*message.Message, error) {
	if r.p.notification == nil {
		return nil, scheme.Failf(scheme.Invalid, "%s has no notifications", r.p.name)
	}
	m := to.Fresh()
	m.Kind = message.Notification
	m.SetPayload(payload)
	return r.seal(r.p.notification, m, nil, with)
}

// seal carries out the inverse of the block's lines, in the opposite order.
func (r *Peer) seal(b *incomingBlock, m *message.Message, to *Received, with Sending) (*message.Message, error) {
	order, err := b.signingOrder(r.p)
	if err != nil {
		return nil, invalid(err)
	}
	s := &sealing{block: &requestBlock{format: b.format, zone: b.zone, strings: b.strings}, draft: &scheme.Draft{Message: m, Keys: with.Keys, Now: with.Now}, early: slices.ContainsFunc(b.before, (*encryption).ofAll)}
	s.env = env{p: r.p, m: m, keys: with.Keys, now: with.Now, zone: b.zone, bytes: s.leaving, fresh: make(map[string]string), peer: true}
	if to != nil {
		wire := to.wire
		s.request = &env{p: r.p, m: wire, keys: with.Keys, now: with.Now, zone: to.zone}
	}
	if b.format.Wrap != nil && b.format.Wrap.Kind != "" {
		m.Form = emptyTree()
	}
	m.Parts = make(map[string]string)
	s.setType()
	out := &outgoing{sealing: s, block: b, fault: with.Fault}
	steps := []func() error{
		out.complete,
		func() error { return out.mismatch(to) },
		func() error { return out.encryptAll(b.after) },
		func() error { return out.signAll(order) },
		out.tamper,
		out.undoStages,
		s.finish,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, invalid(err)
		}
	}
	return m, nil
}

// outgoing is an answer or a notification on its way out of the peer.
type outgoing struct {
	*sealing
	block *incomingBlock
	fault Fault
}

// encryptAll encrypts what the other side decrypts, in the opposite order.
func (o *outgoing) encryptAll(all []*encryption) error {
	for _, e := range slices.Backward(all) {
		other := mirror(e)
		if e.into != nil {
			if err := o.outOf(e); err != nil {
				return err
			}
		}
		var err error
		switch {
		case e.envelope != nil:
			err = o.seal(other)
		default:
			err = o.encrypt(other, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outOf moves the plaintext from the member into which it is decrypted to the member
// with the ciphertext.
func (o *outgoing) outOf(e *encryption) error {
	if o.m.Payload == nil || len(e.paths) != 1 {
		return nil
	}
	at := e.paths[0]
	plain := o.m.Payload.Text()
	if e.into.path == nil {
		o.m.SetPayload(emptyObject())
	} else {
		m, ok := o.m.Payload.Get(e.into.path)
		if !ok {
			return nil
		}
		plain = slices.Clone(m.Raw())
		if err := o.m.Payload.Set(e.into.path, []byte("{}")); err != nil {
			return err
		}
	}
	for _, tpl := range []template{e.nonce, e.aad, e.iv} { // what was made up for them stood in the plaintext
		for _, p := range tpl {
			if p.name == "body" && p.path != nil {
				if err := ensure(o.m.Payload, p.path, body.AppendQuote(nil, nonceOf(12))); err != nil {
					return err
				}
			}
		}
	}
	return ensure(o.m.Payload, at, plain)
}

// signingOrder returns the signatures of the block, those that another one covers
// first.
func (b *incomingBlock) signingOrder(p *Program) ([]*signature, error) {
	left := slices.Clone(b.verifies)
	var order []*signature
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(s *signature) bool {
			return !slices.ContainsFunc(left, func(other *signature) bool { return other != s && p.coversPlace(s.text, other.place) })
		})
		if i < 0 {
			return nil, left[0].line.errorf("the signatures of the block cover each other, so that none could be made first; leave one out of the other's text with except")
		}
		order = append(order, left[i])
		left = slices.Delete(left, i, i+1)
	}
	for _, s := range b.verifies {
		if s.place.kind == "body" && p.reads(s.text, "body", "") && b.format.Wrap == nil {
			return nil, s.line.errorf("%s stands in the body whose bytes it covers, so that nobody could make it", s.place)
		}
	}
	return order, nil
}

// reads reports whether a text has a placeholder of a name and of what is behind
// its dot.
func (p *Program) reads(t *text, name, arg string) bool {
	return slices.ContainsFunc(p.placeholders(t), func(q part) bool { return !q.request && q.name == name && q.arg == arg && q.path == nil })
}

// coversPlace reports whether a text covers what stands at a place.
func (p *Program) coversPlace(t *text, at place) bool {
	switch at.kind {
	case "body":
		return t.covers.member(at.path)
	case "header":
		return slices.ContainsFunc(t.covers.headers, func(name string) bool { return strings.EqualFold(name, at.name) }) && at.key == ""
	case "query":
		return slices.Contains(t.covers.queries, at.name)
	}
	return t.covers.field(at.name)
}

// signAll makes the signatures and puts them where the other side reads them.
func (o *outgoing) signAll(order []*signature) error {
	for _, s := range order {
		if err := o.joinAll(); err != nil {
			return err
		}
		if err := o.wrap(); err != nil {
			return err
		}
		text, err := o.signature(s)
		if err != nil {
			return err
		}
		if s.as != nil { // of verify: only text, and the signature
			e := o.env
			e.signature = text
			if text, err = s.as.text(&e); err != nil {
				return err
			}
		}
		if o.fault != Unsigned {
			if err := o.place(s.place, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// place puts a text to a place, which may be a part of a header.
func (o *outgoing) place(p place, text string) error {
	switch {
	case p.key != "":
		return o.addPart(p.name, p.key, text)
	case p.kind == partKind:
		o.m.Parts[p.name] = text
		return nil
	case p.kind == "body":
		if o.m.Payload == nil {
			o.m.SetPayload(emptyObject())
		}
		return ensure(o.m.Payload, p.path, body.AppendQuote(nil, text))
	case p.kind == "form" && o.m.Form == nil, p.kind == "query" && o.block.format.Kind == message.Query:
		return ensure(o.m.Payload, body.Path{p.name}, body.AppendQuote(nil, text))
	}
	return o.put(p, text, false)
}

// addPart appends key=value to a header.
func (o *outgoing) addPart(header, key, value string) error {
	if strings.ContainsAny(value, "\r\n\x00\"") {
		return scheme.Failf(scheme.Invalid, "a value for the header %s holds a quote, a line break or NUL", header)
	}
	if strings.ContainsAny(value, "=,; ") {
		value = `"` + value + `"`
	}
	piece := key + "=" + value
	if before := o.m.Header.Get(header); before != "" {
		piece = before + "," + piece
	}
	o.m.Header.Set(header, piece)
	return nil
}

// certificate returns the certificate that stands beside the peer's own key, as PEM.
func (o *outgoing) certificate(s *signature) (string, error) {
	key := o.keys.SignKey(s.id)
	if key == nil || key.Certificate == nil {
		return "", scheme.Failf(scheme.NeedsKeys, "the message brings the certificate of its key; put the certificate into sign.pem beside the key")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key.Certificate})), nil
}

// Acknowledged returns nil if the application's answer acknowledges a notification, so
// that the provider does not send it again, and otherwise an error with the reason.
func (r *Peer) Acknowledged(status int, header http.Header, answer []byte, set *keys.Set, now time.Time) error {
	rule := r.p.description.Notify
	if status/100 != 2 {
		return scheme.Failf(scheme.Invalid, "the status is %d", status)
	}
	if text := strings.TrimSpace(string(answer)); rule.Ack != "" && text != rule.Ack && !(rule.IgnoreCase && strings.EqualFold(text, rule.Ack)) {
		return scheme.Failf(scheme.Invalid, "the answer is not %q", rule.Ack)
	}
	s := r.p.ackSign
	if s == nil {
		return nil
	}
	m := message.New(message.Request)
	m.Wire, m.Header = answer, header.Clone()
	format, err := r.p.readAck(m)
	if err != nil {
		return err
	}
	e := &env{p: r.p, m: m, keys: set, now: now, zone: china, fresh: make(map[string]string), peer: true}
	u := &undoing{env: e, in: &scheme.Incoming{Message: m, Keys: set, Now: now}, block: &requestBlock{zone: china, format: format}}
	return u.verify(s)
}
