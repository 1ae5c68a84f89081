// Package signature signs and verifies canonical strings: RSA with SHA-256
// (PKCS #1 v1.5, Java's SHA256withRSA) and digests with a shared secret.
package signature

import (
	"crypto"
	"crypto/md5" //nolint:gosec // demanded by jeepay 计全付 and hkrt 海科
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
)

// ErrVerify is the one error for a signature that does not verify, whatever the
// cause.
var ErrVerify = errors.New("the signature does not verify")

// SignRSA signs message with SHA256withRSA and returns the signature in Base64.
func SignRSA(key *keys.PrivateKey, message []byte) (string, error) {
	if key.Kind != "" && key.Kind != keys.KindRSA {
		return "", fmt.Errorf("signing with %s: it is an %s key, and SHA256withRSA needs an RSA key", key.Origin, key.Kind)
	}
	digest := sha256.Sum256(message)
	sig, err := key.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("signing with %s: %w", key.Origin, err)
	}
	return encoding.EncodeBase64(sig), nil
}

// VerifyRSA verifies a Base64 signature of SHA256withRSA under each of the
// public keys and returns the one under which it is good.
func VerifyRSA(candidates []*keys.PublicKey, message []byte, signature string) (*keys.PublicKey, error) {
	sig, err := encoding.DecodeBase64(signature)
	if err != nil {
		return nil, ErrVerify
	}
	digest := sha256.Sum256(message)
	for _, key := range candidates {
		if key.RSA != nil && rsa.VerifyPKCS1v15(key.RSA, crypto.SHA256, digest[:], sig) == nil {
			return key, nil
		}
	}
	return nil, ErrVerify
}

// Digest makes a digest of a message with a shared secret. How the secret
// enters is the provider's rule.
type Digest func(message []byte, secret *keys.Secret) []byte

// MD5WithSecret is MD5 over the message, then between, then the secret. MD5 is
// the providers' choice: it resists a stranger who wants to forge a signature,
// and nobody who can choose parts of a signed message.
func MD5WithSecret(between string) Digest {
	separator := []byte(between)
	return func(message []byte, secret *keys.Secret) []byte {
		h := md5s.Get().(hash.Hash)
		defer md5s.Put(h)
		h.Reset()
		h.Write(message)
		h.Write(separator)
		h.Write(secret.Bytes())
		return h.Sum(nil)
	}
}

var md5s = sync.Pool{New: func() any { return md5.New() }} //nolint:gosec // see the import

// HMACSHA256 is HMAC with SHA-256, keyed with the secret.
func HMACSHA256(message []byte, secret *keys.Secret) []byte { return secret.HMACSHA256(message) }

// VerifyDigest verifies a digest in hexadecimal, of either case and in constant
// time, under each of the secrets and returns the one under which it is good.
func VerifyDigest(candidates []*keys.Secret, digest Digest, message []byte, signature string) (*keys.Secret, error) {
	sig, err := encoding.DecodeHex(signature)
	if err != nil {
		return nil, ErrVerify
	}
	for _, secret := range candidates {
		if subtle.ConstantTimeCompare(digest(message, secret), sig) == 1 {
			return secret, nil
		}
	}
	return nil, ErrVerify
}
