package providers_test

import (
	"crypto"
	"crypto/rand"
	cryptorsa "crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// ICBC signs and reads the members of an acknowledgement as they stand in the body, the
// name of response_biz_content and sign_type included.
func TestICBCAcknowledgement(t *testing.T) {
	private, err := cryptorsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	set, err := keys.Parse("icbc/M1", "1", keys.Material{
		keys.Sign: {Text: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
	})
	require.NoError(t, err)

	const answered = `"response_biz_content":{"return_code":0, "return_msg":"success","msg_id":"M1"},"sign_type":"RSA2"`
	o, err := body.Parse([]byte("{" + answered + "}"))
	require.NoError(t, err)
	ack := message.New(message.Request)
	ack.SetPayload(o)
	sign := compiled(t, "icbc", nil).Describe().Notify.SignAck
	require.NoError(t, sign(&scheme.Draft{Message: ack, Keys: set, Now: time.Now()}))

	signed, err := body.Parse(ack.Wire)
	require.NoError(t, err)
	m, ok := signed.Get("sign")
	require.True(t, ok)
	assert.Equal(t, "{"+answered+`,"sign":"`+string(m.Text())+`"}`, string(ack.Wire))
	raw, err := base64.StdEncoding.DecodeString(string(m.Text()))
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(answered))
	assert.NoError(t, cryptorsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest[:], raw))
}
