package providers_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The provider's side in these tests is written with package gm alone, as the clients from
// which the rules were read do it.

// ours is the merchant's key, theirs the provider's.
type pair struct{ ours, theirs gm.PrivateKey }

func newPair(t *testing.T) pair {
	t.Helper()
	ours, err := gm.GenerateKey()
	require.NoError(t, err)
	theirs, err := gm.GenerateKey()
	require.NoError(t, err)
	return pair{ours, theirs}
}

func public(key gm.PrivateKey) *ecdsa.PublicKey { return key.Public().(*ecdsa.PublicKey) }

// set returns the merchant's key set, with a secret where one is given.
func (p pair) set(t *testing.T, secret string) *keys.Set {
	t.Helper()
	private, err := gm.MarshalPrivateKey(p.ours)
	require.NoError(t, err)
	theirs, err := gm.MarshalPublicKey(public(p.theirs))
	require.NoError(t, err)
	material := keys.Material{
		keys.Sign: {Text: private}, keys.Decrypt: {Text: private},
		keys.Verify: {Text: theirs}, keys.Encrypt: {Text: theirs},
	}
	if secret != "" {
		material[keys.SharedSecret] = keys.Value{Text: []byte(secret)}
	}
	set, err := keys.Parse("bank", "1", material)
	require.NoError(t, err)
	require.Empty(t, set.Broken)
	return set
}

func (p pair) sign(t *testing.T, uid, text string) []byte {
	t.Helper()
	signature, err := gm.Sign(p.theirs, []byte(uid), []byte(text))
	require.NoError(t, err)
	return signature
}

func compiled(t *testing.T, name string, options recipe.Settings) *recipe.Program {
	t.Helper()
	r, ok := providers.Find(name)
	require.True(t, ok, name)
	p, err := recipe.Compile(name, r, options)
	require.NoError(t, err)
	return p
}

func sealJSON(t *testing.T, p *recipe.Program, set *keys.Set, text string) *scheme.Sealed {
	t.Helper()
	m := message.New(message.Request)
	m.Method, m.Path = "POST", "/gateway"
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	m.SetPayload(o)
	sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	return sealed
}

func open(p *recipe.Program, kind message.Kind, set *keys.Set, wire string, header ...string) (*scheme.Verified, error) {
	m := message.New(kind)
	m.Method, m.Path, m.Status, m.Wire = "POST", "/notify", 200, []byte(wire)
	for i := 0; i < len(header); i += 2 {
		m.Header.Add(header[i], header[i+1])
	}
	d := p.Describe().Answer
	if kind == message.Notification {
		d = p.Describe().Notification
	}
	if err := d.Format.Read(m); err != nil {
		return nil, err
	}
	return scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: time.Date(2026, 11, 26, 8, 0, 1, 0, time.UTC)})
}

func text(t *testing.T, o *body.Object, name string) string {
	t.Helper()
	value, ok := o.Text(name)
	require.True(t, ok, name)
	return value
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return raw
}

// sm4CBC encrypts or decrypts whole blocks.
func sm4CBC(t *testing.T, key, iv, text []byte, encrypt bool) []byte {
	t.Helper()
	block, err := gm.NewSM4(key)
	require.NoError(t, err)
	out := make([]byte, len(text))
	if encrypt {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, text)
	} else {
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, text)
	}
	return out
}

func pad(text []byte) []byte {
	n := 16 - len(text)%16
	return append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...)
}

func unpad(text []byte) string { return string(text[:len(text)-int(text[len(text)-1])]) }

func TestDinpay(t *testing.T) {
	parties := newPair(t)
	set := parties.set(t, "")
	p := compiled(t, "dinpay", recipe.Settings{"merchant_id": {"S1"}})
	const order = `{"interfaceName":"AppPay","payAmount":"0.01","goodsName":"茶 & \"饭\""}`
	sealed := sealJSON(t, p, set, order)
	sent, err := body.Parse(sealed.Message.Wire)
	require.NoError(t, err)
	data := text(t, sent, "data")
	key, err := gm.Decrypt(parties.theirs, unbase64(t, text(t, sent, "encryptionKey")), gm.C1C3C2)
	require.NoError(t, err)
	iv, err := hex.DecodeString("4f5ef6a31a96c24afcc2a07d0fb691ee")
	require.NoError(t, err)
	assert.Equal(t, order, unpad(sm4CBC(t, key, iv, unbase64(t, data), false)))
	assert.True(t, gm.Verify(public(parties.ours), nil, []byte(data), unbase64(t, text(t, sent, "sign"))))
	assert.Equal(t, "S1", text(t, sent, "merchantId"))
	assert.Equal(t, "20261126160000", text(t, sent, "timestamp"))

	const result = `{"orderNo":"1","payAmount":"0.01"}`
	sign := base64.StdEncoding.EncodeToString(parties.sign(t, "", result))
	answer := `{"code":"0000","data":` + string(body.AppendQuote(nil, result)) + `,"sign":"` + sign + `"}`
	v, err := open(p, message.Answer, set, answer)
	require.NoError(t, err)
	assert.Equal(t, "data", v.Part())
	_, err = open(p, message.Answer, set, strings.Replace(answer, "0.01", "9.01", 1))
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	_, err = open(p, message.Answer, set, `{"code":"0000","data":`+string(body.AppendQuote(nil, result))+`}`)
	assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), "clients take an answer whose signature is missing")
	form := url.Values{"data": {result}, "sign": {sign}}
	_, err = open(p, message.Notification, set, form.Encode())
	require.NoError(t, err)
	form.Set("data", result+" ")
	_, err = open(p, message.Notification, set, form.Encode())
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}

func TestCMBDirect(t *testing.T) {
	const key, uid, padded = "0123456789abcdef", "N003563873", "N003563873000000"
	parties := newPair(t)
	set := parties.set(t, key)
	p := compiled(t, "cmb-direct", recipe.Settings{"uid": {uid}})
	sealed := sealJSON(t, p, set, `{"request":{"head":{"reqid":"1","funcode":"DCLISMOD"},"body":{"b":[{"z":"1","a":"费"}],"a":"x"}}}`)
	form, err := url.ParseQuery(string(sealed.Message.Wire))
	require.NoError(t, err)
	assert.Equal(t, []string{uid, "DCLISMOD", "SM"}, []string{form.Get("UID"), form.Get("FUNCODE"), form.Get("ALG")})
	plain := unpad(sm4CBC(t, []byte(key), []byte(padded), unbase64(t, form.Get("DATA")), false))
	o, err := body.Parse([]byte(plain))
	require.NoError(t, err)
	signature, _ := o.Object("signature")
	const signed = `{"request":{"body":{"a":"x","b":[{"a":"费","z":"1"}]},"head":{"funcode":"DCLISMOD","reqid":"1","userid":"N003563873"}},"signature":{"sigdat":"__signature_sigdat__","sigtim":"20261126160000"}}`
	assert.Equal(t, signed, string(sealed.Canonical()))
	assert.True(t, gm.VerifyRaw(public(parties.ours), []byte(padded), []byte(signed), unbase64(t, text(t, signature, "sigdat"))))

	answer := func(uid, resultmsg string) string {
		const to = `{"response":{"body":{},"head":{"resultcode":"SUC0000","resultmsg":"ok"}},"signature":{"sigdat":"__signature_sigdat__","sigtim":"20261126160001"}}`
		raw, err := gm.DERToRaw(parties.sign(t, uid, to))
		require.NoError(t, err)
		text := `{"signature":{"sigtim":"20261126160001","sigdat":"` + base64.StdEncoding.EncodeToString(raw) + `"},"response":{"head":{"resultcode":"SUC0000","resultmsg":"` + resultmsg + `"},"body":{}}}`
		return base64.StdEncoding.EncodeToString(sm4CBC(t, []byte(key), []byte(padded), pad([]byte(text)), true))
	}
	v, err := open(p, message.Answer, set, answer(padded, "ok"))
	require.NoError(t, err)
	assert.Contains(t, string(v.Body()), `"resultcode":"SUC0000"`)
	for name, wire := range map[string]string{"tampered": answer(padded, "no"), "another user id": answer(uid, "ok"), "the usual user id": answer("", "ok")} {
		_, err = open(p, message.Answer, set, wire)
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), name)
	}
	_, err = open(p, message.Answer, set, "CDCServer:ErrMsg no such user")
	assert.Equal(t, scheme.DecryptionFailed().Reason, scheme.ReasonOf(err))
}

func TestAllinpaySM2(t *testing.T) {
	parties := newPair(t)
	set := parties.set(t, "")
	p := compiled(t, "allinpay", recipe.Settings{"sign_type": {"SM2"}, "appid": {"00000051"}})
	sealed := sealJSON(t, p, set, `{"cusid":"990581007426001","trxamt":"1","reqsn":"1"}`)
	form, err := url.ParseQuery(string(sealed.Message.Wire))
	require.NoError(t, err)
	assert.Equal(t, "SM2", form.Get("signtype"))
	assert.True(t, gm.VerifyRaw(public(parties.ours), []byte("00000051"), sealed.Canonical(), unbase64(t, form.Get("sign"))))

	answer := func(uid string) string {
		raw, err := gm.DERToRaw(parties.sign(t, uid, "appid=00000051&reqsn=1&retcode=SUCCESS"))
		require.NoError(t, err)
		return `{"appid":"00000051","reqsn":"1","retcode":"SUCCESS","sign":"` + base64.StdEncoding.EncodeToString(raw) + `"}`
	}
	_, err = open(p, message.Answer, set, answer("Allinpay"))
	require.NoError(t, err)
	for _, uid := range []string{"", "00000051"} {
		_, err = open(p, message.Answer, set, answer(uid))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "another user id: %q", uid)
	}
}

func TestAlipaySM2(t *testing.T) {
	parties := newPair(t)
	set := parties.set(t, "")
	p := compiled(t, "alipay", recipe.Settings{"sign_type": {"SM2"}})
	sealed := sealJSON(t, p, set, `{"method":"alipay.trade.query","biz_content":{"out_trade_no":"1"}}`)
	form, err := url.ParseQuery(string(sealed.Message.Wire))
	require.NoError(t, err)
	assert.Equal(t, "SM2", form.Get("sign_type"))
	assert.True(t, gm.Verify(public(parties.ours), nil, sealed.Canonical(), unbase64(t, form.Get("sign"))))

	const response = `{"code":"10000",  "out_trade_no":"1"}`
	answer := `{"alipay_trade_query_response":` + response + `,"sign":"` + base64.StdEncoding.EncodeToString(parties.sign(t, "", response)) + `"}`
	_, err = open(p, message.Answer, set, answer)
	require.NoError(t, err)
	_, err = open(p, message.Answer, set, strings.Replace(answer, "  ", " ", 1))
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "the raw bytes are signed")
	_, err = open(compiled(t, "alipay", nil), message.Answer, set, answer)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "under RSA2 no SM2 signature verifies")
}

// With content AES the answer is ciphertext too: it is verified as it stands, quotes
// included, and then decrypted.
func TestAlipayAES(t *testing.T) {
	parties := newPair(t)
	set := parties.set(t, "")
	key := []byte("0123456789abcdef")
	named, err := keys.Parse("a", "1", keys.Material{keys.SharedSecret + "@aes": {Text: []byte(base64.StdEncoding.EncodeToString(key))}})
	require.NoError(t, err)
	set.Named = named.Named
	p := compiled(t, "alipay", recipe.Settings{"sign_type": {"SM2"}, "content": {"AES"}})
	crypt := func(text string) string {
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		padded := pad([]byte(text))
		cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(padded, padded)
		return base64.StdEncoding.EncodeToString(padded)
	}
	answer := func(value, sign string) string {
		return `{"alipay_trade_query_response":` + value + `,"sign":"` + sign + `"}`
	}
	value := `"` + crypt(`{"code":"10000","out_trade_no":"1"}`) + `"`
	sign := base64.StdEncoding.EncodeToString(parties.sign(t, "", value))
	opened, err := open(p, message.Answer, set, answer(value, sign))
	require.NoError(t, err)
	assert.JSONEq(t, answer(`{"code":"10000","out_trade_no":"1"}`, sign), string(opened.Body()))
	_, err = open(p, message.Answer, set, answer(`"`+crypt(`{"code":"10000","out_trade_no":"2"}`)+`"`, sign))
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}
