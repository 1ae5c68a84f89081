//go:build !fastrsa

package keys

import "crypto/rsa"

// Arithmetic returns the name of the implementation that computes with private keys in
// memory: "crypto/rsa", Go's.
func Arithmetic() (string, error) { return goArithmetic, nil }

// usable returns a key as it is used: Go's own, if it is valid.
func usable(key *rsa.PrivateKey) (privateRSA, error) { return key, key.Validate() }
