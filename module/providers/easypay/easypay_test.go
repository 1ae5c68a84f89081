package easypay_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const reference = "easypay/ORG000000000007"

func seal(t *testing.T, s providertest.Scheme, request string) (*providertest.Sealed, error) {
	t.Helper()
	return s.Seal(providertest.Request{Body: providertest.Parse(t, request), Keys: providertest.Merchant(t, reference), Now: time.Now()})
}

func signer(t testing.TB, settings ...providertest.Setting) providertest.Signer {
	t.Helper()
	return providertest.Signer{Scheme: providertest.Configure(t, "easypay", settings...), Algorithm: providertest.RSA, Keys: providertest.Provider(t, reference)}
}

func part(t *testing.T, message []byte) *body.Object {
	t.Helper()
	o, ok := providertest.Parse(t, message).Object("bizData")
	require.True(t, ok)
	return o
}

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t, "easypay")
	require.Len(t, vectors, 4)
	s := providertest.Configure(t, "easypay")

	t.Run("the page's answer verifies as printed there", func(t *testing.T) {
		v := vectors["easypay-ledger-response"]
		set := providertest.Keys(t, map[keys.Role]string{keys.Verify: v.PublicKey})
		page := providertest.Page(t, "easypay-response.json")
		opened, err := s.Open(providertest.Answer{Body: providertest.Parse(t, page), Keys: set})
		require.NoError(t, err)
		assert.Equal(t, v.Canonical, string(opened.Canonical))
		assert.Equal(t, page, string(opened.Body))
		assert.Contains(t, opened.Note, "echoed envelope")

		tampered := strings.Replace(page, `"transCount": "1"`, `"transCount": "2"`, 1)
		_, err = s.Open(providertest.Answer{Body: providertest.Parse(t, tampered), Keys: set})
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	})

	t.Run("a published notification verifies", func(t *testing.T) {
		v := vectors["easypay-notification-text"]
		set := providertest.Keys(t, map[keys.Role]string{keys.Verify: v.PublicKey})
		for _, name := range []string{"bizData", "data"} {
			var members []string
			for piece := range strings.SplitSeq(v.Canonical, "&") {
				member, value, _ := strings.Cut(piece, "=")
				members = append(members, `"`+member+`":"`+value+`"`)
			}
			text := providertest.WithSign(t, `{"orgId":"1","`+name+`":{`+strings.Join(members, ",")+`}}`, v.Signature)
			opened, err := s.OpenNotification(providertest.Notification{Body: providertest.Parse(t, text), Keys: set})
			require.NoError(t, err)
			assert.Equal(t, v.Canonical, string(opened.Canonical))
			assert.Equal(t, name, opened.Signed)
		}
	})

	t.Run("the page's request has the predicted string", func(t *testing.T) {
		text, err := s.Canonical(providertest.Wire{Kind: message.Request, Body: providertest.Parse(t, providertest.Page(t, "easypay-request.json"))})
		require.NoError(t, err)
		sum := sha256.Sum256(text)
		assert.Equal(t, vectors["easypay-ledger-request-canonical"].SHA256, hex.EncodeToString(sum[:]))
	})

	t.Run("paddings", func(t *testing.T) {
		v := vectors["easypay-aes-padding"]
		require.Len(t, v.Ciphertext, 3)
		for padding, want := range v.Ciphertext {
			c, err := cipher.Named("aes-256-ecb")
			require.NoError(t, err)
			got, err := c.Encrypt([]byte(v.Key), []byte(v.Plaintext), cipher.Params{Padding: padding})
			require.NoError(t, err)
			assert.Equal(t, want, base64.StdEncoding.EncodeToString(got), padding)
		}
	})
}

func TestCanonicalString(t *testing.T) {
	for name, c := range map[string]struct{ members, skip, keep string }{
		"sorted by name":                     {`"b":"1","a":"2","B":"3"`, "B=3&a=2&b=1", ""},
		"null is left out":                   {`"a":null,"b":"1"`, "b=1", ""},
		"empty is left out or kept":          {`"a":"","b":"1"`, "b=1", "a=&b=1"},
		"so is what is empty once trimmed":   {`"a":" \t\u0000 ","b":"1"`, "b=1", "a=&b=1"},
		"values are trimmed as Java does":    {`"a":" \u001f x\u00a0 ","b":"\u3000"`, "a=x\u00a0&b=\u3000", ""},
		"numbers as they stand":              {`"a":1.10,"b":1e22,"c":20881234567890123456,"d":true,"e":0`, "a=1.10&b=1e22&c=20881234567890123456&d=true&e=0", ""},
		"strings decoded":                    {`"a":"\u4e2d\/<>&"`, "a=中/<>&", ""},
		"a member called sign is one as any": {`"sign":"x","a":"1"`, "a=1&sign=x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.keep == "" {
				c.keep = c.skip
			}
			for option, want := range map[string]string{"skip": c.skip, "keep": c.keep} {
				p := signer(t, providertest.Setting{"empty", option})
				request := `{"bizData":{` + c.members + `},"other":"1"}`
				sealed, err := seal(t, p.Scheme, request)
				require.NoError(t, err)
				assert.Equal(t, want, string(sealed.Canonical), option)
				raw, _ := providertest.Parse(t, request).Get("bizData")
				sent, _ := providertest.Parse(t, sealed.Body).Get("bizData")
				assert.Equal(t, string(raw.Raw()), string(sent.Raw()), "only the signed value is trimmed, the body stays")
				err = p.Algorithm.Verify(p.Keys, sealed.Canonical, providertest.Text(t, providertest.Parse(t, sealed.Body), "sign"))
				assert.NoError(t, err)
			}
		})
	}
}

func TestObjectsAndArrays(t *testing.T) {
	p := signer(t)
	for _, value := range []string{"{}", "[1]"} {
		_, err := seal(t, p.Scheme, `{"bizData":{"a":`+value+`}}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "nobody says how a request's would be signed")
		assert.ErrorContains(t, err, "in bizData: member a:")
	}
	answer := p.JSON(t, message.Answer, `{"bizData":{"a":{"x" : 1.10,"y":"\u4e2d"},"b":[ ]}}`)
	opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference)})
	require.NoError(t, err)
	assert.Equal(t, `a={"x" : 1.10,"y":"\u4e2d"}&b=[ ]`, string(opened.Canonical), "of an answer it is the exact text")
}

func TestEncryptionComesFirst(t *testing.T) {
	p := signer(t)
	for name, details := range map[string]string{
		"an array": "[ {\"body\":\"北京烤鸭\",\"n\":1.10} ]", "an object": `{"a":1}`, "a string": `"[ {\"a\":1} ]"`, "a number": "1.10", "a boolean": "false",
	} {
		t.Run(name, func(t *testing.T) {
			sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":`+details+`,"dgtlEnvlp":"the client's own","transAmt":"1"}}`)
			require.NoError(t, err)
			sent := part(t, sealed.Body)
			ciphertext, wrapped := providertest.Text(t, sent, "orderSubDetails"), providertest.Text(t, sent, "dgtlEnvlp")
			assert.Equal(t, "dgtlEnvlp="+wrapped+"&orderSubDetails="+ciphertext+"&transAmt=1", string(sealed.Canonical))

			key, err := providertest.Unwrap(p.Keys.Decrypt[0].Decrypter, "", wrapped)
			require.NoError(t, err)
			assert.Regexp(t, "^[0-9A-Za-z]{32}$", string(key))
			text := strings.TrimRight(providertest.Decrypt(t, key, ciphertext), " ")
			want, _ := providertest.Parse(t, `{"x":`+details+`}`).Get("x")
			assert.Equal(t, string(want.Text()), text, "the exact bytes, or the decoded text of a string")
		})
	}
}

func TestWithoutAnythingToEncryptThereIsNoEnvelope(t *testing.T) {
	s := providertest.Configure(t, "easypay")
	for _, members := range []string{`"transAmt":"1"`, `"orderSubDetails":null,"transAmt":"1"`, `"orderSubDetails":"","transAmt":"1"`} {
		sealed, err := seal(t, s, `{"bizData":{`+members+`}}`)
		require.NoError(t, err)
		assert.Equal(t, "transAmt=1", string(sealed.Canonical), members)
		assert.NotContains(t, string(sealed.Body), "dgtlEnvlp")
		assert.Equal(t, []keys.Role{keys.Sign, keys.Verify}, s.Needs(providertest.Parse(t, `{"bizData":{`+members+`}}`)))
	}
	sealed, err := seal(t, s, `{"bizData":{"dgtlEnvlp":"mine"}}`)
	require.NoError(t, err)
	assert.Equal(t, "dgtlEnvlp=mine", string(sealed.Canonical), "a client's own stays where none is made")
	assert.Contains(t, s.Needs(providertest.Parse(t, `{"bizData":{"orderSubDetails":[]}}`)), keys.Decrypt)
}

func TestTheLabelIsReplacedAndTheRestStays(t *testing.T) {
	s := providertest.Configure(t, "easypay", providertest.Setting{"sign_type", "RSA2"})
	request := `{ "orgId" : "1","sign":"x" , "signType":"none","bizData":{"a":1.10} }`
	sealed, err := seal(t, s, request)
	require.NoError(t, err)
	sig := providertest.Text(t, providertest.Parse(t, sealed.Body), "sign")
	assert.Equal(t, strings.NewReplacer(`"x"`, `"`+sig+`"`, `"none"`, `"RSA2"`).Replace(request), string(sealed.Body))
}

// answerTo makes the provider's answer with orderSubDetails encrypted.
func answerTo(t *testing.T, p providertest.Signer, key []byte, wrapped, details string) string {
	t.Helper()
	return p.JSON(t, message.Answer, `{"sysRetCode":"000000","bizData":{"dgtlEnvlp":"`+wrapped+`", "orderSubDetails": "`+providertest.Encrypt(t, key, details)+`" }}`)
}

func TestTheEnvelopeOfAnAnswer(t *testing.T) {
	p := signer(t)
	set := providertest.Merchant(t, reference)
	const details = `[ {"transAmt":"30","n":1.10} ]`
	for asked, want := range map[string]string{
		`[]`:                  details,
		`"[]"`:                `"[ {\"transAmt\":\"30\",\"n\":1.10} ]"`,
		`{"given":"as JSON"}`: details,
	} {
		sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":`+asked+`}}`)
		require.NoError(t, err)
		require.Len(t, sealed.Envelopes, 1)
		remembered := sealed.Envelopes[0]

		echoed := answerTo(t, p, remembered.Key, remembered.Wrapped, details)
		opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, echoed), Keys: set, Sealed: sealed})
		require.NoError(t, err, "an echoed envelope opens with the key of its request")
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+want+` }`)

		// A fresh envelope, to the organisation's own key.
		key := providertest.NewKey()
		wrapped := providertest.Wrap(t, set.Decrypt[0].Public, "", key)
		fresh := answerTo(t, p, key, wrapped, details)
		opened, err = p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, fresh), Keys: set, Sealed: sealed})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+want+` }`)
		assert.Contains(t, opened.Fingerprints, set.Decrypt[0].Fingerprint)

		// Without the request what the text is decides.
		opened, err = p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, fresh), Keys: set})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+details+` }`)
		opened, err = p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, echoed), Keys: set})
		require.NoError(t, err, "verified, not decryptable")
		assert.NotEmpty(t, opened.Note)
		assert.Equal(t, echoed, string(opened.Body))
	}
}

func TestOneErrorForEveryCauseOfAFailedDecryption(t *testing.T) {
	p := signer(t)
	set := providertest.Merchant(t, reference)
	sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":[]}}`)
	require.NoError(t, err)
	own := sealed.Envelopes[0]
	key := providertest.NewKey()
	wrap := func(prefix string, key []byte) string {
		return providertest.Wrap(t, set.Decrypt[0].Public, prefix, key)
	}
	toOther := providertest.Wrap(t, set.Encrypt.RSA, "", key)
	all := map[string]string{
		"another's envelope":        answerTo(t, p, key, toOther, "[]"),
		"no envelope":               answerTo(t, p, key, "", "[]"),
		"an envelope that is none":  answerTo(t, p, key, "AAAA", "[]"),
		"a key that is too short":   answerTo(t, p, key, wrap("", key[:16]), "[]"),
		"a key of other characters": answerTo(t, p, key, wrap("", []byte(strings.Repeat("\x01", 32))), "[]"),
		"an unknown prefix":         answerTo(t, p, key, wrap("01|", key), "[]"),
		"another key inside":        answerTo(t, p, key, wrap("", providertest.NewKey()), "[]"),
		"the request's, other key":  answerTo(t, p, key, own.Wrapped, "[]"),
		"no JSON inside":            answerTo(t, p, own.Key, own.Wrapped, "none"),
		"a duplicate member inside": answerTo(t, p, own.Key, own.Wrapped, `{"a":1,"a":2}`),
		"no UTF-8 inside":           answerTo(t, p, own.Key, own.Wrapped, "\xff\xfe"),
		"half a block":              p.JSON(t, message.Answer, `{"bizData":{"dgtlEnvlp":"`+own.Wrapped+`","orderSubDetails":"AAAA"}}`),
		"no Base64":                 p.JSON(t, message.Answer, `{"bizData":{"dgtlEnvlp":"`+own.Wrapped+`","orderSubDetails":"-_-_"}}`),
		"a number":                  p.JSON(t, message.Answer, `{"bizData":{"dgtlEnvlp":"`+own.Wrapped+`","orderSubDetails":1}}`),
		"an array in plain":         p.JSON(t, message.Answer, `{"bizData":{"dgtlEnvlp":"`+own.Wrapped+`","orderSubDetails":[]}}`),
	}
	texts := make(map[string]bool)
	for name, answer := range all {
		_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.Decryption, scheme.ReasonOf(err), name)
		if err != nil {
			texts[err.Error()] = true
		}
		unsigned := providertest.WithSign(t, answer, "AAAA")
		_, err = p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, unsigned), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s: nothing is decrypted before the message has verified", name)
	}
	assert.Len(t, texts, 1)
}

func TestEnvelopePrefix(t *testing.T) {
	p := signer(t, providertest.Setting{"envelope_prefix", "01|"})
	sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":[]}}`)
	require.NoError(t, err)
	_, err = providertest.Unwrap(p.Keys.Decrypt[0].Decrypter, "01|", providertest.Text(t, part(t, sealed.Body), "dgtlEnvlp"))
	assert.NoError(t, err)
	_, err = providertest.Unwrap(p.Keys.Decrypt[0].Decrypter, "", providertest.Text(t, part(t, sealed.Body), "dgtlEnvlp"))
	assert.Error(t, err)
}

func TestWhatCannotBeEncrypted(t *testing.T) {
	for _, members := range [][]string{{"dgtlEnvlp"}, {""}, {"a", "b", "a"}} {
		_, err := providertest.Try(t, "easypay", append(providertest.Setting{"encrypt"}, members...))
		assert.ErrorContains(t, err, "encrypt", members)
	}
	s := providertest.Configure(t, "easypay", providertest.Setting{"encrypt", "a", "b"})
	sealed, err := seal(t, s, `{"bizData":{"a":[1],"b":"x","orderSubDetails":"plain"}}`)
	require.NoError(t, err)
	sent := part(t, sealed.Body)
	assert.NotEqual(t, "x", providertest.Text(t, sent, "b"))
	assert.Equal(t, "plain", providertest.Text(t, sent, "orderSubDetails"))
}

func TestPaddingNoneNeedsWholeBlocks(t *testing.T) {
	s := providertest.Configure(t, "easypay", providertest.Setting{"padding", "none"})
	_, err := seal(t, s, `{"bizData":{"orderSubDetails":"0123456789abcdef"}}`)
	assert.NoError(t, err)
	_, err = seal(t, s, `{"bizData":{"orderSubDetails":"0123456789abcde"}}`)
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	assert.NotContains(t, err.Error(), "0123456789", "an error never holds a plaintext")
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	p := signer(t)
	sealed, err := seal(t, p.Scheme, `{"bizData":{"oriOrgTrace":"1"}}`)
	require.NoError(t, err)
	for answer, want := range map[string]scheme.Reason{
		`{"bizData":{"oriOrgTrace":"1"}}`: 0, `{"bizData":{"x":"1"}}`: 0, `{"bizData":{"oriOrgTrace":"2"}}`: scheme.Mismatch,
	} {
		_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, p.JSON(t, message.Answer, answer)), Keys: providertest.Merchant(t, reference), Sealed: sealed})
		assert.Equal(t, want, scheme.ReasonOf(err), answer)
	}
}

func TestARequestWithoutBizData(t *testing.T) {
	for _, request := range []string{`{}`, `{"bizData":null}`, `{"bizData":"{}"}`, `{"bizData":[]}`} {
		_, err := seal(t, providertest.Configure(t, "easypay"), request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
	}
}

func TestNotification(t *testing.T) {
	p := signer(t)
	n := p.Scheme
	assert.Nil(t, p.Scheme.Describe().Notify.Time)
	for member, signed := range map[string]bool{"bizData.oriOrgTrace": true, "data.oriOrgTrace": true, "orgId": false, "bizData": false, "sign": false} {
		assert.Equal(t, signed, n.Signs(member), member)
	}
	set := providertest.Merchant(t, reference)
	open := func(text string) (*providertest.Opened, error) {
		return n.OpenNotification(providertest.Notification{Body: providertest.Parse(t, text), Keys: set})
	}
	for _, name := range []string{"bizData", "data"} {
		opened, err := open(p.JSON(t, message.Notification, `{"`+name+`":{"oriOrgTrace":"1"}}`))
		require.NoError(t, err)
		assert.Equal(t, name, opened.Signed)
	}
	// Both parts at once is an attack, whichever is signed.
	for _, name := range []string{"bizData", "data"} {
		signed := providertest.Parse(t, p.JSON(t, message.Notification, `{"`+name+`":{"oriOrgTrace":"1"}}`))
		_, err := open(`{"bizData":{"oriOrgTrace":"1"},"data":{"oriOrgTrace":"2"},"sign":"` + providertest.Text(t, signed, "sign") + `"}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
		_, err = open(`{"bizData":{"oriOrgTrace":"1"},"data":null,"sign":"` + providertest.Text(t, signed, "sign") + `"}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	}
	for _, text := range []string{`{"sign":"AAAA"}`, `{"data":"x","sign":"AAAA"}`, `{"bizData":[],"sign":"AAAA"}`} {
		_, err := open(text)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), text)
	}

	// What is encrypted in it opens with the organisation's own key.
	key := providertest.NewKey()
	wrapped := providertest.Wrap(t, set.Decrypt[0].Public, "", key)
	opened, err := open(answerTo(t, p, key, wrapped, `[{"transAmt":"30"}]`))
	require.NoError(t, err)
	assert.Contains(t, string(opened.Body), `"orderSubDetails": [{"transAmt":"30"}] }`)
}

func TestBase64IsStrict(t *testing.T) {
	p := signer(t)
	set := providertest.Merchant(t, reference)
	good := p.JSON(t, message.Answer, `{"bizData":{"a":"1"}}`)
	sig := providertest.Text(t, providertest.Parse(t, good), "sign")
	open := func(sig string) error {
		_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, providertest.WithSign(t, good, sig)), Keys: set})
		return err
	}
	require.NoError(t, open(sig[:76]+"\r\n"+sig[76:]+"\n"))
	for name, bad := range map[string]string{
		"url-safe": strings.NewReplacer("+", "-", "/", "_").Replace(sig), "escaped": url.QueryEscape(sig), "without padding": strings.TrimRight(sig, "="),
		"with a space": sig[:10] + " " + sig[10:], "trailing bytes": sig + "AAAA", "trailing bits": sig[:len(sig)-2] + string(sig[len(sig)-2]+1) + "=", "as hex": hex.EncodeToString([]byte(sig)),
	} {
		if bad != sig {
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(open(bad)), name)
		}
	}
}
