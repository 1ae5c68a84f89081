package scheme

import (
	"errors"
	"fmt"
)

// Reason is what kept a message from being sealed or opened. What it means for
// the client depends on whose message it was: a request, an answer or a
// notification.
type Reason int

// The reasons.
const (
	Invalid    Reason = iota + 1 // a member is missing or has the wrong type
	Signing                      // the signature could not be made
	Unsigned                     // there is no signature
	Signature                    // the signature does not verify
	Ambiguous                    // the canonical string can be read in two ways
	Decryption                   // an encrypted member does not open
	Mismatch                     // the answer names another order than the request
	NeedsKeys                    // a role is missing
)

// Error says why a message was not sealed or opened. Detail is shown to the
// client: it names members and options, and never holds a value.
type Error struct {
	Reason Reason
	Detail string
	Cause  error
}

// Error is the detail.
func (e *Error) Error() string { return e.Detail }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Failf makes an Error. What %w wraps becomes its cause.
func Failf(reason Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Detail: err.Error(), Cause: errors.Unwrap(err)}
}

// SigningFailed makes the Error for a signature that could not be made. The
// detail says no more than that; the cause, which names the key, is for the
// log.
func SigningFailed(cause error) *Error {
	return &Error{Signing, "the request could not be signed; the log says which key failed", cause}
}

// SignatureInvalid is the Error for a signature over a part of a message, or "*",
// that does not verify.
func SignatureInvalid(part string) *Error {
	if part == "*" {
		return Failf(Signature, "the signature does not verify with any of the configured keys")
	}
	return Failf(Signature, "the signature over %s does not verify with any of the configured keys", part)
}

// ReasonOf is the reason of an error, or 0.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return 0
}
