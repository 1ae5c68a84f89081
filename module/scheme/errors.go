package scheme

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Reason is what kept a message from being sealed or opened. What it means for a
// client depends on whose message it was.
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

// Error is the detail.
func (e *Error) Error() string { return e.Detail.String() }

// In is the detail in a language.
func (e *Error) In(l i18n.Language) string { return e.Detail.In(l) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Failf makes an Error. What %w wraps becomes its cause.
func Failf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Detail: i18n.T(format, args...), Cause: errors.Unwrap(fmt.Errorf(format, args...))}
}

// ReasonOf is the reason of an error, or 0.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return 0
}

// signingFailed is the Error for a signature that could not be made. The cause,
// which names the key, is for the log.
func signingFailed(cause error) *Error {
	return &Error{Signing, i18n.T("the request could not be signed; the log says which key failed"), cause}
}

// signatureInvalid is the Error for a signature over a part of a message that
// does not verify.
func signatureInvalid(part string) *Error {
	if part == "*" || part == "" {
		return Failf(BadSignature, "the signature does not verify with any of the configured keys")
	}
	return Failf(BadSignature, "the signature over %s does not verify with any of the configured keys", part)
}

// errDecryption is the one error for every cause.
var errDecryption = &Error{Reason: Decryption, Detail: i18n.T("the encrypted members do not open with the request's key or any of the configured decrypt keys")}

// DecryptionFailed is the Error for what does not open, whatever the cause.
func DecryptionFailed() *Error { return errDecryption }

// panicked is the Error for a Scheme that has panicked. Only the runtime's own
// errors are quoted: what a program panics with may hold a value.
func panicked(reason Reason, detail i18n.Text, p any) *Error {
	cause := fmt.Errorf("the scheme has panicked with a %T", p)
	if err, ok := p.(runtime.Error); ok {
		cause = fmt.Errorf("the scheme has panicked: %w", err)
	}
	return &Error{reason, i18n.T("%v; the log says why", detail), fmt.Errorf("%w\n%s", cause, debug.Stack())}
}
