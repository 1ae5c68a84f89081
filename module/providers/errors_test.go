package providers_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	rsakeys "crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// With content AES the answers of Alipay's v3 are ciphertext, and its errors are not.
func TestErrorsOfAlipayV3AreNotEncrypted(t *testing.T) {
	theirs, err := rsakeys.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(&theirs.PublicKey)
	require.NoError(t, err)
	key := []byte("0123456789abcdef")
	set, err := keys.Parse("a", "1", keys.Material{
		keys.Verify:                {Text: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})},
		keys.SharedSecret + "@aes": {Text: []byte(base64.StdEncoding.EncodeToString(key))},
	})
	require.NoError(t, err)
	answer := func(options recipe.Settings, sent, signed string) (*scheme.Verified, error) {
		sum := sha256.Sum256([]byte("1700000000000\nnonce\n" + signed + "\n"))
		signature, err := rsakeys.SignPKCS1v15(nil, theirs, crypto.SHA256, sum[:])
		require.NoError(t, err)
		return open(compiled(t, "alipay-v3", options), message.Answer, set, sent, "Alipay-Timestamp", "1700000000000", "Alipay-Nonce", "nonce",
			"Alipay-Signature", base64.StdEncoding.EncodeToString(signature))
	}
	encrypted := recipe.Settings{"content": {"AES"}}

	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	ciphertext := pad([]byte(`{"out_trade_no":"1"}`))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(ciphertext, ciphertext)
	text := base64.StdEncoding.EncodeToString(ciphertext)
	v, err := answer(encrypted, text, text)
	require.NoError(t, err)
	assert.JSONEq(t, `{"out_trade_no":"1"}`, string(v.Body()))

	const failure = `{"code":"invalid-parameter","message":"no"}`
	v, err = answer(encrypted, failure, failure)
	require.NoError(t, err)
	assert.Equal(t, failure, string(v.Body()))
	assert.False(t, v.IsUnsigned())

	_, err = answer(encrypted, `{"out_trade_no":"2"}`, text)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "what nobody has signed")
	for _, other := range []string{`"text"`, `{"a":1`, `12`} {
		_, err = answer(encrypted, other, other)
		assert.Error(t, err, other)
	}
}
