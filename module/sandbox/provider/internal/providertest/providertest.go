// Package providertest is what the tests of the sandbox providers share: keys
// of both sides, and the vectors.
package providertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// Now is the clock of the tests.
var Now = time.Date(2024, 3, 6, 8, 28, 0, 0, time.UTC)

// Sides are the private keys of an exchange.
type Sides struct {
	Merchant, Provider *rsa.PrivateKey
}

// RSA makes the keys of both sides, once for each size.
func RSA(t testing.TB, bits int) Sides {
	made.Lock()
	defer made.Unlock()
	if sides, ok := made.sides[bits]; ok {
		return sides
	}
	var sides Sides
	for _, key := range []**rsa.PrivateKey{&sides.Merchant, &sides.Provider} {
		var err error
		*key, err = rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
	}
	made.sides[bits] = sides
	return sides
}

var made = struct {
	sync.Mutex
	sides map[int]Sides
}{sides: map[int]Sides{}}

// Keys returns what the provider holds of these keys.
func (s Sides) Keys(secrets ...string) provider.Keys {
	keys := provider.Keys{
		Sign:    s.Provider,
		Decrypt: s.Provider,
		Verify:  []*rsa.PublicKey{&s.Merchant.PublicKey},
		Encrypt: &s.Merchant.PublicKey,
	}
	for _, secret := range secrets {
		keys.Secrets = append(keys.Secrets, []byte(secret))
	}
	return keys
}

// Sign returns the merchant's signature.
func Sign(t testing.TB, key *rsa.PrivateKey, message string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(message))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(sig)
}

// Verifies reports whether a signature is genuine.
func Verifies(t testing.TB, key *rsa.PublicKey, message, signature string) bool {
	t.Helper()
	sig, err := base64.StdEncoding.DecodeString(signature)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(message))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
}

// Vector is a known result.
type Vector struct {
	ID         string          `json:"id"`
	Secret     string          `json:"secret"`
	PublicKey  string          `json:"public_key"`
	Input      json.RawMessage `json:"input"`
	Canonical  string          `json:"canonical"`
	Signature  string          `json:"signature"`
	SHA256     string          `json:"sha256"`
	KeyASCII   string          `json:"key_ascii"`
	Plaintext  string          `json:"plaintext"`
	Ciphertext map[string]string
}

// Key returns the vector's public key.
func (v Vector) Key(t testing.TB) *rsa.PublicKey {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(v.PublicKey)
	require.NoError(t, err)
	key, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)
	return key.(*rsa.PublicKey)
}

// Vectors returns those of the provider that is tested, by their ID.
func Vectors(t testing.TB) map[string]Vector {
	t.Helper()
	var list []Vector
	require.NoError(t, json.Unmarshal(File(t, "vectors.json"), &list))
	require.NotEmpty(t, list)
	vectors := map[string]Vector{}
	for _, v := range list {
		vectors[v.ID] = v
	}
	return vectors
}

// File returns a file of testdata.
func File(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return content
}
