package easypay

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/schemes/internal/schemetest"
	"github.com/countersign/caddy-countersign/module/signature"
)

const reference = "easypay/ORG000000000007"

func seal(t *testing.T, s scheme.Scheme, request string) (*scheme.Sealed, error) {
	t.Helper()
	return s.Seal(scheme.Request{Body: schemetest.Parse(t, request), Keys: schemetest.Merchant(t, reference), Now: time.Now()})
}

func pen(t *testing.T, settings ...schemetest.Setting) schemetest.Pen {
	t.Helper()
	return schemetest.Pen{Scheme: schemetest.Configure(t, "easypay", settings...), Algorithm: signature.SHA256WithRSA, Keys: schemetest.Provider(t, reference)}
}

func part(t *testing.T, message []byte) *body.Object {
	t.Helper()
	o, ok := schemetest.Parse(t, message).Object(memberPart)
	require.True(t, ok)
	return o
}

func TestVectors(t *testing.T) {
	vectors := schemetest.Vectors(t, "easypay")
	require.Len(t, vectors, 4)
	s := schemetest.Configure(t, "easypay")

	t.Run("the page's answer verifies as printed there", func(t *testing.T) {
		v := vectors["easypay-ledger-response"]
		set := schemetest.Keys(t, map[keys.Role]string{keys.Verify: v.PublicKey})
		page := schemetest.Page(t, "easypay-response.json")
		opened, err := s.Open(scheme.Answer{Body: schemetest.Parse(t, page), Keys: set})
		require.NoError(t, err)
		assert.Equal(t, v.Canonical, string(opened.Canonical))
		assert.Equal(t, page, string(opened.Body))
		assert.Contains(t, opened.Note, "echoed envelope")

		tampered := strings.Replace(page, `"transCount": "1"`, `"transCount": "2"`, 1)
		_, err = s.Open(scheme.Answer{Body: schemetest.Parse(t, tampered), Keys: set})
		assert.Equal(t, scheme.Signature, scheme.ReasonOf(err))
	})

	t.Run("a published notification verifies", func(t *testing.T) {
		v := vectors["easypay-notification-text"]
		set := schemetest.Keys(t, map[keys.Role]string{keys.Verify: v.PublicKey})
		for _, name := range []string{memberPart, memberOldPart} {
			var members []string
			for piece := range strings.SplitSeq(v.Canonical, "&") {
				member, value, _ := strings.Cut(piece, "=")
				members = append(members, `"`+member+`":"`+value+`"`)
			}
			text := schemetest.WithSign(t, `{"orgId":"1","`+name+`":{`+strings.Join(members, ",")+`}}`, v.Signature)
			opened, err := s.(scheme.Notifier).OpenNotification(scheme.Notification{Body: schemetest.Parse(t, text), Keys: set})
			require.NoError(t, err)
			assert.Equal(t, v.Canonical, string(opened.Canonical))
			assert.Equal(t, name, opened.Signed)
		}
	})

	t.Run("the page's request has the predicted string", func(t *testing.T) {
		text, err := s.(scheme.Canonicalizer).Canonical(scheme.Wire{Kind: scheme.KindRequest, Body: schemetest.Parse(t, schemetest.Page(t, "easypay-request.json"))})
		require.NoError(t, err)
		sum := sha256.Sum256(text)
		assert.Equal(t, vectors["easypay-ledger-request-canonical"].SHA256, hex.EncodeToString(sum[:]))
	})

	t.Run("paddings", func(t *testing.T) {
		v := vectors["easypay-aes-padding"]
		require.Len(t, v.Ciphertext, 3)
		for padding, want := range v.Ciphertext {
			got, err := envelope.Encrypt([]byte(v.Key), []byte(v.Plaintext), envelope.Padding(padding))
			require.NoError(t, err)
			assert.Equal(t, want, encoding.EncodeBase64(got), padding)
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
				p := pen(t, schemetest.Setting{"empty", option})
				request := `{"bizData":{` + c.members + `},"other":"1"}`
				sealed, err := seal(t, p.Scheme, request)
				require.NoError(t, err)
				assert.Equal(t, want, string(sealed.Canonical), option)
				raw, _ := schemetest.Parse(t, request).Get(memberPart)
				sent, _ := schemetest.Parse(t, sealed.Body).Get(memberPart)
				assert.Equal(t, string(raw.Raw()), string(sent.Raw()), "only the signed value is trimmed, the body stays")
				_, err = p.Algorithm.Verify(p.Keys, sealed.Canonical, schemetest.Text(t, schemetest.Parse(t, sealed.Body), "sign"))
				assert.NoError(t, err)
			}
		})
	}
}

func TestObjectsAndArrays(t *testing.T) {
	p := pen(t)
	for _, value := range []string{"{}", "[1]"} {
		_, err := seal(t, p.Scheme, `{"bizData":{"a":`+value+`}}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "nobody says how a request's would be signed")
		assert.ErrorContains(t, err, "bizData.a")
	}
	answer := p.JSON(t, scheme.KindResponse, `{"bizData":{"a":{"x" : 1.10,"y":"\u4e2d"},"b":[ ]}}`)
	opened, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: schemetest.Merchant(t, reference)})
	require.NoError(t, err)
	assert.Equal(t, `a={"x" : 1.10,"y":"\u4e2d"}&b=[ ]`, string(opened.Canonical), "of an answer it is the exact text")
}

func TestEncryptionComesFirst(t *testing.T) {
	p := pen(t)
	for name, details := range map[string]string{
		"an array": "[ {\"body\":\"北京烤鸭\",\"n\":1.10} ]", "an object": `{"a":1}`, "a string": `"[ {\"a\":1} ]"`, "a number": "1.10", "a boolean": "false",
	} {
		t.Run(name, func(t *testing.T) {
			sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":`+details+`,"dgtlEnvlp":"the client's own","transAmt":"1"}}`)
			require.NoError(t, err)
			sent := part(t, sealed.Body)
			ciphertext, wrapped := schemetest.Text(t, sent, "orderSubDetails"), schemetest.Text(t, sent, memberEnvelope)
			assert.Equal(t, "dgtlEnvlp="+wrapped+"&orderSubDetails="+ciphertext+"&transAmt=1", string(sealed.Canonical))

			key, err := envelope.Unwrap(p.Keys.Decrypt[0].Decrypter, "", wrapped)
			require.NoError(t, err)
			assert.Regexp(t, "^[0-9A-Za-z]{32}$", string(key))
			raw, err := encoding.DecodeBase64(ciphertext)
			require.NoError(t, err)
			text, err := envelope.Decrypt(key, raw, envelope.PadSpace)
			require.NoError(t, err)
			want, _ := schemetest.Parse(t, `{"x":`+details+`}`).Get("x")
			assert.Equal(t, string(want.Text()), string(text), "the exact bytes, or the decoded text of a string")
		})
	}
}

func TestWithoutAnythingToEncryptThereIsNoEnvelope(t *testing.T) {
	s := schemetest.Configure(t, "easypay")
	for _, members := range []string{`"transAmt":"1"`, `"orderSubDetails":null,"transAmt":"1"`, `"orderSubDetails":"","transAmt":"1"`} {
		sealed, err := seal(t, s, `{"bizData":{`+members+`}}`)
		require.NoError(t, err)
		assert.Equal(t, "transAmt=1", string(sealed.Canonical), members)
		assert.NotContains(t, string(sealed.Body), memberEnvelope)
		assert.Equal(t, []keys.Role{keys.Sign, keys.Verify}, s.Needs(schemetest.Parse(t, `{"bizData":{`+members+`}}`)))
	}
	sealed, err := seal(t, s, `{"bizData":{"dgtlEnvlp":"mine"}}`)
	require.NoError(t, err)
	assert.Equal(t, "dgtlEnvlp=mine", string(sealed.Canonical), "a client's own stays where none is made")
	assert.Contains(t, s.Needs(schemetest.Parse(t, `{"bizData":{"orderSubDetails":[]}}`)), keys.Decrypt)
}

func TestTheLabelIsReplacedAndTheRestStays(t *testing.T) {
	s := schemetest.Configure(t, "easypay", schemetest.Setting{"sign_type", "RSA2"})
	request := `{ "orgId" : "1","sign":"x" , "signType":"none","bizData":{"a":1.10} }`
	sealed, err := seal(t, s, request)
	require.NoError(t, err)
	sig := schemetest.Text(t, schemetest.Parse(t, sealed.Body), "sign")
	assert.Equal(t, strings.NewReplacer(`"x"`, `"`+sig+`"`, `"none"`, `"RSA2"`).Replace(request), string(sealed.Body))
}

// answerTo makes the provider's answer with orderSubDetails encrypted.
func answerTo(t *testing.T, p schemetest.Pen, key []byte, wrapped, details string) string {
	t.Helper()
	ciphertext, err := envelope.Encrypt(key, []byte(details), envelope.PadSpace)
	require.NoError(t, err)
	return p.JSON(t, scheme.KindResponse, `{"sysRetCode":"000000","bizData":{"dgtlEnvlp":"`+wrapped+`", "orderSubDetails": "`+encoding.EncodeBase64(ciphertext)+`" }}`)
}

func TestTheEnvelopeOfAnAnswer(t *testing.T) {
	p := pen(t)
	set := schemetest.Merchant(t, reference)
	const details = `[ {"transAmt":"30","n":1.10} ]`
	for asked, want := range map[string]string{
		`[]`:                  details,
		`"[]"`:                `"[ {\"transAmt\":\"30\",\"n\":1.10} ]"`,
		`{"given":"as JSON"}`: details,
	} {
		sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":`+asked+`}}`)
		require.NoError(t, err)
		remembered := sealed.Memory.(*memory)

		echoed := answerTo(t, p, remembered.key, remembered.envelope, details)
		opened, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, echoed), Keys: set, Sealed: sealed})
		require.NoError(t, err, "an echoed envelope opens with the key of its request")
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+want+` }`)

		// A fresh envelope, to the organisation's own key.
		key := envelope.NewKey()
		wrapped, err := envelope.Wrap(set.Decrypt[0].Public, "", key)
		require.NoError(t, err)
		fresh := answerTo(t, p, key, wrapped, details)
		opened, err = p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, fresh), Keys: set, Sealed: sealed})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+want+` }`)
		assert.Contains(t, opened.Fingerprints, set.Decrypt[0].Fingerprint)

		// Without the request what the text is decides.
		opened, err = p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, fresh), Keys: set})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), `"orderSubDetails": `+details+` }`)
		opened, err = p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, echoed), Keys: set})
		require.NoError(t, err, "verified, not decryptable")
		assert.NotEmpty(t, opened.Note)
		assert.Equal(t, echoed, string(opened.Body))
	}
}

func TestOneErrorForEveryCauseOfAFailedDecryption(t *testing.T) {
	p := pen(t)
	set := schemetest.Merchant(t, reference)
	sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":[]}}`)
	require.NoError(t, err)
	own := sealed.Memory.(*memory)
	key := envelope.NewKey()
	wrap := func(prefix string, key []byte) string {
		text, err := envelope.Wrap(set.Decrypt[0].Public, prefix, key)
		require.NoError(t, err)
		return text
	}
	toOther, err := envelope.Wrap(set.Encrypt.RSA, "", key)
	require.NoError(t, err)
	all := map[string]string{
		"another's envelope":        answerTo(t, p, key, toOther, "[]"),
		"no envelope":               answerTo(t, p, key, "", "[]"),
		"an envelope that is none":  answerTo(t, p, key, "AAAA", "[]"),
		"a key that is too short":   answerTo(t, p, key, wrap("", key[:16]), "[]"),
		"a key of other characters": answerTo(t, p, key, wrap("", []byte(strings.Repeat("\x01", 32))), "[]"),
		"an unknown prefix":         answerTo(t, p, key, wrap("01|", key), "[]"),
		"another key inside":        answerTo(t, p, key, wrap("", envelope.NewKey()), "[]"),
		"the request's, other key":  answerTo(t, p, key, own.envelope, "[]"),
		"no JSON inside":            answerTo(t, p, own.key, own.envelope, "none"),
		"a duplicate member inside": answerTo(t, p, own.key, own.envelope, `{"a":1,"a":2}`),
		"no UTF-8 inside":           answerTo(t, p, own.key, own.envelope, "\xff\xfe"),
		"half a block":              p.JSON(t, scheme.KindResponse, `{"bizData":{"dgtlEnvlp":"`+own.envelope+`","orderSubDetails":"AAAA"}}`),
		"no Base64":                 p.JSON(t, scheme.KindResponse, `{"bizData":{"dgtlEnvlp":"`+own.envelope+`","orderSubDetails":"-_-_"}}`),
		"a number":                  p.JSON(t, scheme.KindResponse, `{"bizData":{"dgtlEnvlp":"`+own.envelope+`","orderSubDetails":1}}`),
		"an array in plain":         p.JSON(t, scheme.KindResponse, `{"bizData":{"dgtlEnvlp":"`+own.envelope+`","orderSubDetails":[]}}`),
	}
	texts := make(map[string]bool)
	for name, answer := range all {
		_, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.Decryption, scheme.ReasonOf(err), name)
		if err != nil {
			texts[err.Error()] = true
		}
		unsigned := schemetest.WithSign(t, answer, "AAAA")
		_, err = p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, unsigned), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.Signature, scheme.ReasonOf(err), "%s: nothing is decrypted before the message has verified", name)
	}
	assert.Len(t, texts, 1)
}

func TestEnvelopePrefix(t *testing.T) {
	p := pen(t, schemetest.Setting{"envelope_prefix", "01|"})
	sealed, err := seal(t, p.Scheme, `{"bizData":{"orderSubDetails":[]}}`)
	require.NoError(t, err)
	_, err = envelope.Unwrap(p.Keys.Decrypt[0].Decrypter, "01|", schemetest.Text(t, part(t, sealed.Body), memberEnvelope))
	assert.NoError(t, err)
	_, err = envelope.Unwrap(p.Keys.Decrypt[0].Decrypter, "", schemetest.Text(t, part(t, sealed.Body), memberEnvelope))
	assert.Error(t, err)
}

func TestWhatCannotBeEncrypted(t *testing.T) {
	for _, members := range [][]string{{"dgtlEnvlp"}, {""}, {"a", "b", "a"}} {
		_, err := schemetest.Try(t, "easypay", append(schemetest.Setting{"encrypt"}, members...))
		assert.ErrorContains(t, err, "encrypt", members)
	}
	s := schemetest.Configure(t, "easypay", schemetest.Setting{"encrypt", "a", "b"})
	sealed, err := seal(t, s, `{"bizData":{"a":[1],"b":"x","orderSubDetails":"plain"}}`)
	require.NoError(t, err)
	sent := part(t, sealed.Body)
	assert.NotEqual(t, "x", schemetest.Text(t, sent, "b"))
	assert.Equal(t, "plain", schemetest.Text(t, sent, "orderSubDetails"))
}

func TestPaddingNoneNeedsWholeBlocks(t *testing.T) {
	s := schemetest.Configure(t, "easypay", schemetest.Setting{"padding", "none"})
	_, err := seal(t, s, `{"bizData":{"orderSubDetails":"0123456789abcdef"}}`)
	assert.NoError(t, err)
	_, err = seal(t, s, `{"bizData":{"orderSubDetails":"0123456789abcde"}}`)
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	assert.NotContains(t, err.Error(), "0123456789", "an error never holds a plaintext")
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	p := pen(t)
	sealed, err := seal(t, p.Scheme, `{"bizData":{"oriOrgTrace":"1"}}`)
	require.NoError(t, err)
	for answer, want := range map[string]scheme.Reason{
		`{"bizData":{"oriOrgTrace":"1"}}`: 0, `{"bizData":{"x":"1"}}`: 0, `{"bizData":{"oriOrgTrace":"2"}}`: scheme.Mismatch,
	} {
		_, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, p.JSON(t, scheme.KindResponse, answer)), Keys: schemetest.Merchant(t, reference), Sealed: sealed})
		assert.Equal(t, want, scheme.ReasonOf(err), answer)
	}
}

func TestARequestWithoutBizData(t *testing.T) {
	for _, request := range []string{`{}`, `{"bizData":null}`, `{"bizData":"{}"}`, `{"bizData":[]}`} {
		_, err := seal(t, schemetest.Configure(t, "easypay"), request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
	}
}

func TestNotification(t *testing.T) {
	p := pen(t)
	n := p.Scheme.(scheme.Notifier)
	rule := n.Notification()
	assert.Nil(t, rule.Time)
	for member, signed := range map[string]bool{"bizData.oriOrgTrace": true, "data.oriOrgTrace": true, "orgId": false, "bizData": false, "sign": false} {
		assert.Equal(t, signed, rule.Signed(member), member)
	}
	set := schemetest.Merchant(t, reference)
	open := func(text string) (*scheme.Opened, error) {
		return n.OpenNotification(scheme.Notification{Body: schemetest.Parse(t, text), Keys: set})
	}
	for _, name := range []string{memberPart, memberOldPart} {
		opened, err := open(p.JSON(t, scheme.KindNotification, `{"`+name+`":{"oriOrgTrace":"1"}}`))
		require.NoError(t, err)
		assert.Equal(t, name, opened.Signed)
	}
	// Both parts at once is an attack, whichever is signed.
	for _, name := range []string{memberPart, memberOldPart} {
		signed := schemetest.Parse(t, p.JSON(t, scheme.KindNotification, `{"`+name+`":{"oriOrgTrace":"1"}}`))
		_, err := open(`{"bizData":{"oriOrgTrace":"1"},"data":{"oriOrgTrace":"2"},"sign":"` + schemetest.Text(t, signed, "sign") + `"}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
		_, err = open(`{"bizData":{"oriOrgTrace":"1"},"data":null,"sign":"` + schemetest.Text(t, signed, "sign") + `"}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	}
	for _, text := range []string{`{"sign":"AAAA"}`, `{"data":"x","sign":"AAAA"}`, `{"bizData":[],"sign":"AAAA"}`} {
		_, err := open(text)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), text)
	}

	// What is encrypted in it opens with the organisation's own key.
	key := envelope.NewKey()
	wrapped, err := envelope.Wrap(set.Decrypt[0].Public, "", key)
	require.NoError(t, err)
	opened, err := open(answerTo(t, p, key, wrapped, `[{"transAmt":"30"}]`))
	require.NoError(t, err)
	assert.Contains(t, string(opened.Body), `"orderSubDetails": [{"transAmt":"30"}] }`)
}

func TestBase64IsStrict(t *testing.T) {
	p := pen(t)
	set := schemetest.Merchant(t, reference)
	good := p.JSON(t, scheme.KindResponse, `{"bizData":{"a":"1"}}`)
	sig := schemetest.Text(t, schemetest.Parse(t, good), "sign")
	open := func(sig string) error {
		_, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, schemetest.WithSign(t, good, sig)), Keys: set})
		return err
	}
	require.NoError(t, open(sig[:76]+"\r\n"+sig[76:]+"\n"))
	for name, bad := range map[string]string{
		"url-safe": strings.NewReplacer("+", "-", "/", "_").Replace(sig), "escaped": url.QueryEscape(sig), "without padding": strings.TrimRight(sig, "="),
		"with a space": sig[:10] + " " + sig[10:], "trailing bytes": sig + "AAAA", "trailing bits": sig[:len(sig)-2] + string(sig[len(sig)-2]+1) + "=", "as hex": hex.EncodeToString([]byte(sig)),
	} {
		if bad != sig {
			assert.Equal(t, scheme.Signature, scheme.ReasonOf(open(bad)), name)
		}
	}
}
