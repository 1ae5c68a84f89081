// Package scheme has the interface of a provider's protocol, and the two
// functions that use it: Seal and Open.
//
// A Scheme says how a request is completed, what a signature covers, and what is
// revealed of a message that has verified. It does not verify. Open does, for
// every scheme alike and always in the same order: the signatures, whether what
// they cover can be read in two ways, whether the answer is the request sent
// back, whether it belongs to the request, and only then what is decrypted and
// unwrapped. What Open returns is a *Verified, which nothing else can make, and
// nothing else is handed to an application.
package scheme

import (
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
	// Describe says what does not depend on a message.
	Describe() *Description

	// Complete makes of a plain request what the provider expects: it adds,
	// encrypts and signs, with request.Sign.
	Complete(request *Draft) error

	// Covers says what the signatures of an answer or a notification cover. It
	// must not decrypt anything unless the protocol signs the plaintext.
	Covers(in *Incoming) ([]Signature, error)

	// Reveal decrypts and unwraps the payload of a message that has verified.
	Reveal(in *Incoming) error
}

// Description is what a scheme says of itself.
type Description struct {
	Name    string   // as in the Caddyfile
	Methods []string // that are signed; default POST

	// Needs names the roles that the whole exchange of a request may need, its
	// answer included. It may be nil.
	Needs func(request *message.Message) []keys.Role

	// Kinds are the kinds of keys that roles need, such as "SM2". A role that is not
	// there takes keys of every kind.
	Kinds map[keys.Role]string

	// Encryption are the roles that Needs adds for requests with a member that is
	// encrypted.
	Encryption []keys.Role

	Request      *Direction // nil: no requests
	Answer       *Direction
	Notification *Direction

	// Match are the members that an answer must repeat of its request, where both
	// have them.
	Match []body.Path

	// Inside are the members of a request that go out as strings holding JSON, in
	// which a member of Match may stand.
	Inside []body.Path

	// Result is the member of an answer with the provider's result code.
	Result body.Path

	// Unsigned, if set, says which answers the provider does not sign.
	Unsigned *UnsignedRule

	// Notify is how the provider's notifications look.
	Notify NotifyRule

	// Warnings are for the log when a configuration is loaded.
	Warnings []string
}

// Direction is what a scheme says of its requests, its answers or its
// notifications.
type Direction struct {
	// Format is how the payload travels.
	Format message.Format

	Part  string      // what is signed, for Countersign-Signed: "*", or names of members
	Roles []keys.Role // that are needed

	// Target reports whether the signature, or something that is set, depends on
	// the host, the path or the query that a request goes to.
	Target bool

	// Reads are the members that are read by name. One of them that stands there
	// a second time in other letters is refused.
	Reads []body.Path

	// Encrypted are the members of an answer that travel encrypted, so that Match
	// looks at them once they are decrypted.
	Encrypted []body.Path

	// Signed reports whether a signature covers the value at a path of the
	// payload. It may be nil, which means none.
	Signed func(path body.Path) bool
}

// Covers reports whether a signature covers the value at a path.
func (d *Direction) Covers(path body.Path) bool {
	return d != nil && d.Signed != nil && d.Signed(path)
}

// UnsignedRule is the provider's rule for answers without a signature: such an
// answer passes, marked as not verified, if it bears no signature, none of the
// signed members is there and Member is a JSON number other than Token.
type UnsignedRule struct {
	Member body.Path
	Token  string
	// Text says that the member is a string, and that what holds it is the whole
	// answer.
	Text bool

	// Signed are the signed members, the signature among them. A * in a last name
	// stands for any characters.
	Signed []body.Path

	// Bears, if set, reports whether a message bears a signature in another place
	// than a member, such as a header.
	Bears func(m *message.Message) bool
}

// NotifyRule is how a provider's notifications look.
type NotifyRule struct {
	Methods []string // POST, and GET where the parameters may stand in the query

	Ack        string // what the application must answer, or "" for any 2xx
	IgnoreCase bool   // Ack is compared in any case

	// SignAck, if set, adds the provider's signature to an acknowledgement.
	SignAck func(ack *Draft) error

	// Time is when the provider made a notification, or nil if it does not tell.
	Time func(verified *Verified) (time.Time, bool)

	// Identity are the members that make a repeat the same notification. Default:
	// the canonical string.
	Identity []body.Path

	// IdentityExcept, if not nil, are names of members: a repeat is the same if
	// all other signed members are.
	IdentityExcept []string
}

// Text is what is signed: the canonical string, and where a secret stands in the
// text that is digested.
type Text struct {
	// Canonical is the text without secrets: it ends where the rule appends one,
	// and elsewhere {secret} stands where a secret stands.
	Canonical []byte

	// Hole makes the whole text with {secret} where a secret stands; nil where it
	// is the canonical string. It is for people, who compare texts.
	Hole func() ([]byte, error)

	// With is the text that is digested, with secrets in it; nil where it is the
	// canonical string. It takes each secret from its argument: what a plain
	// digest covers must depend on one of them.
	With func(secrets Secrets) ([]byte, error)
}

// Secrets is a secret by its name, "" for the plain one, or nil.
type Secrets func(name string) *keys.Secret

// Signature is one signature: what it covers and how it is made.
type Signature struct {
	Algorithm algorithm.Algorithm
	Options   algorithm.Options
	Encoding  encoding.Encoding

	Text Text
	Part string // what of the message it covers, as Direction.Part

	// Ambiguous is why the text can be read in two ways, or nil.
	Ambiguous error

	// Role is the role of the key: "" for sign, verify or secret, as the
	// algorithm and the direction have it.
	Role keys.Role

	// Key is the serial or the name of the key, or "" for each key of the role.
	Key string

	// Derive makes of a secret the key of a MAC; nil: it is the key.
	Derive func(secret []byte) ([]byte, error)

	// Where is where the signature stands, as "body.sign".
	Where string

	// Of a message that came in: the signatures that it bears (one must verify),
	// and when the provider says it was made.
	Values []string
	Fresh  *Freshness

	// Certificate, if set, is in place of a key of the role.
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
