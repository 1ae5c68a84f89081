package easypay

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Canonical is the canonical string of bizData or, in a notification of the
// older family, of data.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	part, _, err := signedPart(message.Body, message.Kind)
	if err != nil {
		return nil, err
	}
	if message.Kind == scheme.KindRequest {
		for _, m := range part.Members() {
			if !m.IsScalar() {
				return nil, scheme.Failf(scheme.Invalid, "bizData.%s is an object or an array, which easypay does not sign; give the request as it went out, encrypted", m.Name())
			}
		}
	}
	return canonical.AppendJoined(nil, s.pairs(part)), nil
}

// signedPart finds the part of a message that is signed, and its name.
func signedPart(message *body.Object, kind scheme.Kind) (*body.Object, string, error) {
	if kind != scheme.KindNotification {
		part, ok := message.Object(memberPart)
		if !ok {
			return nil, "", scheme.Failf(scheme.Invalid, "the message has no member bizData that is an object")
		}
		return part, memberPart, nil
	}
	_, hasNew := message.Get(memberPart)
	_, hasOld := message.Get(memberOldPart)
	name := memberPart
	switch {
	case hasNew && hasOld:
		return nil, "", scheme.Failf(scheme.Invalid, "the notification has both bizData and data, of which only one is signed")
	case hasOld:
		name = memberOldPart
	}
	part, ok := message.Object(name)
	if !ok {
		return nil, "", scheme.Failf(scheme.Invalid, "the notification has neither an object bizData nor an object data")
	}
	return part, name, nil
}

// pairs is what is signed of a message that is signed already, in its order. Of
// an object or an array it is the exact JSON text.
func (s *Scheme) pairs(part *body.Object) []canonical.Pair {
	pairs := make([]canonical.Pair, 0, len(part.Members()))
	for _, m := range part.Members() {
		if !m.IsNull() {
			pairs = s.appendPair(pairs, m.Name(), m.Text())
		}
	}
	canonical.SortByName(pairs)
	return pairs
}

var _ scheme.Canonicalizer = (*Scheme)(nil)
