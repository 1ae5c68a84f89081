// Package scheme defines the interface of a provider's protocol, and the two
// functions that use it: Seal and Open.
//
// A Scheme says how a request is completed, what a signature covers, and how a
// verified message is decrypted and unwrapped. It does not verify. Open verifies for
// every scheme, always in the same order: the signatures, whether what they cover is
// ambiguous, whether the answer is the request sent back, and whether it belongs to
// the request. Only then is the message decrypted and unwrapped. Open returns a
// *Verified, which no other function can make, and applications get nothing else.
package scheme

import (
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Scheme is one provider's protocol. It is used by many goroutines at once. All
// errors of its methods are *Error.
type Scheme interface {
	// Describe returns what does not depend on a message.
	Describe() *Description

	// Complete turns a plain request into the one that the provider expects: it adds
	// members, encrypts, and signs with Draft.Sign.
	Complete(request *Draft) error

	// Covers returns the signatures of an answer or a notification and what each
	// covers. It must not decrypt anything unless the protocol signs the plaintext.
	Covers(in *Incoming) ([]Signature, error)

	// Reveal decrypts and unwraps the payload of a verified message.
	Reveal(in *Incoming) error
}

// Description is the part of a protocol that does not depend on a message.
type Description struct {
	Name    string   // as in the Caddyfile
	Methods []string // HTTP methods that requests may have; default POST

	// Needs names the roles that the whole exchange of a request may need, its
	// answer included. It may be nil.
	Needs func(request *message.Message) []keys.Role

	// Kinds is the kind of key that each role needs, such as "SM2". A role that is
	// absent takes keys of every kind.
	Kinds map[keys.Role]string

	// Encryption are the roles that only requests with an encrypted member need.
	// Needs returns them for such requests.
	Encryption []keys.Role

	Request      *Direction // nil: no requests
	Answer       *Direction
	Notification *Direction

	// Match are the members that must be equal in a request and its answer, where both
	// have them.
	Match []body.Path

	// Inside are the members of a request that go out as strings of JSON. Members of
	// Match are also looked for in them.
	Inside []body.Path

	// Result is the path of the provider's result code in an answer.
	Result body.Path

	// Unsigned, if set, says which answers the provider does not sign.
	Unsigned *UnsignedRule

	// Notify describes the provider's notifications.
	Notify NotifyRule

	// Warnings are sentences that are logged when a configuration is loaded.
	Warnings []Warning
}

// Warning is a sentence about a scheme.
type Warning struct {
	Text string
	Of   message.Kind // the messages that it concerns, or "" for all
}

// WarningsOf returns the sentences that concern messages of these kinds, each once.
func (d *Description) WarningsOf(kinds ...message.Kind) []string {
	var texts []string
	for _, w := range d.Warnings {
		if (w.Of == "" || slices.Contains(kinds, w.Of)) && !slices.Contains(texts, w.Text) {
			texts = append(texts, w.Text)
		}
	}
	return texts
}

// Direction describes the requests, the answers or the notifications of a scheme.
type Direction struct {
	// Format is how the payload travels.
	Format message.Format

	Part  string      // what is signed, for Countersign-Signed: "*", or names of members
	Roles []keys.Role // that are needed

	// Target reports whether a signature or an added value depends on the host, the
	// path or the query of the request.
	Target bool

	// Reads are the members that are read by name. A message that has one of them a
	// second time, with a name that differs only in case, is refused.
	Reads []body.Path

	// Encrypted are the members of an answer that travel encrypted. Match compares
	// them after they are decrypted.
	Encrypted []body.Path

	// Signed reports whether a signature covers the value at a path of the
	// payload. It may be nil, which means none.
	Signed func(path body.Path) bool
}

// Covers reports whether a signature covers the value at a path.
func (d *Direction) Covers(path body.Path) bool {
	return d != nil && d.Signed != nil && d.Signed(path)
}

// UnsignedRule is the provider's rule for answers without a signature. An answer passes,
// marked as not verified, if it has no signature and none of the signed members, and
// Member is a JSON number other than 0 and Token.
type UnsignedRule struct {
	Member body.Path
	Token  string
	// Text says that the member is a string of digits and the only member of the
	// answer.
	Text bool

	// Signed are the signed members and the signature. A "*" in the last name of a path
	// matches any characters.
	Signed []body.Path

	// Bears, if set, reports whether a message has a signature outside of its members,
	// such as in a header.
	Bears func(m *message.Message) bool
}

// NotifyRule describes a provider's notifications.
type NotifyRule struct {
	Methods []string // POST, and GET where the parameters may stand in the query

	Ack        string // what the application must answer, or "" for any 2xx
	IgnoreCase bool   // Ack is compared in any case

	// SignAck, if set, adds the provider's signature to an acknowledgement, which it reads
	// from Wire unless it has a payload.
	SignAck func(ack *Draft) error

	// Time returns when the provider made a notification. It is nil if notifications
	// have no time stamp.
	Time func(verified *Verified) (time.Time, bool)

	// Identity are the members by which a repeated notification is recognised.
	// Default: the canonical string.
	Identity []body.Path

	// IdentityExcept, if not nil, are names of members that may differ in a repeat: it
	// is recognised by all other signed members.
	IdentityExcept []string
}

// Text is the text that a signature is made over: the canonical string, and functions
// that insert secrets where a plain digest covers one.
type Text struct {
	// Canonical is the text without secrets. Where the rule appends a secret, Canonical
	// ends; elsewhere {secret} stands for it.
	Canonical []byte

	// Redacted returns the whole text with {secret} in place of each secret, for people
	// who compare texts. It is nil where the text is the canonical string.
	Redacted func() ([]byte, error)

	// With returns the text that is digested, with secrets from its argument, in two
	// pieces that stand one behind the other: text may be Canonical, so that a large one
	// is not copied for the secret behind it. With is nil where the text is the canonical
	// string. The text of a plain digest must depend on a secret.
	With func(secrets Secrets) (text, tail []byte, err error)
}

// Secrets returns the secret with a name, "" for the role secret, or nil if there is
// none.
type Secrets func(name string) *keys.Secret

// Signature is one signature: what it covers and how it is made.
type Signature struct {
	Algorithm algorithm.Algorithm
	Options   algorithm.Options
	Encoding  encoding.Encoding

	Text Text
	Part string // the part of the message that it covers, as Direction.Part

	// Ambiguous is an error that says why the text is ambiguous, or nil.
	Ambiguous error

	// Role is the role of the key. "" means sign, verify or secret, depending on the
	// algorithm and the direction.
	Role keys.Role

	// Key is the serial or the id of the key, or "" for any key of the role.
	Key string

	// Derive computes the key of a MAC from a secret. nil means that the secret is the
	// key.
	Derive func(secret []byte) ([]byte, error)

	// Where is the place of the signature in the message, such as "body.sign".
	Where string

	// Of a message that was received: the signatures that it has, of which one must
	// verify, and its time stamp.
	Values []string
	Fresh  *Freshness

	// Or, if set, builds an alternative text: the provider signs some of its messages
	// over that one. It covers every member that Text covers.
	Or func() (Text, error)

	// Certificate, if set, is used instead of a key of the role.
	Certificate *Certificate
}

// Freshness limits the age of a message.
type Freshness struct {
	Time   time.Time
	Known  bool // the message has a time that can be read
	Window time.Duration
}

// Certificate is a certificate that came with a message. Its chain must end in
// one of the certificates of the role verify, and its subject must be the
// provider's.
type Certificate struct {
	Text    []byte // PEM or Base64
	Subject []Subject
}

// Subject is what the common name of a certificate must be: the whole of it, or
// one of its fields, counted from 0, where "@" separates fields.
type Subject struct {
	Text  string
	Split bool
	Field int
}
