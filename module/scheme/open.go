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

	// Charset, if set, converts the signed text before it is verified. Only the
	// diagnosis of providers that sign in another charset than they send sets it.
	Charset func([]byte) []byte

	fingerprints []string
	note         i18n.Text
}

// Used records the fingerprint of a key that was used for something other than a
// signature, such as an envelope.
func (in *Incoming) Used(fingerprint string) { in.fingerprints = append(in.fingerprints, fingerprint) }

// Memory returns what sealing the request recorded, or the zero Memory if there is no
// request.
func (in *Incoming) Memory() Memory {
	if in.Request == nil {
		return Memory{}
	}
	return in.Request.Memory
}

// Note records a sentence for people that names the step that was skipped because the
// request of the message is not known.
func (in *Incoming) Note(text i18n.Text) { in.note = text }

// Open verifies a message, and then decrypts and unwraps it. Its errors are
// *Error. It verifies with its caller's keys, clock and request: the Scheme works on
// copies of them, and can replace nothing but the payload that it reveals.
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
	switch exempt, err := o.exempt(); {
	case err != nil:
		return nil, err
	case exempt:
		return &Verified{message: o.in.Message, unsigned: true}, nil
	}
	if err := checkCaseVariants(o.in.Message, direction.Reads); err != nil {
		return nil, err
	}
	if err := checkEmptyTwins(o.in.Message, direction.Signed); err != nil {
		return nil, err
	}
	untrusted := o.untrusted()
	signatures, err := s.Covers(&untrusted)
	if err != nil {
		return nil, err
	}
	if err := o.verify(signatures); err != nil {
		return nil, err
	}
	if err := o.checkMatch(o.in.Message, direction.Encrypted); err != nil {
		return nil, err
	}
	if err := s.Reveal(&untrusted); err != nil {
		return nil, err
	}
	if err := o.reveal(&untrusted); err != nil {
		return nil, err
	}
	return o.v, nil
}

// opening is one call of Open: the caller's arguments, which the Scheme cannot reach,
// and the results.
type opening struct {
	in        Incoming
	d         *Description
	direction *Direction
	v         *Verified
	used      []string // fingerprints of the signatures' keys
}

// untrusted returns a copy of the caller's arguments for the Scheme, which may change it.
func (o *opening) untrusted() Incoming {
	untrusted := o.in
	untrusted.Message = o.in.Message.Fresh()
	if o.in.Keys != nil {
		set := *o.in.Keys
		untrusted.Keys = &set
	}
	if o.in.Request != nil {
		request := *o.in.Request
		untrusted.Request = &request
	}
	return untrusted
}

// verify checks all signatures, and that what they cover is not ambiguous and is not the
// request sent back.
func (o *opening) verify(signatures []Signature) error {
	if len(signatures) == 0 {
		return Failf(Unsigned, "the scheme names no signature of the message")
	}
	o.v = &Verified{signatures: signatures, part: o.direction.Part, covers: o.direction.Signed, sealed: o.direction.Format.Sealed}
	var parts []string
	sums := make([][]byte, len(signatures))
	for i := range signatures {
		fingerprint, sum, err := o.in.verify(&signatures[i])
		if err != nil {
			return err
		}
		signature := signatures[i]
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

// reveal takes the revealed payload from the Scheme, and nothing else of the message. It
// checks Match again, because an order number may have been encrypted.
func (o *opening) reveal(untrusted *Incoming) error {
	if untrusted.Message == nil {
		return Failf(Invalid, "the scheme reveals no message")
	}
	m := *untrusted.Message
	came := o.in.Message
	m.Kind, m.Method, m.Scheme, m.Host, m.Path, m.Query = came.Kind, came.Method, came.Scheme, came.Host, came.Path, came.Query
	m.Status, m.Header, m.Wire = came.Status, came.Header, came.Wire
	m.Parts = nil
	if err := o.checkMatch(&m, nil); err != nil {
		return err
	}
	o.v.message, o.v.note = &m, untrusted.note
	o.v.fingerprints = slices.Concat(o.used, untrusted.fingerprints)
	return nil
}

// direction returns the part of the description for a kind of message.
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
