package recipe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A text that holds the signature over it is refused when it is loaded: no peer could
// make such a message, so that all of them would be refused.
func TestATextDoesNotHoldItsSignature(t *testing.T) {
	for name, lines := range map[string]string{
		"the body":                "notification {\nverify body.sign hmac-sha256 hex {body}\n}",
		"the body in a text":      "text inner {\n{body}\nsha256 hex\n}\nanswer {\nverify body.sign hmac-sha256 hex \"{header.X}{text.inner}\"\n}",
		"a form":                  "notification {\nreceive form\nverify form.sign hmac-sha256 hex {body}\n}",
		"members of a form":       "text signed {\nsorted form\n}\nnotification {\nreceive form\nverify form.sign hmac-sha256 hex signed\n}",
		"a wrapped form":          "notification {\nunwrap form data\nverify form.sign hmac-sha256 hex {body}\n}",
		"fields beside a payload": "text signed {\nsorted form\n}\nnotification {\nunwrap form data\nverify form.sign hmac-sha256 hex signed\n}",
		"the query":               "notification {\nverify query.sign hmac-sha256 hex \"{query}{body}\"\n}",
		"the URI":                 "notification {\nverify query.sign hmac-sha256 hex \"{uri}{body}\"\n}",
		"parameters":              "text signed {\nsorted query\nappend {body}\n}\nnotification {\nverify query.sign hmac-sha256 hex signed\n}",
		"the other text":          "text a {\nsorted body except sign x\n}\ntext b {\nsorted body except x\n}\nnotification {\nverify body.sign hmac-sha256 hex a or b\n}",
		"a header":                "notification {\nverify header.X-Sign hmac-sha256 hex \"{header.X-Sign}{body}\"\n}",
		"the header of a part":    "notification {\nverify header.X-Sign.v1 hmac-sha256 hex \"{header.X-Sign}{body}\"\n}",
		"a request's header":      "request {\nsign header.X-Sign hmac-sha256 hex \"{header.X-Sign}{body}\"\n}",
		"a request's parameter":   "request {\nsign query.sign hmac-sha256 hex \"{query.sign}{body}\"\n}",
	} {
		_, err := compiled(lines, nil)
		require.ErrorContains(t, err, "holds the signature itself", name)
		assert.Contains(t, err.Error(), "Testfile:", name)
	}
	for name, lines := range map[string]string{
		"beside the body":     "notification {\nverify header.X-Sign hmac-sha256 hex {body}\n}",
		"another part":        "notification {\nverify header.X-Sign.v1 hmac-sha256 hex \"{header.X-Sign.t}{body}\"\n}",
		"the body of a form":  "notification {\nunwrap form data\nverify form.sign hmac-sha256 hex {form.data}\n}",
		"without itself":      "text signed {\nsorted query except sign\nappend {body}\n}\nnotification {\nverify query.sign hmac-sha256 hex signed\n}",
		"a request's body":    "request {\nsign body.sign hmac-sha256 hex {body}\n}",
		"a request's query":   "request {\nsign query.sign hmac-sha256 hex \"{uri}{body}\"\n}",
		"the request's query": "answer {\nverify query.sign hmac-sha256 hex \"{request.uri}{body}\"\n}",
	} {
		_, err := compiled(lines, nil)
		require.NoError(t, err, name)
	}
}

// Names that differ in letters alone are read twice, also where both are signed.
func TestTwinsThatAreSignedAreRefused(t *testing.T) {
	for steps, texts := range map[string][]string{
		"sorted body except sign":                {`{"amount":"1","Amount":"2","sign":"%"}`, `{"ſum":"1","SUM":"2","sign":"%"}`},
		"sorted body except sign nested recurse": {`{"a":{"b":[{"c":"1","C":"2"}]},"sign":"%"}`},
		"sorted body except sign nested flat":    {`{"a":{"b":{"c":"1","C":"2"}},"sign":"%"}`},
		"values sorted except sign":              {`{"amount":"1","Amount":"2","sign":"%"}`},
		"json body sorted except sign":           {`{"amount":"1","Amount":"2","sign":"%"}`},
		"sorted body.data":                       {`{"data":{"amount":"1","Amount":"2"},"sign":"%"}`},
	} {
		p := mustCompile(t, "text signed {\n"+steps+"\n}\nnotification {\nverify body.sign hmac-sha256 hex signed\n}")
		for _, text := range texts {
			sum := p.sum(t, p.read(t, message.Notification, text), shared("s"))
			text = strings.ReplaceAll(text, "%", sum)
			in := scheme.Incoming{Message: p.read(t, message.Notification, text), Keys: shared("s"), Now: testTime}
			_, err := scheme.Open(p, in)
			assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), "%s: %s: %v", steps, text, err)
		}
	}
	many := twinNames{}
	for i := range 100 {
		require.NoError(t, many.add([]byte{'a', byte('0' + i/10), byte('0' + i%10)}))
	}
	require.Error(t, many.add([]byte("A07")))
	// What a recipe reads as bytes may have them: metadata of a merchant's customers does.
	p := mustCompile(t, "text signed {\nsorted body except sign nested json\n}\nnotification {\nverify body.sign hmac-sha256 hex signed\n}")
	sum := p.sum(t, p.read(t, message.Notification, `{"meta":{"a":"1","A":"2"}}`), shared("s"))
	m := p.read(t, message.Notification, `{"meta":{"a":"1","A":"2"},"sign":"`+sum+`"}`)
	_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: shared("s"), Now: testTime})
	assert.NoError(t, err)
}

// A request without something that its text names is not sent.
func TestARequestHasWhatIsSigned(t *testing.T) {
	for placeholder, there := range map[string]func(m *message.Message){
		"{header.X-Shop}":      func(m *message.Message) { m.Header.Set("X-Shop", "1") },
		"{header.X-Shop.shop}": func(m *message.Message) { m.Header.Set("X-Shop", "shop=1") },
		"{query.shop}":         func(m *message.Message) { m.Query = "shop=1" },
		"{body.shop}":          func(m *message.Message) {},
	} {
		p := mustCompile(t, "request {\ndefault body.by {header.X-By}\nsign header.X-Sign hmac-sha256 hex \""+placeholder+"{body}\"\n}")
		m := message.New(message.Request)
		m.Method, m.Wire = "POST", []byte(`{"a":"1"}`)
		require.NoError(t, p.description.Request.Format.Read(m))
		_, err := scheme.Seal(p, scheme.Request{Message: m, Keys: shared("s"), Now: testTime})
		assert.ErrorContains(t, err, "which is signed", placeholder)
		m.Wire = []byte(`{"a":"1","shop":"1"}`)
		require.NoError(t, p.description.Request.Format.Read(m))
		there(m)
		_, err = scheme.Seal(p, scheme.Request{Message: m, Keys: shared("s"), Now: testTime})
		assert.NoError(t, err, placeholder)
	}
}

// A header that a recipe sets leaves as it was set, and as it was signed.
func TestAContentTypeIsSignedAsItLeaves(t *testing.T) {
	for lines, want := range map[string]string{
		"":                                     "application/json",
		"set header.Content-Type text/plain\n": "text/plain",
		"send form charset gbk\n":              "application/x-www-form-urlencoded; charset=gbk",
		"default header.Content-Type text/plain\n": "text/plain",
	} {
		p := mustCompile(t, "request {\n"+lines+"sign header.X-Sign hmac-sha256 hex \"{header.Content-Type}{body}\"\n}")
		m := message.New(message.Request)
		m.Method, m.Wire = "POST", []byte(`{"a":"1"}`)
		require.NoError(t, message.Format{}.Read(m))
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: shared("s"), Now: testTime})
		require.NoError(t, err)
		assert.Equal(t, want, sealed.Message.Header.Get("Content-Type"), lines)
		assert.True(t, strings.HasPrefix(string(sealed.Canonical()), want), lines)
	}
}

// A request without a body has no Content-Type, and is signed without one.
func TestNoContentTypeWithoutABody(t *testing.T) {
	p := mustCompile(t, "methods GET\nrequest {\nsign header.X-Sign hmac-sha256 hex \"{method}\\n{header.Content-Type}\\n{uri}\"\n}")
	m := message.New(message.Request)
	m.Method, m.Path = "GET", "/p"
	sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: shared("s"), Now: testTime})
	require.NoError(t, err)
	assert.Equal(t, "GET\n\n/p", string(sealed.Canonical()))
	assert.Empty(t, sealed.Message.Header.Get("Content-Type"))
}

// A fresh key that the cipher does not take would fail at the first request.
func TestTheSizeOfAKeyIsKnown(t *testing.T) {
	for lines, fits := range map[string]bool{
		"seal body.a aes-128-cbc base64 {\niv zero\nkey bytes 32\nwrap rsa-pkcs1 base64 body.k\n}": false,
		"seal body.a aes-256-gcm base64 {\niv prepended\nkey ascii 16\nwrap sm2 base64 body.k\n}":  false,
		"seal body.a aes-ecb base64 {\nkey ascii 20\nwrap rsa-pkcs1 base64 body.k\n}":              false,
		"seal body.a sm4-ecb base64 {\nkey ascii 32\nwrap sm2 base64 body.k\n}":                    false,
		"seal body.a 3des-ecb base64 {\nkey ascii 32\nwrap sm2 base64 body.k\n}":                   false,
		"encrypt aes-128-ecb base64 body.a {\nderive md5 hex\n}":                                   false,
		"encrypt aes-256-ecb base64 body.a {\nderive md5 raw\n}":                                   false,
		"encrypt aes-ecb base64 body.a {\nderive sha1 raw\n}":                                      false,
		"seal body.a aes-ecb base64 {\nkey ascii 16\nwrap rsa-pkcs1 base64 body.k\n}":              true,
		"seal body.a 3des-ecb base64 {\nkey ascii 24\nwrap rsa-pkcs1 base64 body.k\n}":             true,
		"seal body.a 3des-ecb base64 {\nkey bytes 16\nwrap rsa-pkcs1 base64 body.k\n}":             true,
		"seal body.a sm4-ecb base64 {\nwrap sm2 base64 body.k\n}":                                  true,
		"encrypt aes-128-ecb base64 body.a {\nderive md5 raw\n}":                                   true,
		"encrypt aes-256-ecb base64 body.a {\nderive md5 hex\n}":                                   true,
		"encrypt aes-ecb base64 body.a {\nsecret hex\n}":                                           true,
	} {
		_, err := compiled("request {\n"+lines+"\nsign header.X-Sign hmac-sha256 hex {body}\n}", nil)
		if fits {
			assert.NoError(t, err, lines)
			continue
		}
		require.ErrorContains(t, err, "takes one of", lines)
		assert.Contains(t, err.Error(), "Testfile:")
		if rest, ok := strings.CutPrefix(lines, "seal"); ok {
			_, err = compiled("answer {\nverify header.X-Sign hmac-sha256 hex {body}\nopen"+rest+"\n}", nil)
			require.ErrorContains(t, err, "takes one of", lines)
		}
	}
}

// A dot that belongs to a name is written \. in names as it is in paths.
func TestADotOfAName(t *testing.T) {
	for _, steps := range []string{`sorted body except a\.b sign`, `sorted body only c`, `values sorted except a\.b sign`, `json body sorted except a\.b sign`} {
		p := mustCompile(t, "text signed {\n"+steps+"\n}\nnotification {\nverify body.sign hmac-sha256 hex signed\n}")
		m := p.read(t, message.Notification, `{"a.b":"x","c":"1","sign":"x"}`)
		made, err := p.notification.verifies[0].make(p.incoming(&scheme.Incoming{Message: m, Keys: shared("s"), Now: testTime}))
		require.NoError(t, err)
		assert.NotContains(t, string(made.Text.Canonical), "x", steps)
		assert.False(t, p.description.Notification.Covers([]string{"a.b"}), steps)
	}
}

// {secret} stands where a secret is meant. Elsewhere it would be taken as it is written.
func TestASecretStandsWhereOneIsMeant(t *testing.T) {
	const rest = "\ntext signed {\nsorted body except sign\nappend {secret}\n}\nrequest {\nsign body.sign md5 hex signed\n}\nanswer {\nverify body.sign md5 hex signed\n}\n"
	for _, lines := range []string{
		"warn \"the key is {secret}\"" + rest,
		"title {secret}" + rest,
		"proof guess {secret.a}" + rest,
		"source {secret}" + rest,
		"option shop default {secret}" + rest + "text unused {option.shop}",
		rest + "notification {\nverify body.sign md5 hex signed\nack {secret}\n}",
		rest + "notification {\nverify body.sign md5 hex signed\nack \"ok {secret.b}\" ignore case\n}",
		strings.Replace(rest, "except sign", "except sign join {secret}", 1),
		strings.Replace(rest, "sorted body except sign", "values sorted except sign join {secret.b}", 1),
		strings.Replace(rest, "append", "strip prefix {secret}\nappend", 1),
		strings.Replace(rest, "append", "replace a {secret}\nappend", 1),
	} {
		_, err := compiled(lines, nil)
		require.ErrorContains(t, err, "{secret} stands only in texts", lines)
		assert.Contains(t, err.Error(), "Testfile:")
	}
	mustCompile(t, rest+"notification {\nverify body.sign md5 hex signed\nack sign body.sign md5 hex \"{body.code}{secret}\"\n}")
}

// What counts once stands once, and a block that nobody reads is refused.
func TestALineThatNobodyReadsIsRefused(t *testing.T) {
	const signed, verified = "sign header.X hmac-sha256 hex {body}\n", "verify header.X hmac-sha256 hex {body}\n"
	for lines, want := range map[string]string{
		"title a\ntitle b\nrequest {\n" + signed + "}":                                                      "stands twice",
		"methods GET\nmethods POST\nrequest {\n" + signed + "}":                                             "stands twice",
		"request {\n" + signed + "send form\nsend xml\n}":                                                   "stands twice",
		"request {\n" + signed + "zone UTC\nzone UTC\n}":                                                    "stands twice",
		"notification {\n" + verified + "ack a\nack b\n}":                                                   "stands twice",
		"notification {\n" + verified + "time {body.a} unix\ntime {body.b} unix\n}":                         "stands twice",
		"answer {\n" + verified + "result body.a\nresult body.b\n}":                                         "stands twice",
		"answer {\n" + verified + "receive form\nreceive xml\n}":                                            "stands twice",
		"answer {\nverify header.X rsa-sha256 hex {body} {\nkey verify@1\nkey verify@2\n}\n}":               "stands twice",
		"request {\nencrypt aes-128-cbc hex body.a {\niv zero\niv prepended\n}\n" + signed + "}":            "stands twice",
		"answer {\n" + verified + "match body.a {\nx\n}\n}":                                                 "takes no block",
		"notification {\n" + verified + "ack ok {\nx\n}\n}":                                                 "takes no block",
		"request {\n" + signed + "send form {\nx\n}\n}":                                                     "takes no block",
		"request {\nencrypt aes-128-ecb hex body.a {\npadding zero {\nx\n}\n}\n" + signed + "}":             "takes no block",
		"answer {\nverify header.X rsa-sha256 hex {body} {\nkey verify@1 {\nx\n}\n}\n}":                     "takes no block",
		"request {\nencrypt aes-128-ecb hex body.a {\npadding zero x\n}\n" + signed + "}":                   "does not take",
		"request {\nencrypt aes-128-cbc hex body.a {\niv zero x\n}\n" + signed + "}":                        "does not take",
		"request {\nseal body.a aes-128-ecb hex {\nprefix a b\nwrap sm2 hex body.k\n}\n" + signed + "}":     "does not take",
		"request {\nseal body.a aes-128-ecb hex {\nkey bytes 16 x\nwrap sm2 hex body.k\n}\n" + signed + "}": "does not take",
		"request {\nencrypt aes-128-ecb hex body.a {\niv zero\n}\n" + signed + "}":                          "has no iv",
		"request {\nencrypt aes-128-cbc hex body.a {\niv 12345\n}\n" + signed + "}":                         "takes one of 16",
		"request {\nencrypt aes-128-cbc hex body.a {\niv hex 0011\n}\n" + signed + "}":                      "takes one of 16",
		"request {\nencrypt aes-128-gcm hex body.a {\nnonce 12345\n}\n" + signed + "}":                      "12 or more",
		"request {\nencrypt aes-128-ecb hex body.a {\ninto body.b\n}\n" + signed + "}":                      "into belongs to",
		"request {\nencrypt aes-128-ecb hex body.a {\nwrap sm2 hex body.k\n}\n" + signed + "}":              "wrap belongs to",
		"answer {\n" + verified + "decrypt aes-128-ecb hex body.a {\nwrap sm2 hex body.k\n}\n}":             "wrap belongs to",
		"request {\n" + signed + "send form cdata\n}":                                                       "cdata belongs to",
		"request {\n" + signed + "send json root x\n}":                                                      "root belongs to",
		"request {\n" + signed + "send form as wire\n}":                                                     "as wire belongs to",
	} {
		_, err := compiled(lines, nil)
		require.ErrorContains(t, err, want, lines)
		assert.Contains(t, err.Error(), "Testfile:", lines)
	}
	mustCompile(t, "notification {\n"+verified+"ack ok\nack sign body.sign hmac-sha256 hex {body.code}\n}")
	mustCompile(t, "request {\nencrypt aes-128-cbc hex body.a {\niv 12345 pad 16\n}\n"+signed+"}")
	mustCompile(t, "answer {\n"+verified+"open body.a aes-128-ecb hex {\nkey ascii 16\nwrap sm2 hex body.k\n}\n}")
}

// A match of what nobody signs would show an attacker's word as agreement.
func TestAMatchIsSigned(t *testing.T) {
	const text = "text some {\nsorted body only a\n}\nanswer {\nverify body.sign hmac-sha256 hex some\nmatch body."
	_, err := compiled(text+"b\n}", nil)
	require.ErrorContains(t, err, "match body.b: no signature of the answer covers it")
	assert.Contains(t, err.Error(), "Testfile:")
	mustCompile(t, text+"a\n}")
	p, err := compiled(text+"b\n}", Settings{"match": {"off"}})
	require.NoError(t, err)
	assert.Empty(t, p.description.Match)
}

// A nonce that every request has shows the plaintexts of two of them.
func TestANonceThatStaysIsWarnedOf(t *testing.T) {
	for lines, warned := range map[string]bool{
		"nonce 123456789012":     true,
		"nonce {secret.iv}":      true,
		"iv zero":                true,
		"iv prepended":           false,
		"nonce {nonce.12}":       false,
		"nonce {body.n}":         false,
		"nonce {time.unix_ms}00": false,
	} {
		p := mustCompile(t, "request {\nencrypt aes-128-gcm hex body.a {\n"+lines+"\n}\nsign header.X hmac-sha256 hex {body}\n}")
		assert.Equal(t, warned, strings.Contains(warnings(p), "nonce is the same for every request"), lines)
	}
}

// What an option gives is a template as any other; names that are not placeholders are
// members.
func TestATemplateOfAnOption(t *testing.T) {
	const lines = "option message default {a}\ntext signed {\ntemplate {option.message}\n}\nrequest {\nsign header.X-Sign hmac-sha256 hex signed\n}"
	for text, want := range map[string]string{
		"{a}|{body.method}":                         "1|M",
		"{method} {path}?{query} {host} {time}|{a}": "POST /p?q=1 h T|1",
		"{uri}{body}":                               "/p?q=1" + `{"a":"1","method":"M","time":"T"}`,
	} {
		p, err := compiled(lines, Settings{"message": {text}})
		require.NoError(t, err, text)
		m := message.New(message.Request)
		m.Method, m.Host, m.Path, m.Query, m.Wire = "POST", "h", "/p", "q=1", []byte(`{"a":"1","method":"M","time":"T"}`)
		require.NoError(t, message.Format{}.Read(m))
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: shared("s"), Now: testTime})
		require.NoError(t, err)
		assert.Equal(t, want, string(sealed.Canonical()), text)
	}
}

// A signature over a digest is as weak as the digest.
func TestAWeakDigestInATextIsWarnedOf(t *testing.T) {
	for step, want := range map[string]string{"md5 hex": "MD5", "sha1 base64": "SHA-1", "sha256 hex": ""} {
		p := mustCompile(t, "text signed {\n{body}\n"+step+"\n}\nrequest {\nsign header.X rsa-sha256 base64 signed\n}")
		all := warnings(p)
		if want == "" {
			assert.NotContains(t, all, "text signed")
		} else {
			assert.Contains(t, all, "text signed: "+want)
		}
	}
}

// A text that the value of an option brings in counts as one that the recipe names: it
// does not read itself, and what it covers and holds counts.
func TestATextByWayOfAnOption(t *testing.T) {
	const lines = "option message default {a}\noption rest default x\ntext signed {\ntemplate {option.message}{option.rest}\n}\ntext aa `{secret}{body.b}`\ntext zz `{text.signed}{text.aa}`\n" +
		"request {\nsign header.X-Sign hmac-sha256 hex signed\nsign header.X-More hmac-sha256 hex zz\n}"
	for _, settings := range []Settings{
		{"message": {"{text.signed}"}}, {"message": {"{a}{text.zz}"}}, {"message": {"{te"}, "rest": {"xt.signed}"}},
	} {
		_, err := compiled(lines, settings)
		require.ErrorContains(t, err, "reads itself", settings)
	}
	_, err := compiled(lines, Settings{"message": {"{a}{text.none}"}})
	require.ErrorContains(t, err, "the recipe has no text none")
	for range 16 { // texts are compiled in any order
		p, err := compiled(lines, Settings{"message": {"{a}{text.aa}"}})
		require.NoError(t, err)
		require.Equal(t, []string{""}, p.texts["signed"].secrets)
		require.True(t, p.texts["signed"].covers.member(body.Path{"b"}))
	}
}

// Beside what a recipe reads of the fields around a payload, and beside what it decrypts,
// stands nothing in other letters that nobody has signed.
func TestTwinsThatAreNotSigned(t *testing.T) {
	set := shared("0123456789abcdef")
	fields := mustCompile(t, "text fields {\nsorted form except sign\n}\nnotification {\nunwrap form data\nverify form.sign hmac-sha256 hex fields\n}")
	sum := fields.sum(t, fields.read(t, message.Notification, "data={}&time=7"), set)
	for extra, want := range map[string]scheme.Reason{"": 0, "&other=": 0, "&Data=": scheme.Ambiguous, "&TIME=": scheme.Ambiguous, "&Sign=00": scheme.Ambiguous} {
		m := fields.read(t, message.Notification, "data={}&time=7&sign="+sum+extra)
		_, err := scheme.Open(fields, scheme.Incoming{Message: m, Keys: set, Now: testTime})
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", extra, err)
	}
	into := mustCompile(t, "notification {\nverify header.X-Sign hmac-sha256 hex `{body.id}{body.card}`\ndecrypt aes-128-ecb hex body.card {\ninto body.plain\n}\n}")
	const card = `{"id":"1","card":"377222e061a924c591cd9c27ea163ed4"` // of 16 bytes 0, with PKCS #7
	for extra, want := range map[string]bool{"": true, `,"plain":"x"`: true, `,"Plain":"x"`: false, `,"PLAIN":""`: false} {
		m := into.read(t, message.Notification, card+extra+"}")
		m.Header.Set("X-Sign", into.sum(t, m, set))
		_, err := scheme.Open(into, scheme.Incoming{Message: m, Keys: set, Now: testTime})
		assert.Equal(t, !want, scheme.ReasonOf(err) == scheme.Ambiguous, "%s: %v", extra, err)
	}
}
