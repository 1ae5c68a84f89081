//go:build !fastrsa

package keys

import "crypto/rsa"

// Arithmetic names what computes with the private keys that are held in memory:
// "crypto/rsa", Go's.
func Arithmetic() (string, error) { return goArithmetic, nil }

// usable returns a key as it is used: Go's own, if it is valid.
func usable(key *rsa.PrivateKey) (privateRSA, error) { return key, key.Validate() }
