package scheme

import "github.com/countersign/caddy-countersign/module/body"

// Kind is whose message a message is.
type Kind string

// The kinds of messages.
const (
	KindRequest      Kind = "request"
	KindResponse     Kind = "response"
	KindNotification Kind = "notification"
)

// Canonicalizer is a scheme that can give the canonical string of a message as
// it stood on the wire, signed and encrypted. That needs no keys: it is how an
// operator compares our string with the one that the provider's support sends.
type Canonicalizer interface {
	Scheme

	// Canonical is the canonical string that the signature of a message covers.
	// It neither verifies the signature nor minds whether there is one. It takes
	// the very way that opening the message takes. Its errors are *Error with
	// the reason Invalid; a string that can be read in two ways is none.
	Canonical(message Wire) ([]byte, error)
}

// Wire is a message as it stood on the wire: Body where it is JSON, Form where
// it is a form.
type Wire struct {
	Kind Kind
	Body *body.Object
	Form []Param
}
