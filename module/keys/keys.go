// Package keys holds key sets: what a reference names, ready for use.
//
// Private keys surface as crypto.Signer and crypto.Decrypter, so that a PEM
// file, a Vault KV secret and a key that never leaves Vault's Transit engine
// are interchangeable. Nothing in this package prints a key: String, GoString
// and the encoders of the types give at most a fingerprint.
package keys

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// Role says what a key of a set is for.
type Role string

// The roles of a key set, seen from the side that holds it.
const (
	Sign         Role = "sign"          // own private key
	Verify       Role = "verify"        // the peer's public keys
	Encrypt      Role = "encrypt"       // the peer's public key
	Decrypt      Role = "decrypt"       // own private keys
	SharedSecret Role = "secret"        // shared with the peer
	VerifySecret Role = "verify_secret" // accepted besides secret, while it is rotated
)

// Roles are all roles, in the order in which they are shown.
var Roles = []Role{Sign, Verify, Encrypt, Decrypt, SharedSecret, VerifySecret}

// ErrUnknown says that a source holds no set of that reference.
var ErrUnknown = errors.New("no such key set")

// ErrMissingRole says that a set lacks a role that is needed.
var ErrMissingRole = errors.New("the key set lacks a role")

// PrivateKey is an own private key. Signer serves the role sign and Decrypter
// the role decrypt; both may be one RSA key.
type PrivateKey struct {
	Signer      crypto.Signer
	Decrypter   crypto.Decrypter
	Public      *rsa.PublicKey
	Fingerprint string // SHA-256 of the public key's PKIX form, 64 hex digits
	Origin      string // where it came from, such as "file keys/easypay/1/sign.pem"
	Remote      bool   // whoever holds it computes with it: using it is waiting, not work
}

// PublicKey is a key of the peer.
type PublicKey struct {
	RSA         *rsa.PublicKey
	Fingerprint string    // SHA-256 of the PKIX form, 64 hex digits
	Origin      string    // where it came from
	Expires     time.Time // of the certificate it stood in; zero if it stood in none
}

// Secret is a secret shared with the peer.
type Secret struct {
	value       []byte
	sum         [sha256.Size]byte
	Fingerprint string // the first 8 hex digits of its SHA-256
	Origin      string // where it came from

	hmacs *sync.Pool // of HMAC-SHA-256, keyed: keying costs more than a short message
}

// Bytes is the secret itself. It must not be changed or kept.
func (s *Secret) Bytes() []byte { return s.value }

// HMACSHA256 is HMAC with SHA-256 of a message, keyed with the secret.
func (s *Secret) HMACSHA256(message []byte) []byte {
	h := s.hmacs.Get().(hash.Hash)
	defer s.hmacs.Put(h)
	h.Reset()
	h.Write(message)
	return h.Sum(nil)
}

// SHA256 is the whole digest of the secret in hex. It is for comparing with
// known secrets, never for showing: a weak secret can be guessed from it.
func (s *Secret) SHA256() string { return hex.EncodeToString(s.sum[:]) }

// Set is a key set as it was at one moment. It is never changed: a rotation
// makes a new one.
type Set struct {
	Reference string
	Version   string // what the source calls this state of the set
	Loaded    time.Time
	Stamp     any // what the source itself remembers of this state

	Sign          *PrivateKey
	Verify        []*PublicKey
	Encrypt       *PublicKey
	Decrypt       []*PrivateKey
	Secret        *Secret
	VerifySecrets []*Secret // Secret first, if there is one
}

// Need returns an error that wraps ErrMissingRole and names the first of the
// roles that the set lacks.
func (s *Set) Need(roles ...Role) error {
	for _, role := range roles {
		if !s.Has(role) {
			return fmt.Errorf("%w: %q has no %s; add it to the source", ErrMissingRole, s.Reference, role)
		}
	}
	return nil
}

// Has reports whether the set has a role.
func (s *Set) Has(role Role) bool {
	switch role {
	case Sign:
		return s.Sign != nil
	case Verify:
		return len(s.Verify) > 0
	case Encrypt:
		return s.Encrypt != nil
	case Decrypt:
		return len(s.Decrypt) > 0
	case SharedSecret:
		return s.Secret != nil
	case VerifySecret:
		return len(s.VerifySecrets) > 0
	default:
		return false
	}
}

// Fingerprints are the fingerprints of the keys that serve a role.
func (s *Set) Fingerprints(role Role) []string {
	var out []string
	switch role {
	case Sign:
		if s.Sign != nil {
			out = append(out, s.Sign.Fingerprint)
		}
	case Verify:
		for _, k := range s.Verify {
			out = append(out, k.Fingerprint)
		}
	case Encrypt:
		if s.Encrypt != nil {
			out = append(out, s.Encrypt.Fingerprint)
		}
	case Decrypt:
		for _, k := range s.Decrypt {
			out = append(out, k.Fingerprint)
		}
	case SharedSecret:
		if s.Secret != nil {
			out = append(out, s.Secret.Fingerprint)
		}
	case VerifySecret:
		for _, k := range s.VerifySecrets {
			if k != s.Secret {
				out = append(out, k.Fingerprint)
			}
		}
	}
	return out
}

// Fingerprint is the SHA-256 of a public key's PKIX form in 64 lower-case hex
// digits.
func Fingerprint(public *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// NewPrivateKey describes a private key that signs, decrypts or does both;
// either may be nil. A source whose keys compute elsewhere sets Remote.
func NewPrivateKey(signer crypto.Signer, decrypter crypto.Decrypter, public *rsa.PublicKey, origin string) *PrivateKey {
	return &PrivateKey{Signer: signer, Decrypter: decrypter, Public: public, Fingerprint: Fingerprint(public), Origin: origin}
}

// privateRSA is an RSA private key as it is used.
type privateRSA interface {
	crypto.Signer
	crypto.Decrypter
}

// NewRSAKey describes an RSA private key that is held in memory. What computes
// with it is Arithmetic's; a key that this does not take is an error.
func NewRSAKey(key *rsa.PrivateKey, origin string) (*PrivateKey, error) {
	used, err := usable(key)
	if err != nil {
		return nil, err
	}
	return NewPrivateKey(used, used, &key.PublicKey, origin), nil
}

// NewSecret describes a shared secret.
func NewSecret(value []byte, origin string) *Secret {
	sum := sha256.Sum256(value)
	return &Secret{
		value: value, sum: sum, Fingerprint: hex.EncodeToString(sum[:4]), Origin: origin,
		hmacs: &sync.Pool{New: func() any { return hmac.New(sha256.New, value) }},
	}
}

// String never shows the secret.
func (s Secret) String() string { return "secret " + s.Fingerprint }

// GoString never shows the secret.
func (s Secret) GoString() string { return s.String() }

// Format never shows the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText never shows the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String never shows the key.
func (k PrivateKey) String() string { return "private key " + k.Fingerprint }

// GoString never shows the key.
func (k PrivateKey) GoString() string { return k.String() }

// Format never shows the key, whatever the verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// MarshalText never shows the key.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
