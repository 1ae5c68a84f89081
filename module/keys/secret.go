package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Secret is a secret shared with the peer.
type Secret struct {
	value       []byte
	sum         [sha256.Size]byte
	Fingerprint string // the first 8 hex digits of its SHA-256
	Origin      string // where it came from
}

// NewSecret describes a shared secret.
func NewSecret(value []byte, origin string) *Secret {
	sum := sha256.Sum256(value)
	return &Secret{value: value, sum: sum, Fingerprint: hex.EncodeToString(sum[:4]), Origin: origin}
}

// Bytes returns the secret itself. It must not be changed or kept.
func (s *Secret) Bytes() []byte { return s.value }

// HMACSHA256 is HMAC with SHA-256 of a message, keyed with the secret.
func (s *Secret) HMACSHA256(message []byte) []byte {
	h := hmac.New(sha256.New, s.value)
	h.Write(message)
	return h.Sum(nil)
}

// SHA256 returns the whole digest of the secret in hex. It is for comparing with known
// secrets and must not be shown: a weak secret can be guessed from it.
func (s *Secret) SHA256() string { return hex.EncodeToString(s.sum[:]) }

// empty reports whether there is no secret, or one under which anybody could sign.
func (s *Secret) empty() bool { return s == nil || len(s.value) == 0 }

// String never shows the secret.
func (s Secret) String() string { return "secret " + s.Fingerprint }

// GoString never shows the secret.
func (s Secret) GoString() string { return s.String() }

// Format never shows the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText never shows the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Secret) info() Info { return Info{Fingerprint: s.Fingerprint, Origin: s.Origin} }
