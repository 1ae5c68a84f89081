package i18n

import "fmt"

// Errorf makes an error as fmt.Errorf does, with a text in every language. Error
// is the text in the language of the process. Without %w it wraps nothing.
func Errorf(template string, args ...any) error {
	text := T(template, args...)
	switch made := fmt.Errorf(template, args...).(type) { //nolint:errorlint // it was made here
	case interface{ Unwrap() []error }:
		return &joined{text, made.Unwrap()}
	case interface{ Unwrap() error }:
		return &wrapping{text, made.Unwrap()}
	default:
		return &plain{text}
	}
}

// plain is an error that wraps none.
type plain struct{ Text }

// Error returns the text.
func (e *plain) Error() string { return e.String() }

// wrapping is an error that wraps one.
type wrapping struct {
	Text
	err error
}

// Error returns the text.
func (e *wrapping) Error() string { return e.String() }

// Unwrap returns the error that %w has wrapped.
func (e *wrapping) Unwrap() error { return e.err }

// joined is an error that wraps several.
type joined struct {
	Text
	errs []error
}

// Error returns the text.
func (e *joined) Error() string { return e.String() }

// Unwrap returns the errors that %w has wrapped.
func (e *joined) Unwrap() []error { return e.errs }
