// Package keys holds key sets: what a reference names, ready for use.
//
// Private keys surface as crypto.Signer and crypto.Decrypter, so that a PEM
// file, a Vault KV secret and a key that never leaves Vault's Transit engine
// are interchangeable. Nothing in this package prints a key: String, GoString
// and the encoders of the types give at most a fingerprint.
package keys

import "github.com/countersign/caddy-countersign/module/i18n"

// ErrUnknown says that a source holds no set of that reference.
var ErrUnknown = i18n.Errorf("no such key set")

// ErrMissingRole says that a set lacks a role that is needed.
var ErrMissingRole = i18n.Errorf("the key set lacks a role")

// ErrBroken says that a source was reached, and that what it holds of a set
// cannot be used. Asking again helps only after somebody has changed it.
var ErrBroken = i18n.Errorf("the key set cannot be used")

// BrokenError is an error that wraps ErrBroken and reads as its cause.
type BrokenError struct{ Err error }

// Error is the text of the cause.
func (e *BrokenError) Error() string { return e.Err.Error() }

// In returns the cause in a language.
func (e *BrokenError) In(l i18n.Language) string { return i18n.In(l, e.Err) }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// Is reports whether target is ErrBroken.
func (e *BrokenError) Is(target error) bool { return target == ErrBroken }
