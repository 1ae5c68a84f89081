package hongwen

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// covered is what is signed of a request or an answer: its members sorted by
// name, sign_type among them (client).
func (s *Scheme) covered(members []body.Member) scheme.Covered {
	var few [canonical.Few]canonical.Pair // on the stack, for most messages
	pairs := slices.Grow(few[:0], len(members))
	for _, m := range members {
		if string(m.Name()) == memberSign || m.IsEmpty() || !m.IsScalar() && s.Arrays == "skip" {
			continue
		}
		pairs = append(pairs, canonical.Pair{Name: m.Name(), Value: m.Text()})
	}
	return ofPairs(pairs)
}

func ofPairs(pairs []canonical.Pair) scheme.Covered {
	return scheme.Covered{Part: "*", Text: canonical.Joined(pairs), Ambiguous: canonical.Ambiguous(pairs), Own: true}
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	if message.Kind == scheme.KindNotification {
		return ofPairs(scheme.FormPairs(message.Form, memberSign)).Text, nil
	}
	return s.covered(message.Body.Members()).Text, nil
}
