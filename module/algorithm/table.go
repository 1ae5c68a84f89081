package algorithm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // demanded by providers
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // demanded by providers
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

const (
	weakMD5  = "MD5 is broken: two texts with the same digest can be made at will. Use it only where the provider offers nothing else."
	weakSHA1 = "SHA-1 is broken: two texts with the same digest can be made at great cost. Use it only where the provider offers nothing else."
)

// The kinds of key.
const (
	keyRSA     = "RSA"
	keySM2     = "SM2"
	keyEd25519 = "Ed25519"
	keyECDSA   = "ECDSA"
)

var algorithms = []Algorithm{
	digest("md5", md5.New, weakMD5), digest("sha1", sha1.New, weakSHA1), digest("sha256", sha256.New, ""),
	digest("sha384", sha512.New384, ""), digest("sha512", sha512.New, ""), digest("sm3", gm.NewSM3, ""),
	mac("hmac-md5", md5.New, weakMD5), mac("hmac-sha1", sha1.New, weakSHA1), mac("hmac-sha256", sha256.New, ""),
	mac("hmac-sha512", sha512.New, ""), mac("hmac-sm3", gm.NewSM3, ""),
	pkcs1("rsa-md5", crypto.MD5, weakMD5), pkcs1("rsa-sha1", crypto.SHA1, weakSHA1),
	pkcs1("rsa-sha256", crypto.SHA256, ""), pkcs1("rsa-sha512", crypto.SHA512, ""),
	{name: "rsa-pss-sha256", kind: Public, key: keyRSA, sign: signPSS, verify: verifyPSS},
	{name: "sm2", kind: Public, key: keySM2, sign: signSM2, verify: verifySM2},
	{name: "sm2-rs", kind: Public, key: keySM2, sign: signSM2Raw, verify: verifySM2Raw},
	{name: "ed25519", kind: Public, key: keyEd25519, sign: signEd25519, verify: verifyEd25519},
	{name: "ecdsa-sha256", kind: Public, key: keyECDSA, sign: signECDSA, verify: verifyECDSA},
}

var digests = []struct {
	name string
	hash func() hash.Hash
}{
	{"md5", md5.New}, {"sha1", sha1.New}, {"sha256", sha256.New}, {"sha384", sha512.New384}, {"sha512", sha512.New}, {"sm3", gm.NewSM3},
}

// DigestNamed returns the plain digest of a name: md5, sha1, sha256, sha384,
// sha512 or sm3.
func DigestNamed(name string) (func([]byte) []byte, error) {
	names := make([]string, len(digests))
	for i, d := range digests {
		if d.name == name {
			return func(text []byte) []byte { return sum(d.hash(), text) }, nil
		}
		names[i] = d.name
	}
	return nil, i18n.Errorf("unknown digest %q: write one of %s", name, strings.Join(names, ", "))
}

// KeyKind returns the kind of a public key: RSA, SM2, Ed25519, ECDSA (on one of
// NIST's curves), or "" for every other key.
func KeyKind(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key != nil {
			return keyRSA
		}
	case ed25519.PublicKey:
		return keyEd25519
	case *ecdsa.PublicKey:
		switch {
		case key == nil:
		case gm.IsPublicKey(key):
			return keySM2
		case key.Curve == elliptic.P224() || key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521():
			return keyECDSA
		}
	}
	return ""
}

func sum(h hash.Hash, text ...[]byte) []byte {
	for _, piece := range text {
		h.Write(piece)
	}
	return h.Sum(nil)
}

func digest(name string, newHash func() hash.Hash, weak string) Algorithm {
	return Algorithm{name: name, kind: Digest, weak: weak, sum: func(_ []byte, text ...[]byte) []byte { return sum(newHash(), text...) }}
}

func mac(name string, newHash func() hash.Hash, weak string) Algorithm {
	return Algorithm{name: name, kind: MAC, weak: weak, sum: func(secret []byte, text ...[]byte) []byte { return sum(hmac.New(newHash, secret), text...) }}
}

func pkcs1(name string, h crypto.Hash, weak string) Algorithm {
	return Algorithm{
		name: name, kind: Public, key: keyRSA, weak: weak,
		sign: func(key crypto.Signer, text []byte, _ Options) ([]byte, error) {
			return key.Sign(rand.Reader, sum(h.New(), text), h)
		},
		verify: func(key crypto.PublicKey, text, signature []byte, _ Options) bool {
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), h, sum(h.New(), text), signature) == nil
		},
	}
}

// The salt is written as long as the digest, and read in any length: Node's default is
// the longest that fits.
func signPSS(key crypto.Signer, text []byte, _ Options) ([]byte, error) {
	sum := sha256.Sum256(text)
	return key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
}

func verifyPSS(key crypto.PublicKey, text, signature []byte, _ Options) bool {
	sum := sha256.Sum256(text)
	return rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
}

func signSM2(key crypto.Signer, text []byte, o Options) ([]byte, error) {
	return gm.Sign(key, o.UID, text)
}

func verifySM2(key crypto.PublicKey, text, signature []byte, o Options) bool {
	return gm.Verify(key.(*ecdsa.PublicKey), o.UID, text, signature)
}

func signSM2Raw(key crypto.Signer, text []byte, o Options) ([]byte, error) {
	der, err := gm.Sign(key, o.UID, text)
	if err != nil {
		return nil, err
	}
	return gm.DERToRaw(der)
}

func verifySM2Raw(key crypto.PublicKey, text, signature []byte, o Options) bool {
	return gm.VerifyRaw(key.(*ecdsa.PublicKey), o.UID, text, signature)
}

func signEd25519(key crypto.Signer, text []byte, _ Options) ([]byte, error) {
	return key.Sign(rand.Reader, text, crypto.Hash(0))
}

func verifyEd25519(key crypto.PublicKey, text, signature []byte, _ Options) bool {
	public := key.(ed25519.PublicKey)
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, text, signature)
}

func signECDSA(key crypto.Signer, text []byte, _ Options) ([]byte, error) {
	sum := sha256.Sum256(text)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func verifyECDSA(key crypto.PublicKey, text, signature []byte, _ Options) bool {
	sum := sha256.Sum256(text)
	return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], signature)
}
