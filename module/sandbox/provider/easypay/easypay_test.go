package easypay

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t)
	p := New()

	t.Run("response", func(t *testing.T) {
		v := vectors["easypay-ledger-response"]
		message, err := wire.ParseObject(providertest.File(t, "page-response.json"))
		require.NoError(t, err)
		canonical := p.canonical(message.Get("bizData"))
		assert.Equal(t, v.Canonical, canonical)
		_, err = signature.VerifyRSA([]*rsa.PublicKey{v.Key(t)}, canonical, message.StringAt("sign"))
		assert.NoError(t, err, "the page's sample answer is genuine under the page's key")
	})
	t.Run("request", func(t *testing.T) {
		message, err := wire.ParseObject(providertest.File(t, "page-request.json"))
		require.NoError(t, err)
		sum := sha256.Sum256([]byte(p.canonical(message.Get("bizData"))))
		assert.Equal(t, vectors["easypay-ledger-request-canonical"].SHA256, hex.EncodeToString(sum[:]))
	})
	t.Run("notification", func(t *testing.T) {
		v := vectors["easypay-notification-text"]
		biz := wire.Obj()
		for piece := range strings.SplitSeq(v.Canonical, "&") {
			name, value, _ := strings.Cut(piece, "=")
			biz.Members = append([]wire.Member{wire.M(name, wire.Str(value))}, biz.Members...)
		}
		_, err := signature.VerifyRSA([]*rsa.PublicKey{v.Key(t)}, p.canonical(biz), v.Signature)
		assert.NoError(t, err)
	})
	t.Run("padding", func(t *testing.T) {
		v := vectors["easypay-aes-padding"]
		for padding, want := range v.Ciphertext {
			padded, err := pad(padding, []byte(v.Plaintext))
			require.NoError(t, err)
			got, err := encryptECB([]byte(v.KeyASCII), padded)
			require.NoError(t, err)
			assert.Equal(t, want, base64.StdEncoding.EncodeToString(got), padding)
			back, err := decryptECB([]byte(v.KeyASCII), got)
			require.NoError(t, err)
			plain, err := unpad(padding, back)
			require.NoError(t, err)
			assert.Equal(t, v.Plaintext, strings.TrimRight(string(plain), " "), padding)
		}
		assert.Len(t, v.Ciphertext, 3)
	})
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ name, biz, skip, keep string }{
		{"names by code unit", `{"b":"1","B":"2","a":"3","ab":"4"}`, "B=2&a=3&ab=4&b=1", "B=2&a=3&ab=4&b=1"},
		{"numbers as tokens", `{"a":1.10,"b":20881234567890123456,"c":1e22,"d":-0,"e":0}`,
			"a=1.10&b=20881234567890123456&c=1e22&d=-0&e=0", "a=1.10&b=20881234567890123456&c=1e22&d=-0&e=0"},
		{"booleans", `{"a":true,"b":false}`, "a=true&b=false", "a=true&b=false"},
		{"decoded text", `{"a":"\/\u4e2d<&>"}`, "a=/中<&>", "a=/中<&>"},
		{"Java's trim", `{"a":" \t\u0000\u001f x y \u001f","b":"\u00a0\u3000x\u3000","c":"\u007fx"}`,
			"a=x y&b=\u00a0\u3000x\u3000&c=\u007fx", "a=x y&b=\u00a0\u3000x\u3000&c=\u007fx"},
		{"empty after the trim", `{"a":"","b":" \n","c":null,"d":"0"}`, "d=0", "a=&b=&d=0"},
		{"nested, in an answer", `{"a":[ 1, {"b":"\/"} ]}`, `a=[ 1, {"b":"\/"} ]`, `a=[ 1, {"b":"\/"} ]`},
		{"nothing", `{}`, "", ""},
	} {
		biz, err := wire.ParseObject([]byte(c.biz))
		require.NoError(t, err)
		assert.Equal(t, c.skip, New().canonical(biz), c.name)
		assert.Equal(t, c.keep, (&Provider{KeepEmpty: true}).canonical(biz), c.name)
	}
}

func TestOverLimitAsOnThePage(t *testing.T) {
	m := newMerchant(t, "sample-over-limit.json")
	r := m.request()
	answer := New().Answer(r)
	assert.Equal(t, 200, answer.Status)
	assert.False(t, answer.OK)
	assert.Nil(t, answer.Notification)

	message, biz, genuine := m.read(answer.Body, "bizData")
	assert.True(t, genuine, "errors are signed as well")
	page, err := wire.ParseObject(providertest.File(t, "page-response.json"))
	require.NoError(t, err)
	for _, member := range page.Members {
		switch member.Name {
		case "sign", "bizData":
		default:
			assert.Equal(t, member.Value.Text, message[member.Name], member.Name)
		}
	}
	assert.Len(t, message, len(page.Members))
	for _, member := range page.Get("bizData").Members {
		want := member.Value.Text
		if member.Name == "dgtlEnvlp" {
			want = m.biz()["dgtlEnvlp"].(string)
		}
		assert.Equal(t, want, biz[member.Name], member.Name)
	}
	assert.Len(t, biz, len(page.Get("bizData").Members))
}

func TestSuccessEchoesTheEnvelope(t *testing.T) {
	m := newMerchant(t, "sample-request.json")
	m.path = "/easypay/v1/ledger/mpos?a=b"
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	message, biz, genuine := m.read(answer.Body, "bizData")
	assert.True(t, genuine)
	assert.Equal(t, "000000", message["sysRetCode"])
	assert.Equal(t, "00", biz["tradeRetCode"])
	assert.Equal(t, "831135358120001", message["orgMerCode"])
	assert.NotContains(t, message, "orgMercode")
	assert.Equal(t, m.biz()["dgtlEnvlp"], biz["dgtlEnvlp"])
	plain := m.decrypt(merchantKey, biz["orderSubDetails"].(string))
	assert.Contains(t, plain, `"subject":"配送费"`)
	assert.Contains(t, plain, `"attach":"分账成功"`)
	assert.NotContains(t, plain, "第一分账方")
	assert.JSONEq(t, plain, strings.TrimRight(plain, " "))
	assert.NotEqual(t, m.biz()["orderSubDetails"], biz["orderSubDetails"], "details of its own")

	assert.Contains(t, answer.Seen, "bizData verified under key 1")
	assert.Contains(t, answer.Seen, "配送费")
	assert.Contains(t, answer.Seen, "2 receivers of 100 fen")
	assert.NotContains(t, answer.Seen, merchantKey)
}

func TestSuccessWithASingleObject(t *testing.T) {
	m := newMerchant(t, "sample-request.json")
	m.biz()["orderSubDetails"] = `{"orgMercode":"1","transAmt":"100"}`
	m.biz()["transCount"] = "1"
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	_, biz, _ := m.read(answer.Body, "bizData")
	assert.JSONEq(t, `{"orgMercode":"1","transAmt":"100","attach":"分账成功"}`,
		m.decrypt(merchantKey, biz["orderSubDetails"].(string)))
}

func TestOwnEnvelope(t *testing.T) {
	for _, c := range []struct {
		path    string
		options *Provider
		prefix  string
	}{
		{"/ledger/mpos?envelope=own", New(), ""},
		{"/ledger/mpos", &Provider{Padding: "zero", OwnEnvelope: true, EnvelopePrefix: "01|"}, "01|"},
		{"/ledger/mposfind", New(), ""},
	} {
		m := newMerchant(t, "sample-request.json")
		m.path, m.envelopeKey = c.path, c.prefix+merchantKey
		if strings.HasSuffix(c.path, "mposfind") {
			delete(m.biz(), "orderSubDetails")
		}
		if c.options.Padding == "zero" {
			m.blank = "\x00"
		}
		answer := c.options.Answer(m.request())
		require.True(t, answer.OK, answer.Seen)
		_, biz, genuine := m.read(answer.Body, "bizData")
		assert.True(t, genuine)
		assert.NotEqual(t, m.biz()["dgtlEnvlp"], biz["dgtlEnvlp"])
		envelope, err := base64.StdEncoding.DecodeString(biz["dgtlEnvlp"].(string))
		require.NoError(t, err)
		key, err := rsa.DecryptPKCS1v15(nil, m.sides.Merchant, envelope)
		require.NoError(t, err)
		own, ok := strings.CutPrefix(string(key), c.prefix)
		assert.True(t, ok)
		assert.Regexp(t, `^[0-9A-Za-z]{32}$`, own)
		plain := m.decrypt(own, biz["orderSubDetails"].(string))
		assert.Contains(t, plain, "配送费", c.path)
		if c.options.Padding == "zero" && len(strings.TrimRight(plain, "\x00"))%16 != 0 {
			assert.True(t, strings.HasSuffix(plain, "\x00"))
		}
	}
}

func TestSiblingsAreSignedAlike(t *testing.T) {
	for _, name := range []string{"mposcancel", "mposfind", "mposbind", "mposfindbind", "mposrefund", "mposfindrefund", "accrefund"} {
		m := newMerchant(t, "sample-request.json")
		m.path = "/ledger/" + name
		body := `{"orgId":"ORG","signType":"RSA2","sign":"` +
			providertest.Sign(t, m.sides.Merchant, "amount=1.10&big=20881234567890123456&oriOrgTrace=O1&text=/中") +
			`","bizData":{"oriOrgTrace":"O1","amount":1.10,"big":20881234567890123456,"text":"\/\u4e2d","none":null}}`
		answer := New().Answer(m.raw(body))
		require.True(t, answer.OK, "%s: %s", name, answer.Seen)
		require.NotNil(t, answer.Notification)
		message, err := wire.ParseObject(answer.Body)
		require.NoError(t, err)
		assert.Contains(t, string(answer.Body), `"amount":1.10,"big":20881234567890123456,"text":"\/\u4e2d"`)
		biz := message.Get("bizData")
		envelope := ""
		if name == "mposfind" {
			envelope = "dgtlEnvlp=" + biz.StringAt("dgtlEnvlp") + "&orderSubDetails=" + biz.StringAt("orderSubDetails") + "&"
		}
		assert.True(t, providertest.Verifies(t, &m.sides.Provider.PublicKey,
			"amount=1.10&big=20881234567890123456&"+envelope+"oriOrgTrace=O1&text=/中&tradeRetCode=00&tradeRetMsg=交易成功",
			message.StringAt("sign")), name)
	}
}

func TestPaddings(t *testing.T) {
	for _, c := range []struct{ padding, blank, code string }{
		{PaddingSpace, " ", "000000"},
		{PaddingSpace, "\x00", "000000"},
		{PaddingSpace, "\x05", "0000A1"},
		{PaddingZero, "\x00", "000000"},
		{PaddingNone, " ", "000000"},
		{PaddingPKCS7, PaddingPKCS7, "000000"},
		{PaddingPKCS7, " ", "000000"},
		{PaddingSpace, PaddingPKCS7, "000000"},
	} {
		m := newMerchant(t, "sample-over-limit.json")
		m.biz()["transAmt"] = "1"
		m.blank = c.blank
		answer := (&Provider{Padding: c.padding}).Answer(m.request())
		message, _, _ := m.read(answer.Body, "bizData")
		assert.Equal(t, c.code, message["sysRetCode"], "%s filled with %q", c.padding, c.blank)
	}
}

func TestEnvelopePrefix(t *testing.T) {
	for _, c := range []struct{ prefix, key, code string }{
		{"01|", "01|" + merchantKey, "000000"},
		{"01|", merchantKey, "0000A1"},
		{"", "01|" + merchantKey, "0000A1"},
		{"", merchantKey[:31], "0000A1"},
		{"", merchantKey[:31] + "+", "0000A1"},
		{"", merchantKey[:31] + "\x00", "0000A1"},
		{"", merchantKey + "\n", "0000A1"},
	} {
		m := newMerchant(t, "sample-request.json")
		m.envelopeKey = c.key
		if len(c.key) == 32 {
			m.key = c.key
		}
		answer := (&Provider{Padding: PaddingSpace, EnvelopePrefix: c.prefix}).Answer(m.request())
		message, _, _ := m.read(answer.Body, "bizData")
		assert.Equal(t, c.code, message["sysRetCode"], "%q with %q", c.prefix, c.key)
	}
}

func TestFaults(t *testing.T) {
	for _, file := range []string{"sample-request.json", "sample-over-limit.json"} {
		for fault, wants := range map[provider.Fault]struct{ genuine, signed bool }{
			provider.NoFault:      {true, true},
			provider.BadSignature: {false, true},
			provider.WrongKey:     {false, true},
			provider.Tampered:     {false, true},
			provider.Unsigned:     {false, false},
			provider.Mismatch:     {true, true},
		} {
			m := newMerchant(t, file)
			m.fault = fault
			answer := New().Answer(m.request())
			message, biz, genuine := m.read(answer.Body, "bizData")
			assert.Equal(t, wants.genuine, genuine, "%s: %s", file, fault)
			assert.Equal(t, wants.signed, message["sign"] != nil, fault)
			assert.Equal(t, fault != provider.Mismatch, biz["oriOrgTrace"] == m.biz()["oriOrgTrace"], fault)
			assert.Equal(t, fault != provider.Tampered, biz["transAmt"] == m.biz()["transAmt"], fault)
		}
	}
}

func TestNotification(t *testing.T) {
	for _, part := range []string{"bizData", "data"} {
		p := New()
		p.NotificationPart = part
		m := newMerchant(t, "sample-request.json")
		m.fault = provider.BadSignature
		n := p.Answer(m.request()).Notification
		require.NotNil(t, n)
		assert.Equal(t, "application/json; charset=utf-8", n.ContentType)
		message, biz, genuine := m.read(n.Body, part)
		assert.True(t, genuine, "a fault is one of the answer")
		assert.Equal(t, "SHA256withRSA", message["signType"])
		assert.Equal(t, "ORG0000720220224031331542213", biz["oriOrgTrace"])
		assert.Equal(t, "20240306162800", biz["timeEnd"], "China's clock")
		assert.Equal(t, "100", biz["transAmt"])
		assert.NotContains(t, biz, "orderSubDetails")
		assert.True(t, n.Acknowledged(200, []byte("ok")))
		assert.True(t, n.Acknowledged(204, nil))
		assert.False(t, n.Acknowledged(302, []byte("ok")))
		assert.False(t, n.Acknowledged(500, []byte("ok")))
	}
	p := New()
	p.OwnEnvelope = true
	m := newMerchant(t, "sample-request.json")
	_, biz, genuine := m.read(p.Answer(m.request()).Notification.Body, "bizData")
	assert.True(t, genuine)
	envelope, err := base64.StdEncoding.DecodeString(biz["dgtlEnvlp"].(string))
	require.NoError(t, err)
	key, err := rsa.DecryptPKCS1v15(rand.Reader, m.sides.Merchant, envelope)
	require.NoError(t, err)
	assert.Contains(t, m.decrypt(string(key), biz["orderSubDetails"].(string)), "门店货款")
}

func TestWithoutKeys(t *testing.T) {
	m := newMerchant(t, "sample-request.json")
	r := m.request()
	r.Keys.Sign = nil
	assert.Equal(t, 500, New().Answer(r).Status)

	m = newMerchant(t, "sample-request.json")
	r = m.request()
	r.Keys.Encrypt = nil
	r.Path += "?envelope=own"
	assert.Equal(t, 500, New().Answer(r).Status)

	m = newMerchant(t, "sample-request.json")
	r = m.request()
	r.Keys.Decrypt = nil
	message, _, _ := m.read(New().Answer(r).Body, "bizData")
	assert.Equal(t, "0000A1", message["sysRetCode"])

	r.Keys.Verify = nil
	message, _, _ = m.read(New().Answer(r).Body, "bizData")
	assert.Equal(t, "0000A0", message["sysRetCode"])
}
