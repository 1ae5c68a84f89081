package hbsk

import (
	"bytes"
	"crypto/sha256"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// message is a filled-in template. Between two parts stands the secret.
type message struct {
	parts [][]byte
	pairs []canonical.Pair
}

// members finds the members of a message.
type members interface {
	Get(name string) (body.Member, bool)
}

// fill fills in a template. The key is that of the request, for answers, which
// have none of their own.
func (t template) fill(from members, key string) (message, error) {
	m := message{parts: make([][]byte, 1)}
	for _, p := range t {
		last := &m.parts[len(m.parts)-1]
		switch p.name {
		case "":
			*last = append(*last, p.literal...)
		case placeholderSecret:
			m.parts = append(m.parts, nil)
		default:
			value, err := valueOf(from, p.name, key)
			if err != nil {
				return message{}, err
			}
			*last = append(*last, value...)
			m.pairs = append(m.pairs, pairOf(p.name, value))
		}
	}
	return m, nil
}

// pairOf is what can be mistaken in the filled-in template. Text in a JSON value
// cannot: what stands before and after a part of it is no JSON, and data is
// refused then. So a genuine answer may hold an address with a query.
func pairOf(name string, value []byte) canonical.Pair {
	if name == memberData && body.Valid(value) == nil {
		value = nil
	}
	return canonical.Pair{Name: []byte(name), Value: value}
}

// valueOf is the text that stands for a member. An answer may lack all but time.
func valueOf(from members, name, key string) ([]byte, error) {
	m, ok := from.Get(name)
	missing := !ok || m.IsEmpty()
	switch {
	case missing && name == memberTime:
		return nil, scheme.Failf(scheme.Invalid, "the message has no time, which is signed")
	case missing && name == memberKey && key == "":
		return nil, scheme.Failf(scheme.Invalid, "the message has no key, which is signed; set developer_key")
	case missing && name == memberKey:
		return []byte(key), nil
	case missing:
		return nil, nil
	case !m.IsScalar(), name == memberData && m.Kind() != body.String:
		return nil, scheme.Failf(scheme.Invalid, "the member %s has the wrong type", name)
	case name == memberTime && !digits(m.Text()):
		return nil, scheme.Failf(scheme.Invalid, "the member time is not a number of seconds")
	}
	return m.Text(), nil
}

// covered is what is signed, with {secret} where the secret stands. At the end
// it is left out.
func (m message) covered() scheme.Covered {
	text := bytes.Join(m.parts, []byte("{"+placeholderSecret+"}"))
	if len(m.parts) > 1 && len(m.parts[len(m.parts)-1]) == 0 {
		text = bytes.TrimSuffix(text, []byte("{"+placeholderSecret+"}"))
	}
	return scheme.Covered{Part: memberData, Text: text, Pairs: m.pairs}
}

// algorithm signs this message. It does not take the message from its caller,
// who has it without the secret. Charset, if not nil, changes it first.
func (s *Scheme) algorithm(m message, charset func([]byte) []byte) signature.Algorithm {
	return signature.LowerHex(func(_, secret []byte) []byte {
		parts := m.parts
		if charset != nil {
			parts = make([][]byte, len(m.parts))
			for i := range parts {
				parts[i] = charset(m.parts[i])
			}
		}
		text := bytes.Join(parts, secret)
		if s.Digest == "sha256" {
			sum := sha256.Sum256(text)
			return sum[:]
		}
		return signature.HMACSHA256(text, secret)
	})
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(wire scheme.Wire) ([]byte, error) {
	t := s.responseMessage
	if wire.Kind == scheme.KindRequest {
		t = s.message
	}
	m, err := t.fill(wire.Body, s.DeveloperKey)
	return m.covered().Text, err
}
