package easypay

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// covered is what is signed of a part of a message: its members sorted by name.
// Each value is trimmed as Java's trim does and then left out if it is empty;
// in the message itself it stays. Of an object or an array, which only an
// answer may have, it is the exact JSON text.
func (s *Scheme) covered(name string, members []body.Member) scheme.Covered {
	var few [canonical.Few]canonical.Pair // on the stack, for most messages
	pairs := slices.Grow(few[:0], len(members))
	for _, m := range members {
		if m.IsNull() {
			continue
		}
		value := canonical.TrimJava(m.Text())
		if len(value) > 0 || s.Empty == "keep" {
			pairs = append(pairs, canonical.Pair{Name: m.Name(), Value: value})
		}
	}
	return scheme.Covered{Part: name, Text: canonical.Joined(pairs), Ambiguous: canonical.Ambiguous(pairs), Own: true}
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	find := partOf
	if message.Kind == scheme.KindNotification {
		find = notifiedPartOf
	}
	name, part, err := find(message.Body)
	if err != nil {
		return nil, err
	}
	if message.Kind == scheme.KindRequest {
		if err := checkScalars(part.Members()); err != nil {
			return nil, err
		}
	}
	return s.covered(name, part.Members()).Text, nil
}

// checkScalars refuses what a request cannot have: nobody says how easypay
// would sign an object or an array.
func checkScalars(members []body.Member) error {
	for _, m := range members {
		if !m.IsScalar() {
			return scheme.Failf(scheme.Invalid, "bizData.%s is an object or an array, which easypay does not sign; give it as a string, or name it in the option encrypt", m.Name())
		}
	}
	return nil
}

// partOf is the part of a request or an answer that is signed.
func partOf(message *body.Object) (string, *body.Object, error) {
	part, ok := message.Object(memberPart)
	if !ok {
		return "", nil, scheme.Failf(scheme.Invalid, "the message has no member bizData that is an object")
	}
	return memberPart, part, nil
}

// notifiedPartOf is the part of a notification that is signed: bizData or, in
// the older family, data. A notification with both is an attack: an application
// may read the one that is not signed.
func notifiedPartOf(notification *body.Object) (string, *body.Object, error) {
	parts, hasOld := 0, false
	for _, m := range notification.Members() {
		name := string(m.Name())
		if strings.EqualFold(name, memberPart) || strings.EqualFold(name, memberOldPart) {
			parts++
		}
		hasOld = hasOld || name == memberOldPart
	}
	if parts > 1 {
		return "", nil, scheme.Failf(scheme.Invalid, "the notification has both bizData and data, or one of them in other letters as well, of which only one is signed")
	}
	if !hasOld {
		return partOf(notification)
	}
	part, ok := notification.Object(memberOldPart)
	if !ok {
		return "", nil, scheme.Failf(scheme.Invalid, "the member data of the notification is not an object")
	}
	return memberOldPart, part, nil
}
