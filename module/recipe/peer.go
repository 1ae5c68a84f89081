package recipe

import (
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Peer is the provider's side of a recipe: it opens what the recipe seals, and seals
// what the recipe opens. It is made from the same recipe: it shows whether an
// application works with the recipe, and not whether the recipe is right. Its key sets
// are the provider's: the role verify holds the merchant's public key, and the role
// sign the provider's private one.
type Peer struct {
	p     *Program
	known map[string]bool // fresh placeholders whose values a request has
}

// Peer returns the provider's side of the recipe. It returns an error where no provider
// could verify: a request lacks a value that its signature covers, or two signatures
// cover each other.
func (p *Program) Peer() (*Peer, error) {
	r := &Peer{p: p, known: make(map[string]bool)}
	if p.request != nil {
		for _, s := range p.request.statements {
			for _, tpl := range s.binds() {
				for _, part := range p.flat(tpl) {
					r.known[part.name+"."+part.arg] = true
				}
			}
		}
		for _, s := range p.request.signs {
			for _, part := range p.placeholders(s.text) {
				if isFresh(part) && !r.known[part.name+"."+part.arg] {
					return nil, s.line.errorf("the request does not tell the {%s.%s} that its signature covers, so that no provider could verify it; set a header or a member to it", part.name, part.arg)
				}
			}
		}
	}
	for _, b := range []*incomingBlock{p.answer, p.notification} {
		if b == nil {
			continue
		}
		if _, err := b.signingOrder(p); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// isFresh reports whether a placeholder has another value in each request.
func isFresh(p part) bool {
	return !p.request && (p.name == "time" || p.name == "nonce" || p.name == "uuid")
}

// binds returns the templates from which the fresh values of a request are read.
func (s statement) binds() []template {
	switch {
	case s.sign != nil && s.sign.as != nil:
		return []template{s.sign.as}
	case s.set != nil:
		return []template{s.set.value}
	}
	return nil
}

// placeholders returns all placeholders of a text, those of the texts in it too.
func (p *Program) placeholders(t *text) []part {
	var all []part
	for _, part := range t.parts {
		if inner := p.texts[part.arg]; part.name == "text" && inner != nil {
			all = append(all, p.placeholders(inner)...)
			continue
		}
		all = append(all, part)
	}
	return all
}

// flat returns a template with the texts in it that are templates themselves.
func (p *Program) flat(tpl template) template {
	var out template
	for _, part := range tpl {
		if inner := p.texts[part.arg]; part.name == "text" && !part.request && inner != nil && len(inner.steps) == 0 && inner.build.template != nil {
			out = append(out, p.flat(inner.build.template)...)
			continue
		}
		if n := len(out); n > 0 && part.name == "" && out[n-1].name == "" {
			out[n-1].literal += part.literal
			continue
		}
		out = append(out, part)
	}
	return out
}

// Received is a request that has verified at the peer.
type Received struct {
	// Plain is the payload, decrypted and without the signature. It is nil if the
	// request has no body.
	Plain *body.Object

	wire *message.Message // as it came
	zone *time.Location
}

// Receive verifies and decrypts a request as the provider would. It undoes the recipe's
// statements from the last to the first. Its errors are *scheme.Error. With an error it
// also returns a Received without members, to answer the request.
func (r *Peer) Receive(m *message.Message, set *keys.Set, now time.Time) (*Received, error) {
	b := r.p.request
	if b == nil {
		return nil, scheme.Failf(scheme.Invalid, "%s has no requests", r.p.name)
	}
	came := *m
	received := &Received{wire: &came, zone: b.zone}
	format := b.format
	format.Sealed = slices.ContainsFunc(b.encrypted, (*encryption).ofAll)
	if err := format.Read(&came); err != nil {
		return received, invalid(err)
	}
	m = came.Fresh()
	e := &env{p: r.p, m: m, keys: set, now: now, zone: b.zone, fresh: make(map[string]string), peer: true}
	in := &scheme.Incoming{Message: m, Keys: set, Now: now}
	u := &undoing{env: e, in: in, block: b, back: &incomingBlock{line: b.line, kind: message.Request, format: b.format, zone: b.zone, strings: b.strings}}
	if err := u.bindAll(); err != nil {
		return received, err
	}
	for _, s := range slices.Backward(b.statements) {
		if err := u.undo(s); err != nil {
			return received, err
		}
	}
	if m.Payload != nil {
		plain, err := body.Parse(m.Payload.Text())
		if err != nil {
			return received, invalid(err)
		}
		received.Plain = plain
	}
	return received, nil
}

// VerifyRequest does what Receive does, and returns only the members, as JSON.
func (p *Program) VerifyRequest(m *message.Message, set *keys.Set, now time.Time) (plain []byte, err error) {
	r, err := p.Peer()
	if err != nil {
		return nil, invalid(err)
	}
	received, err := r.Receive(m, set, now)
	if err != nil || received.Plain == nil {
		return nil, err
	}
	return received.Plain.Source(), nil
}
