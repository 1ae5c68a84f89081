package scheme

import (
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Incoming is an answer or a notification to be opened.
type Incoming struct {
	Message *message.Message
	Keys    *keys.Set
	Now     time.Time

	// Request is the request that an answer is for. It is nil for a notification,
	// and on the command line where only the answer is known.
	Request *Sealed

	// Charset, if set, changes what is signed before it is verified. It serves the
	// diagnosis of providers that sign another charset than they send, and nothing
	// else.
	Charset func([]byte) []byte

	fingerprints []string
	note         string
}

// Used notes a key that was used besides those of signatures.
func (in *Incoming) Used(fingerprint string) { in.fingerprints = append(in.fingerprints, fingerprint) }

// Memory is what the request left behind; the zero Memory where there is none.
func (in *Incoming) Memory() Memory {
	if in.Request == nil {
		return Memory{}
	}
	return in.Request.Memory
}

// Note says what could not be done with a verified message where its request is
// not known.
func (in *Incoming) Note(text string) { in.note = text }

// Open verifies a message, and then decrypts and unwraps it. Its errors are
// *Error. It verifies with its caller's keys, clock and request, whatever the
// Scheme makes of those that it is shown, and of the message it takes nothing from
// the Scheme but the payload that is revealed.
func Open(s Scheme, in Incoming) (verified *Verified, err error) {
	defer func() {
		if p := recover(); p != nil {
			verified, err = nil, panicked(Invalid, i18n.T("the message could not be read"), p)
		}
	}()
	d := s.Describe()
	if d == nil {
		return nil, Failf(Invalid, "the scheme does not describe itself")
	}
	direction, err := d.direction(in.Message.Kind)
	if err != nil {
		return nil, err
	}
	o := &opening{in: in, d: d, direction: direction}
	o.in.Message = in.Message.Fresh()
	switch exempt, err := o.exempt(); {
	case err != nil:
		return nil, err
	case exempt:
		return &Verified{message: o.in.Message, unsigned: true}, nil
	}
	if err := checkTwins(o.in.Message, direction.Reads); err != nil {
		return nil, err
	}
	guest := o.guest()
	signatures, err := s.Covers(&guest)
	if err != nil {
		return nil, err
	}
	if err := o.verify(signatures); err != nil {
		return nil, err
	}
	if err := o.checkMatch(o.in.Message, direction.Encrypted); err != nil {
		return nil, err
	}
	if err := s.Reveal(&guest); err != nil {
		return nil, err
	}
	if err := o.reveal(&guest); err != nil {
		return nil, err
	}
	return o.v, nil
}

// opening is one call of Open: what its caller gave, which the Scheme has no hold
// of, and what was found.
type opening struct {
	in        Incoming
	d         *Description
	direction *Direction
	v         *Verified
	used      []string // fingerprints of the signatures' keys
}

// guest is what the Scheme gets: it may change all of it.
func (o *opening) guest() Incoming {
	guest := o.in
	guest.Message = o.in.Message.Fresh()
	if o.in.Message.Payload != nil {
		guest.Message.Payload = o.in.Message.Payload.Fresh() // what the twins were looked for in
	}
	if o.in.Keys != nil {
		set := *o.in.Keys
		guest.Keys = &set
	}
	if o.in.Request != nil {
		request := *o.in.Request
		guest.Request = &request
	}
	return guest
}

// verify verifies all signatures, and that what they cover can be read in one way
// only and is not the request sent back.
func (o *opening) verify(signatures []Signature) error {
	if len(signatures) == 0 {
		return Failf(Unsigned, "the scheme names no signature of the message")
	}
	o.v = &Verified{signatures: signatures, part: o.direction.Part, covers: o.direction.Signed}
	var parts []string
	sums := make([][]byte, len(signatures))
	for i, signature := range signatures {
		fingerprint, sum, err := o.in.verify(signature)
		if err != nil {
			return err
		}
		sums[i] = sum
		o.used = append(o.used, fingerprint)
		if signature.Part != "" && !slices.Contains(parts, signature.Part) {
			parts = append(parts, signature.Part)
		}
	}
	if len(parts) > 0 {
		o.v.part = strings.Join(parts, ",")
	}
	for i, signature := range signatures {
		if signature.Ambiguous != nil {
			return Failf(Ambiguous, "the message can be read in two ways: %w", signature.Ambiguous)
		}
		if err := o.in.checkReflection(signature, sums[i]); err != nil {
			return err
		}
	}
	return nil
}

// reveal takes over what the Scheme has revealed: the payload, and nothing else of
// the message. An order number that was encrypted is known only now.
func (o *opening) reveal(guest *Incoming) error {
	if guest.Message == nil {
		return Failf(Invalid, "the scheme reveals no message")
	}
	m := *guest.Message
	came := o.in.Message
	m.Kind, m.Method, m.Scheme, m.Host, m.Path, m.Query = came.Kind, came.Method, came.Scheme, came.Host, came.Path, came.Query
	m.Status, m.Header, m.Wire = came.Status, came.Header, came.Wire
	if err := o.checkMatch(&m, nil); err != nil {
		return err
	}
	o.v.message, o.v.note = &m, guest.note
	o.v.fingerprints = slices.Concat(o.used, guest.fingerprints)
	return nil
}

// direction is what the description says of a kind of messages.
func (d *Description) direction(kind message.Kind) (*Direction, error) {
	var direction *Direction
	switch kind {
	case message.Request:
		direction = d.Request
	case message.Answer:
		direction = d.Answer
	case message.Notification:
		direction = d.Notification
	}
	if direction == nil && kind == message.Answer {
		return nil, Failf(Unsigned, "%s has no rule for answers, which the provider does not sign", d.Name)
	}
	if direction == nil {
		return nil, Failf(Invalid, "%s has no rule for a message that is a %s", d.Name, kind)
	}
	return direction, nil
}
