// Package signature makes and checks the signatures of the sandbox providers,
// and makes the wrong ones that a fault asks for.
package signature

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// ErrWrong says that a signature does not hold under any of the keys.
var ErrWrong = errors.New("the signature does not verify")

// SignRSA returns the SHA256withRSA (PKCS #1 v1.5) signature in standard Base64.
// BadSignature and WrongKey make it a wrong one of the same size.
func SignRSA(fault provider.Fault, key crypto.Signer, message string) (string, error) {
	if key == nil {
		return "", errors.New("the key set has no private key to sign with")
	}
	public, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return "", fmt.Errorf("the key to sign with is not an RSA key but %T", key.Public())
	}
	if fault == provider.WrongKey {
		other, err := otherKeys.get(public.N.BitLen())
		if err != nil {
			return "", err
		}
		key = other
	}
	digest := sha256.Sum256([]byte(message))
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("signing the answer: %w", err)
	}
	if fault == provider.BadSignature {
		sig[len(sig)-1] ^= 1
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// VerifyRSA checks a SHA256withRSA signature in standard Base64, line breaks allowed,
// and returns the number of the key that made it, counted from 1.
func VerifyRSA(keys []*rsa.PublicKey, message, text string) (int, error) {
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return 0, errors.New("the signature is not standard Base64")
	}
	digest := sha256.Sum256([]byte(message))
	for i, key := range keys {
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil {
			return i + 1, nil
		}
	}
	return 0, ErrWrong
}

// otherKeys are keys that nobody agreed on, one for each size. Making one
// takes up to a second, so that they are kept.
var otherKeys strangerKeys

type strangerKeys struct {
	mu   sync.Mutex
	keys map[int]*rsa.PrivateKey
}

func (s *strangerKeys) get(bits int) (*rsa.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[bits]; key != nil {
		return key, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("making a strange key: %w", err)
	}
	if s.keys == nil {
		s.keys = map[int]*rsa.PrivateKey{}
	}
	s.keys[bits] = key
	return key, nil
}
