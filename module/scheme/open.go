package scheme

import (
	"slices"
	"strings"
	"time"

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
// *Error.
func Open(s Scheme, in Incoming) (*Verified, error) {
	d := s.Describe()
	direction, err := d.direction(in.Message.Kind)
	if err != nil {
		return nil, err
	}
	in.Message = in.Message.Fresh()
	if in.Message.Kind == message.Answer && d.Unsigned != nil && d.Unsigned.exempts(in.Message) {
		if err := checkTwins(in.Message, append(d.Unsigned.Signed, d.Unsigned.Member)); err != nil {
			return nil, err
		}
		return &Verified{message: in.Message, unsigned: true}, nil
	}
	if err := checkTwins(in.Message, direction.Reads); err != nil {
		return nil, err
	}
	signatures, err := s.Covers(&in)
	if err != nil {
		return nil, err
	}
	if len(signatures) == 0 {
		return nil, Failf(Unsigned, "the scheme names no signature of the message")
	}
	v := &Verified{message: in.Message, part: direction.Part, covers: direction.Signed}
	var used, parts []string
	for _, signature := range signatures {
		fingerprint, err := in.verify(signature)
		if err != nil {
			return nil, err
		}
		used = append(used, fingerprint)
		if signature.Part != "" && !slices.Contains(parts, signature.Part) {
			parts = append(parts, signature.Part)
		}
		v.texts = append(v.texts, signature.Text)
	}
	if len(parts) > 0 {
		v.part = strings.Join(parts, ",")
	}
	for _, signature := range signatures {
		if signature.Ambiguous != nil {
			return nil, Failf(Ambiguous, "the message can be read in two ways: %w", signature.Ambiguous)
		}
		if err := in.checkReflection(signature); err != nil {
			return nil, err
		}
	}
	if in.Request != nil {
		if err := checkMatch(d.Match, d.Inside, in.Request, in.Message); err != nil {
			return nil, err
		}
	}
	if err := s.Reveal(&in); err != nil {
		return nil, err
	}
	v.message, v.note = in.Message, in.note
	v.fingerprints = append(used, in.fingerprints...)
	return v, nil
}

// direction is what the description says of a kind of messages.
func (d *Description) direction(kind message.Kind) (*Direction, error) {
	direction := map[message.Kind]*Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[kind]
	if direction == nil && kind == message.Answer {
		return nil, Failf(Unsigned, "%s has no rule for answers, which the provider does not sign", d.Name)
	}
	if direction == nil {
		return nil, Failf(Invalid, "%s has no rule for a message that is a %s", d.Name, kind)
	}
	return direction, nil
}
