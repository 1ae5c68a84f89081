package hbsk

import (
	"bytes"
	"crypto/sha256"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// message is a filled-in template. Between two parts stands the secret.
type message struct {
	parts     [][]byte
	ambiguous error // as in scheme.Covered
}

// members finds the members of a message.
type members interface {
	Get(name string) (body.Member, bool)
}

// fill fills in a template. The key is that of the request, for answers, which
// have none of their own.
func (t template) fill(from members, key string) (message, error) {
	var few [canonical.Few]canonical.Pair // on the stack, as most templates are short
	pairs := few[:0]
	size := 0
	for _, p := range t {
		size += len(p.literal)
		if p.member == "" || p.secret() {
			continue
		}
		value, err := valueOf(from, p.member, key)
		if err != nil {
			return message{}, err
		}
		size += len(value)
		pairs = append(pairs, canonical.Pair{Name: p.name, Value: value})
	}
	text := canonical.Room(size)
	parts := make([][]byte, 0, 1)
	start, next := 0, 0
	for _, p := range t {
		switch {
		case p.secret():
			parts = append(parts, text[start:len(text):len(text)])
			start = len(text)
		case p.member == "":
			text = append(text, p.literal...)
		default:
			text = append(text, pairs[next].Value...)
			next++
		}
	}
	for i, p := range pairs {
		if harmless(p) {
			pairs[i].Value = nil
		}
	}
	return message{append(parts, text[start:]), canonical.Ambiguous(pairs)}, nil
}

// harmless reports whether a value cannot be mistaken in the filled-in template.
// Text in a JSON value cannot: what stands before and after a part of it is no
// JSON, and data is refused then. So a genuine answer may hold an address with a
// query.
func harmless(p canonical.Pair) bool {
	return bytes.IndexByte(p.Value, '&') < 0 || string(p.Name) == memberData && body.Valid(p.Value) == nil
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
	if len(m.parts) == 1 {
		return scheme.Covered{Part: memberData, Text: m.parts[0], Ambiguous: m.ambiguous, Own: true}
	}
	text := bytes.Join(m.parts, []byte("{"+placeholderSecret+"}"))
	if len(m.parts[len(m.parts)-1]) == 0 {
		text = bytes.TrimSuffix(text, []byte("{"+placeholderSecret+"}"))
	}
	return scheme.Covered{Part: memberData, Text: text, Ambiguous: m.ambiguous, Own: true}
}

// algorithm signs this message. It does not take the message from its caller,
// who has it without the secret. Charset, if not nil, changes it first.
func (s *Scheme) algorithm(m message, charset func([]byte) []byte) signature.Algorithm {
	return signature.LowerHex(func(_ []byte, secret *keys.Secret) []byte {
		parts := m.parts
		if charset != nil {
			parts = make([][]byte, len(m.parts))
			for i := range parts {
				parts[i] = charset(m.parts[i])
			}
		}
		text := parts[0]
		if len(parts) > 1 {
			text = bytes.Join(parts, secret.Bytes())
		}
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
	if err != nil {
		return nil, err
	}
	return m.covered().Text, nil
}
