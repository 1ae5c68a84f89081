package recipe

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// {body} is what leaves: of a payload in a field the whole form, without a signature that
// stands in it, as the peer reads it.
func TestBodyOfAWrappedPayload(t *testing.T) {
	set := shared("s3cret")
	form := func(pairs ...string) string {
		text := ""
		for i := 0; i < len(pairs); i += 2 {
			text += "&" + pairs[i] + "=" + url.QueryEscape(pairs[i+1])
		}
		return text[1:]
	}
	payload := `{"a":"1 +"}`
	const whole = "encrypt aes-128-ecb hex body {\nderive md5 raw\n}\n"
	for lines, want := range map[string]string{
		"sign header.Sign hmac-sha256 hex `{body}`":                                              form("m", "7", "data", payload),
		"sign form.sign hmac-sha256 hex `{body}`":                                                form("m", "7", "data", payload),
		"sign form.one hmac-sha256 hex `{form.data}`\nsign header.Sign hmac-sha256 hex `{body}`": form("m", "7", "data", payload, "one", mac(payload)),
		"sign body.sign hmac-sha256 hex `{body}`":                                                form("m", "7", "data", payload),
		"sign header.Sign hmac-sha256 hex `{body}`\n" + whole:                                    payload,
		whole + "sign header.Sign hmac-sha256 hex `{body}`\nset header.X `{body}`":               "",
	} {
		p := mustCompile(t, "request {\nset form.m 7\n"+lines+"\nwrap form data\n}")
		sealed, err := p.seal(t, set, payload)
		require.NoError(t, err, lines)
		m := sealed.Message
		fields, err := url.ParseQuery(string(m.Wire))
		require.NoError(t, err)
		if want == "" {
			want = string(m.Wire)
		}
		signature := m.Header.Get("Sign") + fields.Get("sign")
		if signature == "" {
			signature = fields.Get("data")
		}
		assert.Contains(t, signature, mac(want), lines)
		came := *m
		_, err = p.VerifyRequest(&came, set, testTime)
		assert.NoError(t, err, lines)
		came.Wire = append(came.Wire, "&n=8"...)
		_, err = p.VerifyRequest(&came, set, testTime)
		if strings.Contains(lines, "`{body}`\n"+whole) {
			assert.NoError(t, err, lines)
		} else {
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), lines)
		}
	}

	p := mustCompile(t, "notification {\nunwrap form data\nverify header.Sign hmac-sha256 hex `{body}`\n}")
	peer, err := p.Peer()
	require.NoError(t, err)
	o, err := body.Parse([]byte(payload))
	require.NoError(t, err)
	m, err := peer.Notification(message.New(message.Notification), o, Sending{Keys: set, Now: testTime})
	require.NoError(t, err)
	assert.Equal(t, mac(string(m.Wire)), m.Header.Get("Sign"))
}

// What is encrypted inside of a member that travels as a text is encrypted, decrypted in
// the answer, and comes back as the application sent it.
func TestEncryptedInsideOfAText(t *testing.T) {
	set := shared("s3cret")
	members := "text members {\nsorted body except sign\n}\n"
	sign, verify := "sign body.sign hmac-sha256 hex members\n", "answer {\nverify body.sign hmac-sha256 hex members\n}"
	encrypt := "encrypt aes-128-ecb hex body.card.no body.card.list.*.no {\nderive md5 raw\n}\n"
	for name, lines := range map[string]string{
		"encrypted first": encrypt + "string body.card\n",
		"a text first":    "string body.card\n" + encrypt,
		"texts in a text": encrypt + "string body.card.* body.card\n",
	} {
		p := mustCompile(t, members+"request {\n"+lines+sign+"}\n"+verify)
		peer, err := p.Peer()
		require.NoError(t, err)
		for _, broken := range []string{`{"card":"{\"no\":\"4111\""}`, `{"card":"{\"no\":\"4111\",\"no\":\"1\"}"}`} {
			_, err := p.seal(t, set, broken)
			require.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "%s: what cannot be encrypted does not leave", name)
			assert.NotContains(t, err.Error(), "4111", name)
		}
		for _, plain := range []string{
			`{"card":{"no":"4111","list":[{"no":"5"},{"no":"6"}],"x":"\u0041"}}`,
			`{"card":"{\"no\":\"4111\",\"list\":[{\"no\":\"5\"},{\"no\":\"6\"}],\"x\":\"\\u0041\"}"}`,
			`{"card":{"x":"1"}}`,
			`{"card":"{\"x\": 1}"}`,
			`{"card":"no JSON"}`,
		} {
			sealed, err := p.seal(t, set, plain)
			require.NoError(t, err, name)
			sent := string(sealed.Message.Wire)
			assert.NotContains(t, sent, "4111", name)
			assert.Contains(t, sent, `"card":"`, name)
			came := *sealed.Message
			got, err := p.VerifyRequest(&came, set, testTime)
			require.NoError(t, err, name)
			if strings.Contains(plain, "4111") {
				assert.Contains(t, string(got), "4111", name)
			}

			received, err := peer.Receive(sealed.Message.Fresh(), set, testTime)
			require.NoError(t, err, name)
			answer, err := peer.Answer(received, peer.Default(message.Answer, received, nil), Sending{Keys: set, Now: testTime})
			require.NoError(t, err, name)
			assert.NotContains(t, string(answer.Wire), "4111", name)
			require.NoError(t, p.answer.format.Read(answer))
			opened, err := scheme.Open(p, scheme.Incoming{Message: answer, Keys: set, Now: testTime, Request: sealed})
			require.NoError(t, err, name)
			assert.Contains(t, string(opened.Body()), plain[1:len(plain)-1], name)
		}
	}
}

// The peer opens what was sealed, and what it answers opens: where the query is signed in
// which the payload travels, where an iv stands in a header, and where a list names what
// is signed.
func TestPeerAnswersWhatOpens(t *testing.T) {
	set := shared("s3cret")
	for name, lines := range map[string]string{
		"query":     "request {\nsend query\nset body.t {time.unix}\nsign body.sign hmac-sha256 hex `{path}?{query}`\n}\nanswer {\nverify header.Sign hmac-sha256 hex {body}\n}",
		"iv":        "request {\nset header.X-Iv {nonce.16}\nencrypt aes-128-cbc hex body.a {\nderive md5 raw\niv {header.X-Iv}\n}\nsign header.Sign hmac-sha256 hex `{header.X-Iv}{body}`\n}\nanswer {\nverify header.Sign hmac-sha256 hex `{body}`\ndecrypt aes-128-cbc hex body.a {\nderive md5 raw\niv {header.X-Iv}\n}\n}",
		"coded iv":  "request {\nset header.X-Iv {nonce.32.hex}\nencrypt aes-128-cbc hex body.a {\nderive md5 raw\niv hex {header.X-Iv}\n}\nsign header.Sign hmac-sha256 hex `{header.X-Iv}{body}`\n}\nanswer {\nverify header.Sign hmac-sha256 hex `{body}`\ndecrypt aes-128-cbc hex body.a {\nderive md5 raw\niv hex {header.X-Iv}\n}\n}",
		"listed by": "text listed {\nsorted body names listed by names\n}\nrequest {\nset body.names a\nsign body.sign hmac-sha256 hex listed\n}\nanswer {\nverify body.sign hmac-sha256 hex listed\n}",
	} {
		p := mustCompile(t, lines)
		peer, err := p.Peer()
		require.NoError(t, err, name)
		sealed, err := p.seal(t, set, `{"a":"4111"}`)
		require.NoError(t, err, name)
		came := *sealed.Message
		received, err := peer.Receive(&came, set, testTime)
		require.NoError(t, err, name)
		answer, err := peer.Answer(received, peer.Default(message.Answer, received, nil), Sending{Keys: set, Now: testTime})
		require.NoError(t, err, name)
		require.NoError(t, p.answer.format.Read(answer))
		opened, err := scheme.Open(p, scheme.Incoming{Message: answer, Keys: set, Now: testTime, Request: sealed})
		require.NoError(t, err, name)
		assert.Contains(t, string(opened.Body()), `"a":"4111"`, name)
	}
}

// A request without what its cipher reads is not sent: nothing would stand in its place.
func TestEncryptReadsWhatIsThere(t *testing.T) {
	for _, value := range []string{"{header.X-A}", "{query.a}", "{form.a}", "{body.b}"} {
		p := mustCompile(t, "request {\nencrypt aes-128-gcm hex body.a {\nderive md5 raw\nnonce {nonce.12}\naad "+value+"\n}\nsign form.sign hmac-sha256 hex {form.data}\nset form.n {nonce.12}\nwrap form data\n}")
		_, err := p.seal(t, shared("s3cret"), `{"a":"1"}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), value)
	}
}

// An acknowledgement is signed as JSON, or in the format in which notifications come.
func TestAckInTheFormatOfNotifications(t *testing.T) {
	set := shared("s3cret")
	for _, test := range []struct{ receive, target, ack, want string }{
		{"xml", "body.sign", "<?xml version=\"1.0\"?>\n<reply><b>2</b><a>1 &amp;</a></reply>", "<reply><b>2</b><a>1 &amp;</a><sign>SIGN</sign></reply>"},
		{"xml charset gbk", "body.sign", "<x><a>1 &amp;</a><b>2</b></x>", `<?xml version="1.0" encoding="GBK"?><x><a>1 &amp;</a><b>2</b><sign>SIGN</sign></x>`},
		{"form", "body.sign", "b=2&a=1+%26", "b=2&a=1+%26&sign=SIGN"},
		{"form", "body.sign", `{"a":"1 &","b":"2"}`, `{"a":"1 &","b":"2","sign":"SIGN"}`},
		{"json", "body.sign", `{"a":"1 &","b":"2"}`, `{"a":"1 &","b":"2","sign":"SIGN"}`},
		{"xml", "body.sign", "success", ""},
		{"form", "body.sign", "success", ""},
		{"json", "body.sign", "a=1", ""},
	} {
		p := mustCompile(t, "text all {\nsorted body except sign\n}\nnotification {\nreceive "+test.receive+"\nverify body.sign hmac-sha256 hex all\nack sign "+test.target+" hmac-sha256 hex all\n}")
		ack := message.New(message.Request)
		ack.Wire = []byte(test.ack)
		err := p.description.Notify.SignAck(&scheme.Draft{Message: ack, Keys: set, Now: testTime})
		if test.want == "" {
			assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), test.ack)
			continue
		}
		require.NoError(t, err, test.ack)
		assert.Equal(t, strings.Replace(test.want, "SIGN", mac("a=1 &&b=2"), 1), string(ack.Wire))
		peer, err := p.Peer()
		require.NoError(t, err)
		assert.NoError(t, peer.Acknowledged(200, ack.Header, ack.Wire, set, testTime), test.ack)
		assert.Error(t, peer.Acknowledged(200, ack.Header, []byte(strings.Replace(string(ack.Wire), "2", "3", 1)), set, testTime), test.ack)
	}
}
