package recipe

import (
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// peer is the provider's side of a recipe: it opens what the recipe seals.
type peer struct{ p *Program }

// VerifyRequest verifies and opens a request as the provider would, with the
// provider's key set: its role verify holds the merchant's public key. It returns
// the payload as JSON; what the recipe made a string of stays a string. A recipe
// that encrypts, or only sends a token, is an error that says so. Errors are
// *scheme.Error.
func (p *Program) VerifyRequest(m *message.Message, set *keys.Set, now time.Time) (plain []byte, err error) {
	if p.request == nil {
		return nil, scheme.Failf(scheme.Invalid, "%s has no requests", p.name)
	}
	if err := p.request.format.Read(m); err != nil {
		return nil, invalid(err)
	}
	verified, err := scheme.Open(peer{p}, scheme.Incoming{Message: m, Keys: set, Now: now})
	if err != nil {
		return nil, err
	}
	return verified.Body(), nil
}

func (r peer) Describe() *scheme.Description { return &r.p.description }

func (r peer) Complete(*scheme.Draft) error {
	return scheme.Failf(scheme.Invalid, "a provider seals no request")
}

// Covers are the signatures of a request.
func (r peer) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	b := r.p.request
	var signatures []scheme.Signature
	for _, s := range b.signs {
		e := &env{p: r.p, m: in.Message, keys: in.Keys, now: in.Now, zone: b.zone, fresh: make(map[string]string)}
		e.bytes = func() ([]byte, error) { return in.Message.Wire, nil }
		values, err := s.place.values(in.Message, e.fields())
		if err != nil {
			return nil, invalid(err)
		}
		if s.asBase64 && len(values) == 1 {
			plain, err := encoding.DecodeBase64(values[0])
			if err != nil {
				return nil, scheme.Failf(scheme.BadSignature, "%s is not written as the recipe says", s.place)
			}
			values = []string{string(plain)}
		}
		if s.as != nil && len(values) == 1 {
			bound, ok := bind(s.as, values[0], e)
			if !ok {
				return nil, scheme.Failf(scheme.BadSignature, "%s is not written as the recipe says", s.place)
			}
			values = []string{bound}
		}
		if s.place.kind == "body" && s.text.covers.bytes {
			in.Message.Payload.Remove(s.place.path)
			text, err := b.format.Write(in.Message.Payload)
			if err != nil {
				return nil, invalid(err)
			}
			e.bytes = func() ([]byte, error) { return text, nil }
		}
		made, err := s.make(e)
		if err != nil {
			return nil, err
		}
		made.Values = values
		signatures = append(signatures, made)
	}
	if len(signatures) == 0 {
		return nil, scheme.Failf(scheme.Invalid, "the recipe sends a token and signs nothing, which a sandbox does not verify yet")
	}
	return signatures, nil
}

// Reveal undoes the encryption, in the reverse order of the statements.
func (r peer) Reveal(in *scheme.Incoming) error {
	if len(r.p.request.encrypted) > 0 {
		return scheme.Failf(scheme.Invalid, "a request that is encrypted is not opened by a sandbox yet")
	}
	return nil
}

// bind reads a text that a template has made: it returns what stands for
// {signature}, and has e know what stands for times and nonces. A placeholder
// ends where the literal text behind it begins.
func bind(t template, text string, e *env) (signature string, ok bool) {
	for i, p := range t {
		if p.name == "" {
			if text, ok = strings.CutPrefix(text, p.literal); !ok {
				return "", false
			}
			continue
		}
		value := text
		if i+1 < len(t) {
			if t[i+1].name != "" {
				return "", false // nothing separates two placeholders
			}
			n := strings.Index(text, t[i+1].literal)
			if n < 0 {
				return "", false
			}
			value = text[:n]
		}
		text = text[len(value):]
		switch p.name {
		case "signature":
			signature = value
		case "nonce", "uuid", "time":
			name := p.name + "." + p.arg
			if known, twice := e.fresh[name]; twice && known != value {
				return "", false
			}
			e.fresh[name] = value
		}
	}
	return signature, text == ""
}

var (
	_ scheme.Scheme = peer{}
)
