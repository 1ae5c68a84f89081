// Package algorithm holds the signature algorithms by the names that recipes
// call them.
//
// There are three kinds. A plain [Digest] has no key: the text that it digests
// holds the secret. A [MAC] is keyed with the secret. A [Public] algorithm signs
// with a private key and verifies with a public one. Comparisons take constant
// time. Signatures are bytes here; package encoding writes them as text.
package algorithm

import (
	"crypto"
	"crypto/subtle"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Kind says what an algorithm is keyed with.
type Kind int

// The kinds.
const (
	Digest Kind = iota // nothing: the text must hold the secret
	MAC                // a shared secret
	Public             // a private key to sign, a public key to verify
)

// Options are what a recipe says beside an algorithm's name.
type Options struct {
	// UID is the user id of SM2; empty means 1234567812345678. The other
	// algorithms have none.
	UID []byte
}

// Algorithm is a signature algorithm. [Named] makes it; the zero value is not
// usable.
type Algorithm struct {
	name   string
	kind   Kind
	key    string
	sum    func(secret []byte, text ...[]byte) []byte
	sign   func(key crypto.Signer, text []byte, o Options) ([]byte, error)
	verify func(key crypto.PublicKey, text, signature []byte, o Options) bool
	weak   string
}

// Named returns the algorithm of a name:
//
//	md5 sha1 sha256 sha384 sha512 sm3                   plain digests
//	hmac-md5 hmac-sha1 hmac-sha256 hmac-sha512 hmac-sm3 RFC 2104
//	rsa-md5 rsa-sha1 rsa-sha256 rsa-sha512              PKCS #1 v1.5
//	rsa-pss-sha256                                      PKCS #1 PSS, MGF1 with SHA-256
//	sm2 sm2-rs                                          SM2 with SM3; DER, or 64 bytes r and s
//	ed25519                                             RFC 8032
//	ecdsa-sha256                                        DER, on NIST's curves
func Named(name string) (Algorithm, error) {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		if a.name == name {
			return a, nil
		}
		names[i] = a.name
	}
	return Algorithm{}, i18n.Errorf("unknown algorithm %q: write one of %s", name, strings.Join(names, ", "))
}

// Name returns the name by which a recipe calls the algorithm.
func (a Algorithm) Name() string { return a.name }

// Kind returns what the algorithm is keyed with.
func (a Algorithm) Kind() Kind { return a.kind }

// KeyKind returns the kind of key that a [Public] algorithm needs, as [KeyKind]
// names it, and "" for the others.
func (a Algorithm) KeyKind() string { return a.key }

// Weak returns a sentence that says why the algorithm should not be chosen where
// there is a choice, and "" if nothing is known against it.
func (a Algorithm) Weak() string { return a.weak }

// Sum returns the digest of text, or its MAC under secret: a [Digest] ignores
// the secret. The pieces of text stand one behind the other. For a [Public] algorithm
// it returns nil.
func (a Algorithm) Sum(secret []byte, text ...[]byte) []byte {
	if a.sum == nil {
		return nil
	}
	return a.sum(secret, text...)
}

// VerifySum reports whether signature is the [Algorithm.Sum] of text. It returns false
// for a [Public] algorithm.
func (a Algorithm) VerifySum(secret, text, signature []byte) bool {
	return a.sum != nil && subtle.ConstantTimeCompare(a.sum(secret, text), signature) == 1
}

// Sign signs text. The key may be remote: its Sign is called as crypto/rsa,
// crypto/ecdsa and crypto/ed25519 define it, with the digest and the options;
// for SM2 with the digest of GB/T 32918 and crypto.Hash(0). A key of another
// kind is refused.
func (a Algorithm) Sign(key crypto.Signer, text []byte, o Options) ([]byte, error) {
	if a.sign == nil {
		return nil, i18n.Errorf("%s does not sign with a private key", a.name)
	}
	if kind := KeyKind(key.Public()); kind != a.key {
		return nil, i18n.Errorf("%s needs a key of kind %s, and this is one of kind %s", a.name, a.key, orUnknown(kind))
	}
	signature, err := a.sign(key, text, o)
	if err != nil {
		return nil, i18n.Errorf("%s: %w", a.name, err)
	}
	return signature, nil
}

// Verify reports whether signature is that of text under key. It returns false for a
// key of another kind and for an algorithm that is not [Public].
func (a Algorithm) Verify(key crypto.PublicKey, text, signature []byte, o Options) bool {
	return a.verify != nil && KeyKind(key) == a.key && a.verify(key, text, signature, o)
}

func orUnknown(kind string) string {
	if kind == "" {
		return "unknown"
	}
	return kind
}
