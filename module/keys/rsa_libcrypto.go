//go:build fastrsa

package keys

import (
	"crypto/rsa"

	"github.com/countersign/caddy-countersign/module/keys/internal/libcrypto"
)

// Arithmetic returns the name of the implementation that computes with private keys in
// memory: "OpenSSL 3.0.19 27 Jan 2026" for instance, or "crypto/rsa" for Go's. The
// error says why OpenSSL does not, where the binary was built for it.
func Arithmetic() (string, error) {
	if err := libcrypto.Load(); err != nil {
		return goArithmetic, err
	}
	return libcrypto.Version(), nil
}

// usable returns a key as it is used: inside OpenSSL where the machine has it.
func usable(key *rsa.PrivateKey) (privateRSA, error) {
	if libcrypto.Load() != nil {
		return key, key.Validate()
	}
	return libcrypto.New(key)
}
