package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what a forger falls back to
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// exchanging returns an exchange under a recipe that ships, whose request has been sealed.
func exchanging(t *testing.T, name string, own settings) *exchanger {
	t.Helper()
	r, ok := providers.Find(name)
	require.True(t, ok)
	s := settle(r, own)
	p, err := recipe.Compile(name, r, recipe.Settings(s))
	require.NoError(t, err)
	x := &exchanger{t: t, name: name, recipe: r, program: p, settings: s, keys: newKeys(t, r, p, s), now: time.Now()}
	if p.Describe().Request != nil {
		x.seal()
	}
	return x
}

// strangers returns a key set of somebody else's.
func strangers(t *testing.T, kind string) *keys.Set {
	t.Helper()
	set, err := keys.Parse("stranger", "1", keys.Material{
		keys.Sign:         {Text: pairs()["stranger"+kind].private},
		keys.SharedSecret: {Text: []byte("a-stranger's-secret-0123456789abcdef")},
	})
	require.NoError(t, err)
	return set
}

// What clients of these providers take for a good answer is refused here. Each line is
// a mistake that was seen in a client, with providers in whose clients it was seen.

// The answer of the call itself is not verified at all.
func TestAnswersAreVerified(t *testing.T) {
	for name, kind := range map[string]string{"jeepay": "RSA", "lakala": "RSA", "allinpay": "RSA", "adapay": "RSA", "leshua": "RSA", "hongwen": "RSA", "hkrt": "RSA", "epay-v2": "RSA"} {
		p := exchanging(t, name, nil).provider(message.Answer)
		_, err := p.open(p.sign(strangers(t, kind), p.wanted.lines))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), name)
	}
	// A provider that signs no answers: there is no rule, so that nothing passes by itself.
	for _, name := range []string{"chinaums", "duolabao", "fubei"} {
		x := exchanging(t, name, nil)
		answer := message.New(message.Answer)
		answer.Status, answer.Wire = 200, []byte(`{"status":"succeeded"}`)
		_, err := scheme.Open(x.program, scheme.Incoming{Message: answer, Keys: x.keys.merchant, Now: x.now, Request: x.sealed})
		assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), name)
	}
}

// The signature is verified only if there is one.
func TestStrippedSignatures(t *testing.T) {
	for _, name := range []string{"wechatpay-v2", "alipay", "allinpay", "icbc", "suixingpay", "unionpay", "wechatpay-v3", "lakala", "stripe", "ecpay"} {
		x := exchanging(t, name, nil)
		for _, kind := range []message.Kind{message.Answer, message.Notification} {
			if x.direction(kind) == nil {
				continue
			}
			p := x.provider(kind)
			_, err := p.open(p.sign(x.keys.provider, p.wanted.lines))
			require.NoError(t, err, name)
			for _, l := range p.wanted.lines {
				if l.Words[0] == "verify" {
					p.draft.at(l.Words[1], "")
				}
			}
			_, err = p.open(p.message())
			assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), "%s %s", name, kind)
		}
	}
}

// The check has no effect: a demo prints, a client compares a digest with itself, or
// dumps the answer before it checks it. What does not verify is not returned.
func TestNothingIsReturnedWithAnError(t *testing.T) {
	for _, name := range []string{"lianlian", "icbc", "suixingpay", "huifu"} {
		p := exchanging(t, name, nil).provider(message.Answer)
		opened, err := p.open(p.sign(strangers(t, "RSA"), p.wanted.lines))
		require.Error(t, err, name)
		assert.Nil(t, opened, name)
	}
}

// The certificate in the message is trusted without its chain, or without its subject.
func TestCertificatesOfOthers(t *testing.T) {
	x := exchanging(t, "unionpay", nil)
	p := x.provider(message.Answer)
	_, err := p.open(p.sign(x.keys.provider, p.wanted.lines))
	require.NoError(t, err)

	// The stranger's own authority has made the certificate, in the right name.
	root, leaf := chain(t, pairs()["strangerRSA"].signer, pairs()["providerRSA"].signer, "041@8@中国银联股份有限公司@9")
	require.NotEmpty(t, root)
	p = x.provider(message.Answer)
	remove(p.draft.payload, body.Path{"signPubKeyCert"})
	put(p.draft.payload, "signPubKeyCert", string(leaf))
	_, err = p.open(p.sign(strangers(t, "RSA"), p.wanted.lines))
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "another authority: %v", err)

	// The right authority has made it, for another merchant.
	_, leaf = chain(t, pairs()["strangerRSA"].signer, pairs()["strangerRSA"].signer, "041@8@另一家商户@9")
	p = x.provider(message.Answer)
	remove(p.draft.payload, body.Path{"signPubKeyCert"})
	put(p.draft.payload, "signPubKeyCert", string(leaf))
	_, err = p.open(p.sign(strangers(t, "RSA"), p.wanted.lines))
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "another subject: %v", err)

	// Who writes a recipe cannot leave the subject out.
	_, err = compile(t, "answer {\nverify body.signature rsa-sha256 base64 \"{body.orderId}\" {\ncertificate body.signPubKeyCert\n}\n}")
	assert.ErrorContains(t, err, "certificate without subject")
}

// An answer that is not 2xx is not verified.
func TestEveryStatusIsVerified(t *testing.T) {
	for _, status := range []int{200, 202, 301, 400, 404, 500, 503} {
		for _, name := range []string{"wechatpay-v3", "lakala", "jeepay"} {
			x := exchanging(t, name, nil)
			p := x.provider(message.Answer)
			genuine := p.sign(x.keys.provider, p.wanted.lines)
			genuine.Status = status
			_, err := p.open(genuine)
			require.NoError(t, err, "%s %d", name, status)
			forged := p.sign(strangers(t, "RSA"), p.wanted.lines)
			forged.Status = status
			_, err = p.open(forged)
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s %d", name, status)
		}
	}
}

// The client falls back to SHA-1, or takes the algorithm that the message names.
func TestTheMessageDoesNotChooseTheAlgorithm(t *testing.T) {
	x := exchanging(t, "alipay", nil)
	p := x.provider(message.Answer)
	p.draft.payload["sign_type"] = "RSA"
	p.draft.at("body.sign", "AAAA")
	in, err := p.incoming(p.message(), x.keys.merchant)
	require.NoError(t, err)
	signatures, err := x.program.Covers(in)
	require.NoError(t, err)
	sum := sha1.Sum(signatures[0].Text.Canonical) //nolint:gosec // see the import
	raw, err := rsa.SignPKCS1v15(rand.Reader, pairs()["providerRSA"].signer.(*rsa.PrivateKey), crypto.SHA1, sum[:])
	require.NoError(t, err)
	p.draft.at("body.sign", base64.StdEncoding.EncodeToString(raw))
	_, err = p.open(p.message())
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}

// The algorithm has the right name and is another one: a client of Lakala's writes hex
// where Base64 is, and one of Allinpay's calls a hash SM2.
func TestTheRightNameOfAnotherAlgorithm(t *testing.T) {
	for _, name := range []string{"lakala", "allinpay"} {
		p := exchanging(t, name, nil).provider(message.Answer)
		place := p.wanted.lines[slices.IndexFunc(p.wanted.lines, func(l recipe.Line) bool { return l.Words[0] == "verify" })].Words[1]
		genuine := p.sign(p.keys.provider, p.wanted.lines)
		_, err := p.open(genuine)
		require.NoError(t, err, name)
		raw, err := base64.StdEncoding.DecodeString(where(read(t, genuine, p.direction.Format), p.direction.Format, place))
		require.NoError(t, err)
		p.draft.at(place, hex.EncodeToString(raw))
		_, err = p.open(p.message())
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s in hex", name)
		sum := sha256.Sum256(genuine.Wire)
		p.draft.at(place, base64.StdEncoding.EncodeToString(sum[:]))
		_, err = p.open(p.message())
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s as a hash", name)
	}
}

func read(t *testing.T, m *message.Message, f message.Format) *message.Message {
	t.Helper()
	fresh := *m
	fresh.Header = m.Header.Clone()
	require.NoError(t, f.Read(&fresh))
	return &fresh
}

// The client writes the answer anew before it verifies, or tries again with another
// spelling: here the bytes that came are what is signed, and no others.
func TestAnswersAreNotWrittenAnew(t *testing.T) {
	for name, member := range map[string]string{"alipay": "pay_response", "icbc": "response_biz_content"} {
		x := exchanging(t, name, nil)
		signed := func(wire string) *message.Message {
			p := x.provider(message.Answer)
			m := message.New(message.Answer)
			m.Status, m.Wire = 200, []byte(strings.Replace(wire, "SIGN", "AAAA", 1))
			in, err := p.incoming(m, x.keys.merchant)
			require.NoError(t, err)
			signatures, err := x.program.Covers(in)
			require.NoError(t, err)
			m.Wire = []byte(strings.Replace(wire, "SIGN", p.made(x.keys.provider, signatures[0]), 1))
			return m
		}
		wire := `{"` + member + `":{"code":"10000", "url":"http:\/\/a\/b","name":"\u8336","total":1.00},"sign":"SIGN"}`
		p := x.provider(message.Answer)
		m := signed(wire)
		opened, err := p.open(m)
		require.NoError(t, err, name)
		assert.Contains(t, string(opened.Body()), `"url":"http:\/\/a\/b","name":"\u8336","total":1.00`)
		for was, now := range map[string]string{`\/`: "/", `\u8336`: "茶", "1.00": "1.0", ", ": ","} {
			changed := *m
			changed.Wire = bytes.ReplaceAll(m.Wire, []byte(was), []byte(now))
			_, err := p.open(&changed)
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s: %s", name, was)
		}
	}
}

// The key is the one that the message names, whether anybody knows it or not.
func TestUnknownSerials(t *testing.T) {
	x := exchanging(t, "wechatpay-v3", nil)
	p := x.provider(message.Answer)
	p.draft.header["Wechatpay-Serial"] = "00DEADBEEF"
	_, err := p.open(p.sign(strangers(t, "RSA"), p.wanted.lines))
	assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err))
}

// A signature that holds no secret, or covers nothing, is one that anybody can make.
func TestSignaturesOfAnybody(t *testing.T) {
	for line, want := range map[string]string{
		`verify body.signature sha256 hex "{body.amount}"`:           "has no {secret}",
		`verify body.signature hmac-sha256 hex "{header.timestamp}"`: "covers neither the body",
		`verify body.signature md5 hex "{secret}{body.amount}"`:      "begins with {secret}",
		"decrypt aes-cbc base64 body.data {\niv zero\n}":             "has no verify",
	} {
		_, err := compile(t, "notification {\n"+line+"\n}")
		assert.ErrorContains(t, err, want, line)
	}
}

// What the provider does not sign is not taken for signed: of Mercado Pago's
// notification it is all of the body, of Adyen's what the eight values leave out.
func TestWhatIsNotSignedIsNotCovered(t *testing.T) {
	mercadopago := exchanging(t, "mercadopago", nil).direction(message.Notification)
	assert.False(t, mercadopago.Covers(body.Path{"amount"}))
	adyen := exchanging(t, "adyen", nil).direction(message.Notification)
	item := body.Path{"notificationItems", "0", "NotificationRequestItem"}
	assert.True(t, adyen.Covers(append(item[:3:3], "amount", "value")))
	assert.False(t, adyen.Covers(append(item[:3:3], "reason")))
}

func compile(t *testing.T, lines string) (*recipe.Program, error) {
	t.Helper()
	recipes, err := providers.Parse("acme", []byte("recipe acme {\n"+lines+"\n}"))
	require.NoError(t, err)
	return recipe.Compile("acme", recipes["acme"], nil)
}
