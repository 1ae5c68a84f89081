package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
)

// The kinds of keys.
const (
	KindRSA     = "RSA"
	KindECDSA   = "ECDSA P-256"
	KindEd25519 = "Ed25519"
	KindSM2     = "SM2"
)

// PrivateKey is an own private key. Signer serves the role sign and Decrypter
// the role decrypt; both may be one RSA key. A key that cannot decrypt, such as
// Ed25519, has no Decrypter.
type PrivateKey struct {
	Signer      crypto.Signer
	Decrypter   crypto.Decrypter
	Key         crypto.PublicKey // its public half: *rsa.PublicKey, *ecdsa.PublicKey (P-256 or SM2), ed25519.PublicKey
	Public      *rsa.PublicKey   // the same, where it is an RSA key, else nil
	Kind        string           // KindRSA, KindECDSA, KindEd25519, KindSM2
	ID          string           // of its role, or ""
	Serial      string           // of the certificate that stands beside it, upper-case hex, or ""
	Certificate []byte           // that certificate as DER, or nil
	Fingerprint string           // SHA-256 of the public key's PKIX form, 64 hex digits
	Origin      string           // where it came from, such as "file keys/easypay/1/sign.pem"
	Remote      bool             // the source computes with it: a use takes time, but no CPU
}

// PublicKey is a key of the peer.
type PublicKey struct {
	Key            crypto.PublicKey  // *rsa.PublicKey, *ecdsa.PublicKey (P-256 or SM2), ed25519.PublicKey
	RSA            *rsa.PublicKey    // the same, where it is an RSA key, else nil
	Kind           string            // KindRSA, KindECDSA, KindEd25519, KindSM2
	ID             string            // of its role, or ""
	Serial         string            // of the certificate it stood in, upper-case hex, or ""
	Certificate    *x509.Certificate // the certificate it stood in, or nil; nil for SM2
	CertificateDER []byte            // the same as DER, SM2 too
	Fingerprint    string            // SHA-256 of the PKIX form, 64 hex digits
	Origin         string            // where it came from
	Expires        time.Time         // of the certificate it stood in; zero if it stood in none

	sm2 *gm.Certificate // the certificate that an SM2 key stood in, or nil
}

// Info is the part of a key or a secret that commands and the admin endpoint show.
type Info struct {
	Kind        string // KindRSA, KindECDSA, KindEd25519, KindSM2; "" for a secret
	Bits        int    // 0 for a secret
	ID          string // of its role, or ""
	Serial      string // of its certificate, upper-case hex, or ""
	Fingerprint string
	Origin      string
	Expires     time.Time // of its certificate, or zero
}

func (k *PrivateKey) info() Info {
	return Info{k.Kind, Bits(k.Key), k.ID, k.Serial, k.Fingerprint, k.Origin, time.Time{}}
}

func (k *PublicKey) info() Info {
	return Info{k.Kind, Bits(k.Key), k.ID, k.Serial, k.Fingerprint, k.Origin, k.Expires}
}

// KindOf returns the kind of a public key, or "" for a kind that is not supported.
func KindOf(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return KindRSA
	case ed25519.PublicKey:
		return KindEd25519
	case *ecdsa.PublicKey:
		switch {
		case key.Curve == elliptic.P256():
			return KindECDSA
		case gm.IsPublicKey(key):
			return KindSM2
		}
	}
	return ""
}

// Bits returns the size of a public key in bits.
func Bits(public crypto.PublicKey) int {
	if key, ok := public.(*rsa.PublicKey); ok && key != nil {
		return key.N.BitLen()
	}
	return 256
}

// Fingerprint returns the SHA-256 of a public key's PKIX form in 64 lower-case hex
// digits.
func Fingerprint(public crypto.PublicKey) string {
	der, err := MarshalPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// MarshalPublicKey returns the PKIX form (SubjectPublicKeyInfo) of a public key
// of any kind, as DER.
func MarshalPublicKey(public crypto.PublicKey) ([]byte, error) {
	if key, ok := public.(*ecdsa.PublicKey); ok && gm.IsPublicKey(key) {
		return gm.MarshalPublicKey(key)
	}
	return x509.MarshalPKIXPublicKey(public)
}

// NewPrivateKey describes a private key that signs, decrypts or does both;
// either may be nil. A source whose keys compute elsewhere sets Remote.
func NewPrivateKey(signer crypto.Signer, decrypter crypto.Decrypter, public crypto.PublicKey, origin string) *PrivateKey {
	key := &PrivateKey{
		Signer: signer, Decrypter: decrypter, Key: public,
		Kind: KindOf(public), Fingerprint: Fingerprint(public), Origin: origin,
	}
	key.Public, _ = public.(*rsa.PublicKey)
	return key
}

// NewPublicKey describes a public key that stands in no certificate.
func NewPublicKey(public crypto.PublicKey, origin string) *PublicKey {
	key := &PublicKey{Key: public, Kind: KindOf(public), Fingerprint: Fingerprint(public), Origin: origin}
	key.RSA, _ = public.(*rsa.PublicKey)
	return key
}

// goArithmetic is what Arithmetic calls Go's own implementation.
const goArithmetic = "crypto/rsa"

// privateRSA is an RSA private key as it is used.
type privateRSA interface {
	crypto.Signer
	crypto.Decrypter
}

// NewRSAKey describes an RSA private key in memory. The implementation that Arithmetic
// names computes with it; a key that it refuses is an error.
func NewRSAKey(key *rsa.PrivateKey, origin string) (*PrivateKey, error) {
	used, err := usable(key)
	if err != nil {
		return nil, err
	}
	return NewPrivateKey(used, used, &key.PublicKey, origin), nil
}

// String never shows the key.
func (k PrivateKey) String() string { return "private key " + k.Fingerprint }

// GoString never shows the key.
func (k PrivateKey) GoString() string { return k.String() }

// Format never shows the key, whatever the verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// MarshalText never shows the key.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
