package scheme

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Reason says why a message was not sealed or opened. The problem that a client gets
// depends on the reason and on the kind of the message.
type Reason int

// The reasons.
const (
	Invalid      Reason = iota + 1 // a member is missing or has the wrong type
	Signing                        // the signature could not be made
	Unsigned                       // there is no signature
	BadSignature                   // the signature does not verify
	Stale                          // the message is too old, or its age is not known
	Ambiguous                      // what is signed can be read in two ways
	Decryption                     // an encrypted member does not open
	Mismatch                       // the answer names another order than the request
	NeedsKeys                      // a role or a key is missing
)

// Error says why a message was not sealed or opened. Detail is shown to the
// client: it names members and options and never holds a value.
type Error struct {
	Reason Reason
	Detail i18n.Text
	Cause  error
}

// Error returns the detail in English.
func (e *Error) Error() string { return e.Detail.String() }

// In returns the detail in a language.
func (e *Error) In(l i18n.Language) string { return e.Detail.In(l) }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Cause }

// Failf makes an Error from a format, as fmt.Errorf does. The error behind %w becomes
// its Cause.
func Failf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Detail: i18n.T(format, args...), Cause: errors.Unwrap(fmt.Errorf(format, args...))}
}

// ReasonOf returns the reason of an error that is or wraps an Error, and 0 for others.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return 0
}

// signingFailed returns the Error for a signature that could not be made. The cause,
// which names the key, is for the log.
func signingFailed(cause error) *Error {
	return &Error{Signing, i18n.T("the request could not be signed; the log says which key failed"), cause}
}

// signatureInvalid returns the Error for a signature over a part of a message that
// does not verify.
func signatureInvalid(part string) *Error {
	if part == "*" || part == "" {
		return Failf(BadSignature, "the signature does not verify with any of the configured keys")
	}
	return Failf(BadSignature, "the signature over %s does not verify with any of the configured keys", part)
}

// errDecryption is the only error for a failed decryption: telling the causes apart
// would be an oracle.
var errDecryption = &Error{Reason: Decryption, Detail: i18n.T("the encrypted members do not open with the request's key or any of the configured decrypt keys")}

// DecryptionFailed returns the Error for a ciphertext that does not decrypt. It is the
// same for every cause.
func DecryptionFailed() *Error { return errDecryption }

// panicked returns the Error for a Scheme that panicked with p. The text of p is quoted only
// if it is an error of the Go runtime: other values may hold a part of the message.
func panicked(reason Reason, detail i18n.Text, p any) *Error {
	cause := fmt.Errorf("the scheme has panicked with a %T", p)
	if err, ok := p.(runtime.Error); ok {
		cause = fmt.Errorf("the scheme has panicked: %w", err)
	}
	return &Error{reason, i18n.T("%v; the log says why", detail), fmt.Errorf("%w\n%s", cause, debug.Stack())}
}
