package providers_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// under returns the program of a recipe under options.
func under(t *testing.T, name string, options recipe.Settings) *recipe.Program {
	t.Helper()
	r, _ := providers.Find(name)
	p, err := recipe.Compile(name, r, options)
	require.NoError(t, err)
	return p
}

// Of Yeepay's notification the application sees what was signed and nothing else, and
// the parts cannot be exchanged with those of another message.
func TestYeepayNotificationsInParts(t *testing.T) {
	e := newExchange(t, "yeepay")
	to := message.New(message.Notification)
	to.Method, to.Path = "POST", "/notify"
	send := func(text string) *message.Message {
		o, err := body.Parse([]byte(text))
		require.NoError(t, err)
		m, err := e.peer.Notification(to, o, recipe.Sending{Keys: e.provider, Now: e.now})
		require.NoError(t, err)
		return m
	}
	fields := func(m *message.Message) []string {
		values, err := url.ParseQuery(string(m.Wire))
		require.NoError(t, err)
		return strings.Split(values.Get("response"), "$")
	}
	open := func(pieces []string, more string) (*scheme.Verified, error) {
		m := message.New(message.Notification)
		m.Method, m.Path = "POST", "/notify"
		m.Wire = []byte("response=" + url.QueryEscape(strings.Join(pieces, "$")) + more)
		return e.open(m, nil)
	}
	const first = `{"orderId":"1","uniqueOrderNo":"a","status":"SUCCESS","memo":"$5 易宝 \\/","amount":1.00,"extra":null}`
	one, two := fields(send(first)), fields(send(`{"orderId":"2","uniqueOrderNo":"b","status":"SUCCESS"}`))
	require.Len(t, one, 4)
	v, err := open(one, "&customerIdentification=app_1&status=SUCCESS")
	require.NoError(t, err)
	assert.False(t, v.IsUnsigned())
	assert.JSONEq(t, first, string(v.Body()))
	assert.Contains(t, string(v.Body()), "1.00")
	assert.True(t, v.Revealed(), "the application gets what was decrypted, and not what came")
	for name, pieces := range map[string][]string{
		"another's data":      {one[0], two[1], one[2], one[3]},
		"another's key":       {two[0], one[1], one[2], one[3]},
		"another digest":      {one[0], one[1], one[2], "SHA1"},
		"another cipher":      {one[0], one[1], "DES", one[3]},
		"three parts":         {one[0], one[1], one[2]},
		"five parts":          {one[0], one[1], one[2], one[3], ""},
		"plain data":          {one[0], base64.RawURLEncoding.EncodeToString([]byte(first + "$x")), one[2], one[3]},
		"data without blocks": {one[0], one[1][:len(one[1])-4], one[2], one[3]},
	} {
		v, err := open(pieces, "")
		assert.Error(t, err, name)
		assert.Nil(t, v, name)
	}
}

// An error of Alipay's or of ICBC's that is signed and not encrypted is read as it is;
// what no signature covers is not.
func TestSignedAnswersThatAreNotEncrypted(t *testing.T) {
	for name, text := range map[string]string{
		"alipay": `{"sandbox_response":{"code":"40001","msg":"Missing Method","sub_code":"isv.missing-encrypt-key","sub_msg":"缺少\/密钥"}}`,
		"icbc":   `{"response_biz_content":{"return_code":"500031","return_msg":"验签失败"}}`,
	} {
		e := newExchange(t, name)
		received, err := e.peer.Receive(e.seal(t).Message, e.provider, e.now)
		require.NoError(t, err)
		provider := e.provider
		e.program = under(t, name, recipe.Settings{"content": {"AES"}})
		merchant, _ := providertest.NewSides(t, e.program).Sets(t)
		e.merchant.Named = merchant.Named // secret@aes
		o, err := body.Parse([]byte(text))
		require.NoError(t, err)
		m, err := e.peer.Answer(received, o, recipe.Sending{Keys: provider, Now: e.now})
		require.NoError(t, err)
		v, err := e.open(m, nil)
		require.NoError(t, err, name)
		assert.False(t, v.IsUnsigned())
		assert.Contains(t, string(v.Body()), strings.TrimSuffix(text, "}"))

		tampered := message.New(message.Answer)
		tampered.Status, tampered.Wire = 200, []byte(strings.NewReplacer("40001", "10000", "500031", "0").Replace(string(m.Wire)))
		_, err = e.open(tampered, nil)
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), name)
	}
}

// UnionPay's reserved fields hold fields of their own, between braces.
func TestReservedFieldsOfUnionPay(t *testing.T) {
	e := newExchange(t, "unionpay")
	sealed := e.seal(t)
	received, err := e.peer.Receive(sealed.Message, e.provider, e.now)
	require.NoError(t, err)
	payload := map[string]string{"respCode": "00", "respMsg": "成功[0000000]", "reserved": "{a=b&c=d}", "cardTransData": "{}", "customerInfo": "", "accSplitData": "e30+/="}
	text, err := json.Marshal(payload)
	require.NoError(t, err)
	o, err := body.Parse(text)
	require.NoError(t, err)
	m, err := e.peer.Answer(received, o, recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	require.Contains(t, string(m.Wire), "reserved={a=b&c=d}")
	v, err := e.open(m, sealed)
	require.NoError(t, err)
	var got map[string]string
	require.NoError(t, json.Unmarshal(v.Body(), &got))
	for name, value := range payload {
		assert.Equal(t, value, got[name], name)
	}
	// A field does not leave its braces.
	moved := message.New(message.Answer)
	moved.Status, moved.Wire = 200, []byte(strings.Replace(string(m.Wire), "{a=b&c=d}", "{a=b}&c=d", 1))
	_, err = e.open(moved, sealed)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}

// UnionPay's libraries sign empty members, and clients leave them out: either is read.
func TestEmptyMembersOfUnionPay(t *testing.T) {
	e := newExchange(t, "unionpay")
	sealed := e.seal(t)
	received, err := e.peer.Receive(sealed.Message, e.provider, e.now)
	require.NoError(t, err)
	o, err := body.Parse([]byte(`{"respCode":"00","payCardType":""}`))
	require.NoError(t, err)
	m, err := e.peer.Answer(received, o, recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	_, err = e.open(m, sealed)
	require.NoError(t, err)

	fields := strings.Split(string(m.Wire), "&")
	fields = slices.DeleteFunc(fields, func(field string) bool { return strings.HasPrefix(field, "signature=") })
	require.Contains(t, fields, "payCardType=")
	slices.Sort(fields)
	prehash := sha256.Sum256([]byte(strings.Join(fields, "&")))
	sum := sha256.Sum256([]byte(hex.EncodeToString(prehash[:])))
	signature, err := e.provider.SignKey("").Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	require.NoError(t, err)
	answer := func(fields []string) *message.Message {
		m := message.New(message.Answer)
		m.Status, m.Wire = 200, []byte(strings.Join(fields, "&")+"&signature="+base64.StdEncoding.EncodeToString(signature))
		return m
	}
	_, err = e.open(answer(fields), sealed)
	require.NoError(t, err)
	_, err = e.open(answer(slices.DeleteFunc(fields, func(field string) bool { return field == "payCardType=" })), sealed)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}

// WeChat Pay's notification of a refund has no signature: whoever can encrypt under
// the key could have made it, and the blocks of ECB can be put together anew. It is
// refused, and nothing of it is decrypted; the answer to /pay/refundquery is signed.
func TestRefundsOfWeChatPayAreRefused(t *testing.T) {
	e := newExchange(t, "wechatpay-v2")
	m := message.New(message.Notification)
	m.Method, m.Path = "POST", "/notify"
	m.Wire = []byte("<xml><return_code>SUCCESS</return_code><appid><![CDATA[wx2421b1c4370ec43b]]></appid><mch_id><![CDATA[10000100]]></mch_id><nonce_str><![CDATA[TeqClE3i0mvn3DrK]]></nonce_str><req_info><![CDATA[T87GAHG17TGAHG1TGHAHAHA1Y1CIOA9UGJH1GAHV871HAGAGQYQQPOOJMXNBCXBVNMNMAJAA]]></req_info></xml>")
	v, err := e.open(m, nil)
	assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err))
	assert.Nil(t, v)
}

// Paystack's newer header has a time and the id of a key.
func TestStampedPaystack(t *testing.T) {
	e := newExchange(t, "paystack")
	p := under(t, "paystack", recipe.Settings{"form": {"stamped"}, "key_id": {"kid_1"}})
	peer, err := p.Peer()
	require.NoError(t, err)
	e.program = p
	to := message.New(message.Notification)
	to.Method, to.Path = "POST", "/notify"
	o, err := body.Parse([]byte(`{"event":"charge.success","data":{"amount":40333}}`))
	require.NoError(t, err)
	m, err := peer.Notification(to, o, recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	require.Contains(t, m.Header.Get("X-Paystack-Signature"), "kid_1:")
	fresh := *m
	_, err = e.open(&fresh, nil)
	require.NoError(t, err)
	later := *e
	later.now = e.now.Add(6 * time.Minute)
	_, err = later.open(m, nil)
	assert.Equal(t, scheme.Stale, scheme.ReasonOf(err))
}

// A payload that travels encrypted in a field of a form goes to the application as it
// was decrypted.
func TestWrappedPayloadsAreRevealed(t *testing.T) {
	for _, name := range []string{"newebpay", "yeepay", "yeepay-sm"} {
		e := newExchange(t, name)
		o, err := body.Parse([]byte(`{"Status":"SUCCESS","note":"商品"}`))
		require.NoError(t, err)
		to := message.New(message.Notification)
		to.Method, to.Path = "POST", "/notify"
		m, err := e.peer.Notification(to, o, recipe.Sending{Keys: e.provider, Now: e.now})
		require.NoError(t, err)
		v, err := e.open(m, nil)
		require.NoError(t, err, name)
		assert.True(t, v.Revealed(), name)
		assert.Contains(t, string(v.Body()), `"note":"商品"`, name)
	}
}

// A notification that is encrypted and not signed is refused, and so is Adyen's under the
// option of the other kind of webhook.
func TestTheOtherKindOfNotificationIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, body, header string
		options            recipe.Settings
	}{
		{"newebpay", "Period=1c666a338762a97c40f28d5d7fe5dfa5", "", nil},
		{"adyen", `{"type":"merchant.created","data":{}}`, "HmacSignature", nil},
		{"adyen", `{"notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"fX74xUdztFmaXAn3IusMFFUBUSkLmDQUK0tm8xL6ZTU="}}}]}`, "", recipe.Settings{"signed": {"body"}}},
		{"github", "Hello, World!", "X-Hub-Signature-256", nil},
	} {
		e := newExchange(t, test.name)
		e.program = under(t, test.name, test.options)
		m := message.New(message.Notification)
		m.Method, m.Path = "POST", "/notify"
		if test.header != "" {
			m.Header.Set(test.header, "fX74xUdztFmaXAn3IusMFFUBUSkLmDQUK0tm8xL6ZTU=")
		}
		m.Wire = []byte(test.body)
		v, err := e.open(m, nil)
		assert.Error(t, err, test.name)
		assert.Nil(t, v, test.name)
	}
}
