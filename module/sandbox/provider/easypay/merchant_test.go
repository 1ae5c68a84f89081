package easypay

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
)

// object is a JSON object of the merchant.
type object = map[string]any

const merchantKey = "0123456789abcdef0123456789ABCDEF"

// merchant is the other side, written without the provider's code: maps,
// strings, and the page's steps one by one.
type merchant struct {
	t       *testing.T
	sides   providertest.Sides
	message object // the request in plain
	path    string
	fault   provider.Fault
	// envelopeKey goes into the envelope, key encrypts, blank fills the last
	// block.
	envelopeKey, key string
	blank            string
	// sealed and sent are changes to the request, before and after it is
	// signed.
	sealed, sent func(message, biz object)
}

func newMerchant(t *testing.T, file string) *merchant {
	m := &merchant{t: t, sides: providertest.RSA(t, 1024), path: "/ledger/mpos", envelopeKey: merchantKey, key: merchantKey, blank: " "}
	require.NoError(t, json.Unmarshal(providertest.File(t, file), &m.message))
	return m
}

func (m *merchant) biz() object { return m.message["bizData"].(object) }

// encrypt is AES-256-ECB over blocks that are filled with blank.
func (m *merchant) encrypt(plain string) string {
	if m.blank == PaddingPKCS7 {
		n := 16 - len(plain)%16
		plain += strings.Repeat(string(rune(n)), n)
	}
	for len(plain)%16 != 0 {
		plain += m.blank
	}
	block, err := aes.NewCipher([]byte(m.key))
	require.NoError(m.t, err)
	out := []byte(plain)
	for i := 0; i < len(out); i += 16 {
		block.Encrypt(out[i:i+16], out[i:i+16])
	}
	return base64.StdEncoding.EncodeToString(out)
}

func (m *merchant) decrypt(key, cipherText string) string {
	out, err := base64.StdEncoding.DecodeString(cipherText)
	require.NoError(m.t, err)
	require.Zero(m.t, len(out)%16)
	block, err := aes.NewCipher([]byte(key))
	require.NoError(m.t, err)
	for i := 0; i < len(out); i += 16 {
		block.Decrypt(out[i:i+16], out[i:i+16])
	}
	return string(out)
}

func canonicalOf(biz object) string {
	var pieces []string
	for name, value := range biz {
		if text, ok := value.(string); ok && strings.Trim(text, " \t\r\n") != "" {
			pieces = append(pieces, name+"="+strings.Trim(text, " \t\r\n"))
		}
	}
	sort.Strings(pieces) // no name of the tests begins with another one and "="
	return strings.Join(pieces, "&")
}

// request seals the message.
func (m *merchant) request() provider.Request {
	biz := m.biz()
	if details, ok := biz["orderSubDetails"]; ok {
		plain, isText := details.(string)
		if !isText {
			text, err := json.Marshal(details)
			require.NoError(m.t, err)
			plain = string(text)
		}
		wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, &m.sides.Provider.PublicKey, []byte(m.envelopeKey))
		require.NoError(m.t, err)
		biz["dgtlEnvlp"] = base64.StdEncoding.EncodeToString(wrapped)
		biz["orderSubDetails"] = m.encrypt(plain)
	}
	if m.sealed != nil {
		m.sealed(m.message, biz)
	}
	m.message["signType"] = "SHA256withRSA"
	m.message["sign"] = providertest.Sign(m.t, m.sides.Merchant, canonicalOf(biz))
	if m.sent != nil {
		m.sent(m.message, biz)
	}
	body, err := json.Marshal(m.message)
	require.NoError(m.t, err)
	return m.raw(string(body))
}

func (m *merchant) raw(body string) provider.Request {
	return provider.Request{
		Path: m.path, ContentType: "application/json", Body: []byte(body),
		Keys: m.sides.Keys(), Fault: m.fault, Now: providertest.Now,
	}
}

// read returns the answer or notification as the merchant reads it, and whether the
// signature over that part of it is genuine.
func (m *merchant) read(body []byte, part string) (message, biz object, genuine bool) {
	require.NoError(m.t, json.Unmarshal(body, &message), string(body))
	biz, _ = message[part].(object)
	require.NotNil(m.t, biz, string(body))
	sign, _ := message["sign"].(string)
	return message, biz, sign != "" &&
		providertest.Verifies(m.t, &m.sides.Provider.PublicKey, canonicalOf(biz), sign)
}
