package jeepay

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// covered is what is signed of the members of a request or of data. The string
// is the same for MD5 and RSA2: the "&" at its end belongs to it (vectors).
func covered(part string, members []body.Member) (scheme.Covered, error) {
	var few [canonical.Few]canonical.Pair // on the stack, for most messages
	pairs := slices.Grow(few[:0], len(members))
	for _, m := range members {
		if string(m.Name()) == memberSign || m.IsEmpty() {
			continue
		}
		value := m.Text()
		if !m.IsScalar() { // in an answer only (guess)
			value = m.Compact()
		}
		pairs = append(pairs, canonical.Pair{Name: m.Name(), Value: value})
	}
	return ofPairs(part, pairs)
}

func ofPairs(part string, pairs []canonical.Pair) (scheme.Covered, error) {
	text, err := canonical.Pieces(pairs)
	if err != nil {
		return scheme.Covered{}, scheme.Failf(scheme.Invalid, "the message cannot be signed: %w", err)
	}
	return scheme.Covered{Part: part, Text: text, Ambiguous: canonical.Ambiguous(pairs), Own: true}, nil
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	var c scheme.Covered
	var err error
	switch message.Kind {
	case scheme.KindRequest:
		c, err = covered("*", message.Body.Members())
	case scheme.KindResponse:
		data, ok := message.Body.Object(memberData)
		if !ok {
			return nil, errNoData()
		}
		c, err = covered(memberData, data.Members())
	default:
		c, err = ofPairs("*", scheme.FormPairs(message.Form, memberSign))
	}
	return c.Text, err
}
