package recipe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// recipesThatFuzz hold each builder and each statement that needs no key pair.
var recipesThatFuzz = []string{
	"text t {\nsorted body except sign nested json plain\nappend \"&key={secret}\"\n}\nrequest {\nstring body.s.* body.s\ndefault body.v 1\nset header.X-V {body.v}\nsign body.sign md5 hex t\n}\nanswer {\nverify body.sign md5 hex t\nunsigned error body.code 0\nmatch body.order\nresult body.code\n}\nnotification {\nreceive form\nverify body.sign md5 hex t\ntime {body.v} unix\nidentity body except v\nack success\n}",
	"text t {\nsorted one-of body.a body.b nested recurse\n}\nrequest {\nencrypt aes-128-cbc base64 body.a.* {\niv prepended\n}\nset query.v {body.v}\nsign query.sign hmac-sha256 base64url `{uri}{body}`\n}\nanswer {\nverify header.X-Sign.s hmac-sha256 base64 t {\nfresh {body.a.t} unix 5m\n}\n}\nnotification {\nunwrap form data\nverify form.sign hmac-sha256 hex-upper \"{form.data}{header.X-T}\"\ndecrypt aes-128-ecb hex body.a {\ninto body.c\n}\n}",
	"text t {\nvalues a b c join | nested json\n}\nrequest {\nsign body.sign hmac-sha256 hex t\nsend xml\n}\nanswer {\nreceive xml\nverify body.sign hmac-sha256 hex t\n}\nnotification {\nverify header.X-Sign hmac-sha256 hex {body}\ndecrypt aes-128-cbc base64 body {\niv zero\n}\nsingle body.list\n}",
	"text t {\njson body deep except sign\n}\nrequest {\nsign body.sign sm3 hex \"{text.t}{secret}\"\nsend form raw\n}\nanswer {\nverify body.sign hmac-sha256 hex t\n}\nnotification {\nverify body.sign hmac-sha256 hex r\n}\ntext r {\nraw body.*_response\n}",
	"text t {\nsorted body names listed by body.names\nurl\nlower\n}\ntext u {\nsorted body except sign nested flat lists keep null empty order piece-fold\n}\nrequest {\nsign body.sign hmac-sha256 hex u\nsend query\n}\nanswer {\nreceive text\nverify header.X-Sign hmac-sha256 hex `{body.text}`\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n}",
}

// A recipe is read, compiled and described, or refused, whatever stands in it. What
// is compiled signs and refuses messages without a panic.
func FuzzRecipe(f *testing.F) {
	for _, lines := range recipesThatFuzz {
		f.Add(lines)
	}
	f.Add("option a x y\nwhen a x {\nwhen a y {\ntext t {body}\n}\n}\nnotification {\nverify body.sign hmac-sha256 hex `{body.{option.a}}`\n}")
	f.Add("text a {text.a}\nrequest {\nsign body.a rsa-sha256 base64 a as `{signature}{nonce.256}{uuid}`\n}")
	f.Add("request {\nseal body aes-256-gcm base64 {\nwrap sm2 hex header.K\nkey ascii 32\nnonce {nonce.12}\naad {time.2006}\n}\nwrap json a base64\ntoken header.A {secret}\n}")
	set := shared("0123456789abcdef")
	f.Fuzz(func(t *testing.T, lines string) {
		if strings.Contains(lines, "import") || strings.Contains(lines, "{$") {
			return // Caddy's own, before a recipe is read
		}
		tokens, err := caddyfile.Tokenize([]byte("recipe acme {\n"+lines+"\n}"), "acme")
		if err != nil {
			return
		}
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		var r Recipe
		if _, err := r.UnmarshalCaddyfile(d); err != nil {
			return
		}
		p, err := Compile("acme", r, nil)
		if err != nil {
			require.Less(t, len(err.Error()), 2000+2*len(lines))
			return
		}
		openAll(t, p, set, []byte(`{"a":{"t":"1"},"code":1,"sign":"00","list":[1]}`))
		if p.request != nil {
			m := message.New(message.Request)
			m.Method, m.Path = "POST", "/"
			o, err := body.Parse([]byte(`{"a":"1","s":{"b":[]},"list":[{"x":null}]}`))
			require.NoError(t, err)
			m.SetPayload(o)
			_, _ = scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: testTime})
		}
	})
}

// openAll opens a text as every kind of message that a program has. None of them is
// signed, so that none may verify.
func openAll(t *testing.T, p *Program, set *keys.Set, text []byte) {
	t.Helper()
	for _, kind := range []message.Kind{message.Answer, message.Notification} {
		if p.block(kind) == nil {
			continue
		}
		m := message.New(kind)
		m.Method, m.Path, m.Status, m.Wire = "POST", "/", 200, text
		for _, name := range []string{"X-Sign", "X-T"} {
			m.Header.Set(name, "s=00,t=1")
		}
		if p.block(kind).format.Read(m) != nil {
			continue
		}
		v, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
		if err == nil {
			require.True(t, v.IsUnsigned(), "%s verifies: %q", kind, text)
			continue
		}
		require.Nil(t, v)
		e, ok := err.(*scheme.Error) //nolint:errorlint // Open promises this type
		require.True(t, ok, "%T", err)
		require.NotContains(t, fmt.Sprint(e.Detail), "0123456789abcdef")
		if e.Cause != nil {
			require.NotContains(t, e.Cause.Error(), "has panicked")
		}
	}
}

// A message is refused or exempted, whatever it holds: it is not signed.
func FuzzMessage(f *testing.F) {
	for i := range recipesThatFuzz {
		for _, text := range []string{
			`{"a":{"t":"1","x":"\ud83d\ude00"},"sign":"00","code":1,"names":"a,b","pay_response":{}}`, "a=1&b=%E4%B8%AD&sign=00&data=%7B%7D", "<xml><a>1</a><sign>00</sign></xml>", "MDEyMzQ1Njc4OWFiY2RlZg==", "\ufeff{}", "",
			`{"code":1,"sign":null}`, strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
		} {
			f.Add(i, []byte(text))
		}
	}
	programs := make([]*Program, len(recipesThatFuzz))
	for i, lines := range recipesThatFuzz {
		programs[i] = mustCompile(f, lines)
	}
	set := shared("0123456789abcdef")
	f.Fuzz(func(t *testing.T, which int, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		openAll(t, programs[uint(which)%uint(len(programs))], set, text)
	})
}

// A request is sealed as the peer verifies it, or refused, whatever the application
// has put into it.
func FuzzSeal(f *testing.F) {
	for i := range recipesThatFuzz {
		for _, text := range []string{
			`{"a":"1","b":"2","c":"3"}`, `{"a":{"t":"1"},"v":"a\r\nb","s":{"x":{}}}`, `{"sign":"00","Sign":"","v":"\u0000"}`, `{"a":"&b=1","b":null,"list":[[],{}]}`,
		} {
			f.Add(i, text)
		}
	}
	programs := make([]*Program, len(recipesThatFuzz))
	for i, lines := range recipesThatFuzz {
		programs[i] = mustCompile(f, lines)
	}
	set := shared("0123456789abcdef")
	f.Fuzz(func(t *testing.T, which int, text string) {
		o, err := body.Parse([]byte(text))
		if err != nil || len(text) > 1<<16 {
			return
		}
		p := programs[uint(which)%uint(len(programs))]
		m := message.New(message.Request)
		m.Method, m.Path, m.Host, m.Scheme = "POST", "/pay", "acme.example", "https"
		m.SetPayload(o)
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: testTime})
		if err != nil {
			require.Nil(t, sealed)
			require.NotContains(t, err.Error(), "0123456789abcdef")
			require.NotContains(t, err.Error(), "has panicked")
			return
		}
		for name, values := range sealed.Message.Header {
			require.Len(t, values, 1, name)
			require.False(t, strings.ContainsAny(values[0], "\r\n\x00"), name)
		}
		require.NotContains(t, string(sealed.Message.Wire)+sealed.Message.Query, "0123456789abcdef")
		require.Equal(t, text, string(m.Source().Source()), "the application's message is not changed")
	})
}
