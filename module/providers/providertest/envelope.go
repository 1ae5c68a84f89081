package providertest

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// NewKey returns a fresh symmetric key of 32 characters.
func NewKey() []byte { return []byte((rand.Text() + rand.Text())[:32]) }

// Encrypt encrypts a text as easypay's page says, filled up with spaces, and
// returns it in Base64. It uses the standard library alone.
func Encrypt(t testing.TB, key []byte, text string) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	out := []byte(text + strings.Repeat(" ", (aes.BlockSize-len(text)%aes.BlockSize)%aes.BlockSize))
	for i := 0; i < len(out); i += aes.BlockSize {
		block.Encrypt(out[i:], out[i:])
	}
	return base64.StdEncoding.EncodeToString(out)
}

// Decrypt returns the text that Encrypt has encrypted, with its spaces.
func Decrypt(t testing.TB, key []byte, ciphertext string) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	out, err := base64.StdEncoding.DecodeString(ciphertext)
	require.NoError(t, err)
	require.Zero(t, len(out)%aes.BlockSize)
	for i := 0; i < len(out); i += aes.BlockSize {
		block.Decrypt(out[i:], out[i:])
	}
	return string(out)
}

// Wrap returns an envelope with a symmetric key behind a prefix.
func Wrap(t testing.TB, public *rsa.PublicKey, prefix string, key []byte) string {
	t.Helper()
	out, err := rsa.EncryptPKCS1v15(rand.Reader, public, append([]byte(prefix), key...)) //nolint:staticcheck // easypay demands this padding
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(out)
}

// Unwrap returns the symmetric key in an envelope, which must have the prefix.
func Unwrap(private crypto.Decrypter, prefix, envelope string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(envelope)
	if err != nil {
		return nil, err
	}
	text, err := private.Decrypt(rand.Reader, raw, nil)
	if err != nil {
		return nil, err
	}
	key, ok := strings.CutPrefix(string(text), prefix)
	if !ok || len(key) != 32 {
		return nil, errors.New("the envelope does not hold a prefix and a key of 32 characters")
	}
	return []byte(key), nil
}
