package signature

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/countersign/caddy-countersign/module/keys"
)

// Algorithm signs with a key set, and verifies with one. What it returns
// besides is the fingerprint of the key that it used.
type Algorithm interface {
	// SignRole is the role that Sign needs.
	SignRole() keys.Role

	// VerifyRole is the role that Verify needs.
	VerifyRole() keys.Role

	// Sign signs a message. The set must have the role.
	Sign(set *keys.Set, message []byte) (signature, fingerprint string, err error)

	// Verify verifies a signature with each of the keys that may have made it.
	// Its error is ErrVerify.
	Verify(set *keys.Set, message []byte, signature string) (fingerprint string, err error)
}

// SHA256WithRSA is the algorithm that Java calls SHA256withRSA, in Base64.
var SHA256WithRSA Algorithm = sha256WithRSA{}

type sha256WithRSA struct{}

func (sha256WithRSA) SignRole() keys.Role   { return keys.Sign }
func (sha256WithRSA) VerifyRole() keys.Role { return keys.Verify }

func (sha256WithRSA) Sign(set *keys.Set, message []byte) (signature, fingerprint string, err error) {
	signature, err = SignRSA(set.Sign, message)
	return signature, set.Sign.Fingerprint, err
}

func (sha256WithRSA) Verify(set *keys.Set, message []byte, signature string) (string, error) {
	key, err := VerifyRSA(set.Verify, message, signature)
	if err != nil {
		return "", err
	}
	return key.Fingerprint, nil
}

// UpperHex is the algorithm of a digest with the shared secret, in upper-case
// hexadecimal. Either case verifies.
func UpperHex(digest Digest) Algorithm {
	return keyed{digest, func(sum []byte) string {
		var room [2 * sha256.Size]byte
		text := hex.AppendEncode(room[:0], sum)
		for i, c := range text {
			if c >= 'a' {
				text[i] = c - 'a' + 'A'
			}
		}
		return string(text)
	}}
}

// LowerHex is UpperHex in lower case.
func LowerHex(digest Digest) Algorithm {
	return keyed{digest, func(sum []byte) string {
		var room [2 * sha256.Size]byte
		return string(hex.AppendEncode(room[:0], sum))
	}}
}

type keyed struct {
	digest Digest
	encode func([]byte) string
}

func (keyed) SignRole() keys.Role   { return keys.SharedSecret }
func (keyed) VerifyRole() keys.Role { return keys.SharedSecret }

func (k keyed) Sign(set *keys.Set, message []byte) (signature, fingerprint string, err error) {
	return k.encode(k.digest(message, set.Secret)), set.Secret.Fingerprint, nil
}

func (k keyed) Verify(set *keys.Set, message []byte, signature string) (string, error) {
	secret, err := VerifyDigest(set.VerifySecrets, k.digest, message, signature)
	if err != nil {
		return "", err
	}
	return secret.Fingerprint, nil
}
