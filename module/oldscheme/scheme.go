// Package scheme says what a provider's scheme is: the interface that each
// package under schemes implements and that the sidecar, the notification
// handler and the command line drive.
//
// Data flows one way. A request's body is sealed: members are added and
// encrypted, and the canonical string is signed. The answer's body is opened:
// the signature is verified first, then members are decrypted and the answer
// is matched to its request. A scheme knows nothing of connections.
package scheme

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Namespace is where schemes register as Caddy modules, by their names.
const Namespace = "countersign.schemes"

// Scheme is one provider's way to sign, encrypt and answer. A scheme is
// configured once, through Options or JSON, then checked with Validate, and
// used by many goroutines at once afterwards.
type Scheme interface {
	caddy.Module

	// Options are the scheme's options, for the Caddyfile, for --set, and for
	// the variations that open --explain tries.
	Options() []Option

	// Validate checks the configuration and fills in defaults.
	Validate() error

	// Needs names the roles that the whole exchange of a request may need, its
	// answer included.
	Needs(request *body.Object) []keys.Role

	// Seal makes of a plain request what the provider expects. Its errors are
	// *Error.
	Seal(request Request) (*Sealed, error)

	// Open verifies an answer, and then decrypts and unwraps it. Its errors are
	// *Error.
	Open(answer Answer) (*Opened, error)

	// ResultCode is the provider's result code in an answer, verified or not,
	// or "".
	ResultCode(answer *body.Object) string
}

// Warner is a scheme that has something to tell the operator, for the log, when
// it is configured. The warnings are asked for after Validate.
type Warner interface {
	Warnings() []string
}

// Encrypter is a scheme that encrypts members which not every request has.
type Encrypter interface {
	// EncryptionRoles are the roles that Needs adds for a request that has one.
	EncryptionRoles() []keys.Role
}

// Request is a plain request to be sealed.
type Request struct {
	Body *body.Object
	Keys *keys.Set
	Now  time.Time
}

// Sealed is a request as it goes out, and what opening the answer needs of it,
// without the request itself: an exchange waits for its answer with one text in
// memory.
type Sealed struct {
	Body         []byte   // as it goes out
	Canonical    []byte   // the canonical string that was signed, or nil if it was forgotten
	Fingerprints []string // of the keys that were used, that of the signature first

	// Signature is the signature as it goes out, and Keys are those that made it.
	// With a shared secret an answer is refused without them: it could be the
	// request, sent back.
	Signature string
	Keys      *keys.Set

	Order  Order // what ties the answer to it
	Memory any   // what else the scheme remembers for the answer

	own bool // Canonical, as in Covered
}

// Forget lets go of the canonical string.
func (s *Sealed) Forget() {
	if s.own {
		canonical.Forget(s.Canonical)
	}
	s.Canonical = nil
}

// Answer is a provider's answer to be opened.
type Answer struct {
	Body *body.Object
	Keys *keys.Set

	// Sealed is the request that the answer is for. It is nil where only the
	// answer is known, on the command line.
	Sealed *Sealed

	// Charset, if set, changes the canonical string before it is verified. It
	// serves the diagnosis of providers that sign another charset than they
	// send, and nothing else.
	Charset func([]byte) []byte
}

// Opened is an answer or a notification after it has verified.
type Opened struct {
	Body         []byte   // as it goes back; nil for a notification that is a form
	Canonical    []byte   // the canonical string that was verified, or nil if it was forgotten
	Fingerprints []string // of the keys that were used
	Signed       string   // the part that the signature covers: "bizData", "data" or "*"

	// Unsigned says that the provider's own rule lets this answer be without a
	// signature. Nothing in it was verified, decrypted or unwrapped.
	Unsigned bool

	// Note says what could not be done with a verified answer where the request
	// is not known.
	Note string

	own bool // Canonical, as in Covered
}

// Forget lets go of the canonical string.
func (o *Opened) Forget() {
	if o.own {
		canonical.Forget(o.Canonical)
	}
	o.Canonical = nil
}

// Notifier is a scheme whose provider sends notifications.
type Notifier interface {
	Scheme

	// Notification describes how the provider's notifications look.
	Notification() NotificationRule

	// OpenNotification verifies what the provider sent in, and then decrypts
	// it. Its errors are *Error.
	OpenNotification(notification Notification) (*Opened, error)
}

// NotificationRule is how a provider's notifications look.
type NotificationRule struct {
	Form   bool        // they come as a form or in the query, not as JSON
	Roles  []keys.Role // that opening one needs
	Ack    string      // the body that acknowledges one; "" where any 2xx does
	Signed func(member string) bool
	Time   func(n Notification) (time.Time, bool) // the notification's own time stamp; nil if the scheme has none
}

// Notification is what a provider sent in: Body where it is JSON, Form where it
// is a form.
type Notification struct {
	Body *body.Object
	Form []Param
	Keys *keys.Set

	// Charset is as in Answer.
	Charset func([]byte) []byte
}

// Param is the value of the parameter called name, or "".
func (n Notification) Param(name string) string {
	for _, p := range n.Form {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Param is a parameter of a form, decoded.
type Param struct {
	Name, Value string
}
