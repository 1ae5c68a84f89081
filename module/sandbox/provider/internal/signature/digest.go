package signature

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// Digest computes a provider's digest of a message with a shared secret.
type Digest func(secret []byte) []byte

// SignDigest returns the digest under the first secret, in lower-case hex.
// BadSignature and WrongKey make it a wrong one of the same size.
func SignDigest(fault provider.Fault, secrets [][]byte, digest Digest) (string, error) {
	if len(secrets) == 0 {
		return "", errors.New("the key set has no shared secret to sign with")
	}
	secret := secrets[0]
	if fault == provider.WrongKey {
		secret = append(slices.Clone(secret), "-of somebody else"...)
	}
	sum := digest(secret)
	if fault == provider.BadSignature {
		sum[len(sum)-1] ^= 1
	}
	return hex.EncodeToString(sum), nil
}

// VerifyDigest checks a digest in hex, of either case, and returns the number of the
// secret that made it, counted from 1.
func VerifyDigest(secrets [][]byte, digest Digest, text string) (int, error) {
	sum, err := hex.DecodeString(text)
	if err != nil {
		return 0, errors.New("the signature is not hexadecimal")
	}
	for i, secret := range secrets {
		if hmac.Equal(digest(secret), sum) {
			return i + 1, nil
		}
	}
	return 0, ErrWrong
}
