package providers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// An answer of Alipay without a signature passes as such if it says that it is an error, and
// nothing besides.
func TestAlipayErrorWithoutASignature(t *testing.T) {
	p := compiled(t, "alipay", nil)
	set := newPair(t).set(t, "")
	v, err := open(p, message.Answer, set, `{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id"}}`)
	require.NoError(t, err)
	assert.True(t, v.IsUnsigned())
	for name, answer := range map[string]string{
		"success":              `{"error_response":{"code":"10000","msg":"Success"}}`,
		"an answer":            `{"alipay_trade_pay_response":{"code":"40004","msg":"Business Failed"}}`,
		"an answer beside it":  `{"error_response":{"code":"40002"},"alipay_trade_pay_response":{"code":"10000"}}`,
		"a member beside it":   `{"error_response":{"code":"40002"},"trade_no":"1"}`,
		"a number":             `{"error_response":{"code":40002}}`,
		"no code":              `{"error_response":{"msg":"x"}}`,
		"a code that is none":  `{"error_response":{"code":"0"}}`,
		"a code with a letter": `{"error_response":{"code":"40002x"}}`,
		"not an object":        `{"error_response":"40002"}`,
	} {
		_, err := open(p, message.Answer, set, answer)
		assert.Error(t, err, name)
	}
	_, err = open(p, message.Answer, set, `{"error_response":{"code":"40002"},"sign":"AAAA"}`)
	assert.Error(t, err, "one that is signed must verify")
}

// Several signatures stand in the header of Standard Webhooks, of several keys and versions.
func TestStandardWebhooksSignatures(t *testing.T) {
	p := compiled(t, "standard-webhooks", nil)
	secret := base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmn"))
	set := providertest.Keys(t, map[keys.Role]string{keys.SharedSecret: "whsec_" + secret})
	const id, at, payload = "msg_1", "1795680000", `{"type":"paid"}`
	mac := hmac.New(sha256.New, []byte("0123456789abcdefghijklmn"))
	mac.Write([]byte(id + "." + at + "." + payload))
	good := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	try := func(header string) error {
		_, err := open(p, message.Notification, set, payload, "Webhook-Id", id, "Webhook-Timestamp", at, "Webhook-Signature", header)
		return err
	}
	for name, header := range map[string]string{
		"alone": good, "behind another": "v1,AAAA " + good, "before one of another version": good + " v1a,AAAA", "in the middle": "v1a,x " + good + " v2,y",
	} {
		assert.NoError(t, try(header), name)
	}
	for name, c := range map[string]struct {
		header string
		want   scheme.Reason
	}{
		"none":                 {"", scheme.Unsigned},
		"another version":      {strings.Replace(good, "v1,", "v2,", 1), scheme.BadSignature},
		"without its version":  {strings.TrimPrefix(good, "v1,"), scheme.BadSignature},
		"a version alone":      {"v1,", scheme.BadSignature},
		"cut off":              {good[:len(good)-2], scheme.BadSignature},
		"separated by a comma": {"v1,AAAA," + good, scheme.BadSignature},
		"too many":             {strings.Repeat("v1,AAAA ", 40) + good, scheme.BadSignature},
	} {
		assert.Equal(t, c.want, scheme.ReasonOf(try(c.header)), name)
	}
	bare := providertest.Keys(t, map[keys.Role]string{keys.SharedSecret: secret})
	_, err := open(p, message.Notification, bare, payload, "Webhook-Id", id, "Webhook-Timestamp", at, "Webhook-Signature", good)
	assert.NoError(t, err, "a secret without its prefix is the same")
	_, err = open(p, message.Notification, set, payload, "Webhook-Id", id, "Webhook-Timestamp", "1795670000", "Webhook-Signature", good)
	assert.Error(t, err, "an old one")
}

// Gateways under other names leave out the last & of Jeepay's string, and sign notifications
// with RSA.
func TestJeepayDialect(t *testing.T) {
	set := readKeys(t, "yeepay/keys/test/request-get")
	for _, c := range []struct{ trailing, want string }{{"on", "amount=1&appId=A&mchNo=M&reqTime=1&signType=RSA2&version=1.0&"}, {"off", "amount=1&appId=A&mchNo=M&reqTime=1&signType=RSA2&version=1.0"}} {
		p := compiled(t, "jeepay", recipe.Settings{"sign_type": {"RSA2"}, "trailing": {c.trailing}, "notify_sign_type": {"RSA2"}, "mch_no": {"M"}, "app_id": {"A"}})
		sealed := sealJSON(t, p, set, `{"amount":1,"reqTime":"1"}`)
		assert.Equal(t, c.want, string(sealed.Canonical()))
	}
}

// What Yeepay writes around a signature belongs to it, and the blanks of an answer do not.
func TestYeepayAnswer(t *testing.T) {
	p := compiled(t, "yeepay", nil)
	set := readKeys(t, "yeepay/keys/test/answer")
	m := readMessage(t, "yeepay/messages/answer.http", message.Answer)
	sign := m.Header.Get("X-Yop-Sign")
	try := func(wire, sign string) error {
		_, err := open(p, message.Answer, set, wire, "X-Yop-Sign", sign)
		return err
	}
	wire := string(m.Wire)
	assert.NoError(t, try(wire, sign))
	assert.NoError(t, try(strings.NewReplacer(" ", "", "\n", "\t").Replace(wire), sign))
	for name, c := range map[string][2]string{
		"without its ending": {wire, strings.TrimSuffix(sign, "$SHA256")},
		"another digest":     {wire, strings.Replace(sign, "$SHA256", "$SM3", 1)},
		"its ending twice":   {wire, sign + "$SHA256"},
		"the ending alone":   {wire, "$SHA256"},
		"a carriage return":  {strings.Replace(wire, "\n", "\r\n", 1), sign},
		"another order":      {strings.Replace(wire, "_001", "_002", 1), sign},
	} {
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(try(c[0], c[1])), name)
	}
}
