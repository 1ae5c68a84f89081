package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewRSAKey(t *testing.T) {
	key, err := NewRSAKey(one(), "a test")
	require.NoError(t, err)
	assert.Equal(t, "a test", key.Origin)
	assert.Equal(t, Fingerprint(&one().PublicKey), key.Fingerprint)

	digest := sha256.Sum256([]byte("message"))
	sig, err := key.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPKCS1v15(key.Public, crypto.SHA256, digest[:], sig))
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, key.Public, []byte("text"))
	require.NoError(t, err)
	text, err := key.Decrypter.Decrypt(rand.Reader, sealed, nil)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))

	broken := &rsa.PrivateKey{PublicKey: one().PublicKey, D: one().D}
	_, err = NewRSAKey(broken, "a test")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), broken.D.String())
}

// BenchmarkSign is the arithmetic of a flavour:
//
//	go test -run - -bench Sign ./module/keys
//	go test -run - -bench Sign -tags fastrsa ./module/keys
func BenchmarkSign(b *testing.B) {
	digest := sha256.Sum256([]byte("message"))
	for _, bits := range []int{1024, 2048} {
		b.Run(strconv.Itoa(bits), func(b *testing.B) {
			key, err := NewRSAKey(generate(bits), "a test")
			require.NoError(b, err)
			for b.Loop() {
				_, _ = key.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
			}
		})
	}
}
