//go:build fastrsa

package keys

import (
	"crypto/rsa"

	"github.com/countersign/caddy-countersign/module/keys/internal/libcrypto"
)

// Arithmetic names what computes with the private keys that are held in memory.
func Arithmetic() string { return libcrypto.Version() }

// usable returns a key as it is used: inside OpenSSL.
func usable(key *rsa.PrivateKey) (privateRSA, error) { return libcrypto.New(key) }
