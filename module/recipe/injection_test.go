package recipe

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A value of the message cannot begin another header, another part of a header,
// another parameter or another member.
func TestAValueInjectsNothing(t *testing.T) {
	set := shared("s3cret")
	hostile := []string{
		"a\r\nX-Other: 1", "a\n", "a\x00", `a",sign="00`, `a\`, `a"`, "a,b=c", "a;b=c", "a&b=c", "a=b", "a#b", "%26b=c", "a b+c", "中\u202e", `{"b":1}`, "</a><b>", "]]>",
	}
	for _, value := range hostile {
		for name, test := range map[string]struct {
			lines  string
			allows func(*scheme.Sealed) bool // what may leave all the same
		}{
			"a header": {"set header.X-Value {body.v}", func(s *scheme.Sealed) bool {
				return s.Message.Header.Get("X-Value") == value && !strings.ContainsAny(value, "\r\n\x00")
			}},
			"a quoted part": {"set header.X-Value `ACME v=\"{body.v}\",n=\"1\"`", func(s *scheme.Sealed) bool {
				parts, err := s.Message.HeaderPart("X-Value", "v")
				return err == nil && len(parts) == 1 && parts[0] == value && len(message.Parts(s.Message.Header.Get("X-Value"), "n")) == 1
			}},
			"a part by way of a text": {"set header.X-Value {text.parts}", func(s *scheme.Sealed) bool {
				parts, err := s.Message.HeaderPart("X-Value", "v")
				return err == nil && len(parts) == 1 && parts[0] == value && len(message.Parts(s.Message.Header.Get("X-Value"), "n")) == 1
			}},
			"a part behind another value": {"set header.X-Value `{body.v} v=\"{body.v}\",n=\"1\"`", func(s *scheme.Sealed) bool {
				parts := message.Parts(strings.TrimPrefix(s.Message.Header.Get("X-Value"), value), "v")
				return len(parts) == 1 && parts[0] == value && len(message.Parts(s.Message.Header.Get("X-Value"), "n")) == 1
			}},
			"the end of a bare part": {"set header.X-Value `ACME v=M{body.v},n=1`", func(s *scheme.Sealed) bool {
				parts, err := s.Message.HeaderPart("X-Value", "v")
				return err == nil && len(parts) == 1 && parts[0] == "M"+value && len(message.Parts(s.Message.Header.Get("X-Value"), "n")) == 1
			}},
			"a bare part": {"set header.X-Value `ACME v={body.v},n=1`", func(s *scheme.Sealed) bool {
				parts, err := s.Message.HeaderPart("X-Value", "v")
				return err == nil && len(parts) == 1 && parts[0] == value && len(message.Parts(s.Message.Header.Get("X-Value"), "n")) == 1
			}},
			"a parameter": {"set query.v {body.v}\nset query.n 1", func(s *scheme.Sealed) bool {
				values, err := url.ParseQuery(s.Message.Query)
				return err == nil && len(values) == 2 && values.Get("v") == value
			}},
			"a member": {"set body.w {body.v}", func(s *scheme.Sealed) bool {
				o, err := body.Parse(s.Message.Wire)
				if err != nil {
					return false
				}
				text, _ := o.Text("w")
				return len(o.Members()) == 3 && text == value
			}},
			"a form": {"set body.w {body.v}\nsend form", func(s *scheme.Sealed) bool {
				values, err := url.ParseQuery(string(s.Message.Wire))
				return err == nil && len(values) == 3 && values.Get("w") == value
			}},
			"a raw form": {"set body.w {body.v}\nsend form raw", func(s *scheme.Sealed) bool {
				return strings.Count(string(s.Message.Wire), "&") == 2 && !strings.Contains(value, "&")
			}},
			"XML": {"set body.w {body.v}\nsend xml", func(s *scheme.Sealed) bool {
				m := message.New(message.Answer)
				m.Wire = s.Message.Wire
				if (message.Format{Kind: message.XML}).Read(m) != nil {
					return false
				}
				text, _ := m.Payload.Get(body.Path{"w"})
				return len(m.Payload.Members()) == 3 && string(text.Text()) == value
			}},
		} {
			lines := "request {\n" + test.lines + "\nsign body.sign hmac-sha256 hex `{body}`\n}"
			if strings.Contains(lines, "{text.parts}") {
				lines = "text parts `ACME v=\"{body.v}\",n=\"1\"`\n" + lines
			}
			p := mustCompile(t, lines)
			sealed, err := p.seal(t, set, `{"v":`+string(body.AppendQuote(nil, value))+"}")
			if err == nil {
				assert.True(t, test.allows(sealed), "%s: %q: %v %q %q", name, value, sealed.Message.Header, sealed.Message.Query, sealed.Message.Wire)
				continue
			}
			assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "%s: %q", name, value)
			assert.NotContains(t, err.Error(), value, name)
		}
	}
}

// counting counts how often a private key is used.
type counting struct {
	*rsa.PrivateKey
	used int
}

func (c *counting) Decrypt(random io.Reader, text []byte, o crypto.DecrypterOpts) ([]byte, error) {
	c.used++
	return c.PrivateKey.Decrypt(random, text, o)
}

// A key that may be far away is asked once for an envelope, however many members
// and statements need it.
func TestAnEnvelopeIsUnwrappedOnce(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	asked := &counting{PrivateKey: private}
	set := shared("s3cret")
	set.Encrypt = keys.NewPublicKey(&private.PublicKey, "a test")
	set.Decrypt = []*keys.PrivateKey{keys.NewPrivateKey(private, asked, &private.PublicKey, "a test")}
	const members = "body.a body.b body.list.*"
	p := mustCompile(t, "request {\nseal "+members+" aes-128-ecb base64 {\nwrap rsa-pkcs1 base64 body.key\n}\nsign body.sign hmac-sha256 hex `{body}`\n}")
	sealed, err := p.seal(t, set, `{"a":"1","b":"2","list":["3","4"]}`)
	require.NoError(t, err)
	came := bytes.TrimSuffix(sealed.Message.Payload.Text(), []byte("}"))
	open := "{\nwrap rsa-pkcs1 base64 body.key\n}\n"
	p = mustCompile(t, "notification {\nverify header.X-Sign hmac-sha256 hex `{body}`\nopen body.a aes-128-ecb base64 "+open+"open body.b aes-128-ecb base64 "+open+"open body.list.* aes-128-ecb base64 "+open+"}")
	m := p.read(t, message.Notification, string(came)+"}")
	m.Header.Set("X-Sign", p.sum(t, m, set))
	v, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
	require.NoError(t, err)
	assert.Contains(t, string(v.Body()), `"a":"1","b":"2","list":["3","4"]`)
	assert.Equal(t, 1, asked.used)
}

// A secret shows nowhere: not in the texts for people, not in errors, not in what
// leaves.
func TestASecretIsAHole(t *testing.T) {
	const hidden = "S3cr3t+/=&<\"中"
	set := shared(hidden)
	named := keys.NewSecret([]byte("N4med-"+hidden), "a test")
	set.Named = map[string]*keys.Set{"iv": {Secret: named, VerifySecrets: []*keys.Secret{named}}}
	shows := func(t *testing.T, text string) {
		t.Helper()
		for _, form := range []string{hidden, "S3cr3t", "s3cr3t", "S3CR3T", "N4med", "n4med", url.QueryEscape(hidden)} {
			assert.NotContains(t, text, form)
		}
	}
	for _, steps := range []string{
		"sorted body except sign\nappend \"&key={secret}\"",
		"sorted body except sign\nprepend \"k={secret.iv}&\"\nappend \"&key={secret}\"\nurl dotnet\nlower",
		"sorted body except sign\nappend \"{secret}\"\nupper",
		"json body except sign with key {secret} sorted\nappend {secret.iv}",
		"\"{text.inner}{secret}\"",
		"values sorted except sign join |\nappend {secret.iv}\ncharset gbk",
		"sorted body except sign\nappend {secret}\nstrip space",
		"sorted body except sign\nappend {secret}\nsha256 base64\nappend {secret}",
	} {
		inner := ""
		if strings.Contains(steps, "text.inner") {
			inner = "text inner {\nsorted body except sign\nprepend {secret.iv}\nappend {secret.iv}\n}\n"
		}
		p := mustCompile(t, inner+"text signed {\n"+steps+"\n}\nrequest {\nsign body.sign sha256 hex signed\n}\nanswer {\nverify body.sign sha256 hex signed\n}")
		sealed, err := p.seal(t, set, `{"a":"1"}`)
		require.NoError(t, err, steps)
		shows(t, string(sealed.Canonical()))
		shows(t, string(sealed.Redacted()))
		shows(t, string(sealed.Message.Wire))
		assert.Contains(t, string(sealed.Redacted()), "{secret", steps)
		m := p.read(t, message.Answer, `{"b":"1"}`)
		m = p.read(t, message.Answer, `{"b":"1","sign":"`+p.sum(t, m, set)+`"}`)
		v, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
		require.NoError(t, err, steps)
		shows(t, string(v.Canonical())+string(v.Redacted())+string(v.Body()))
		bad := p.read(t, message.Answer, `{"b":"2","sign":"00"}`)
		_, err = scheme.Open(p, scheme.Incoming{Message: bad, Keys: set, Now: testTime})
		require.Error(t, err)
		shows(t, err.Error())
		gone := *set
		gone.Named = nil
		if _, err = p.seal(t, &gone, `{"a":"1"}`); err != nil {
			shows(t, err.Error())
		}
	}
}

// A name that the message chose is cut and printable in an error.
func TestNamesInErrors(t *testing.T) {
	hostile := `\u001b[2J\u202e` + strings.Repeat("n", 900)
	p := mustCompile(t, "text all {\nsorted body except sign nested json\n}\nrequest {\nstring body.*\ncheck body.* scalar\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}")
	check := mustCompile(t, "request {\ncheck body.* scalar\nsign body.sign hmac-sha256 hex `{body}`\n}")
	twice := mustCompile(t, "request {\ncheck body.*.* string\nsign body.sign hmac-sha256 hex `{body}`\n}")
	set := shared("s3cret")
	for name, failed := range map[string]func() error{
		"a type": func() error { _, err := check.seal(t, set, `{"`+hostile+`":{}}`); return err },
		"in a string": func() error {
			_, err := twice.seal(t, set, `{"a":{"`+hostile+`":"{\"x\":1,\"x\":2}"}}`)
			return err
		},
		"in an answer": func() error {
			sealed, err := p.seal(t, set, `{"`+hostile+`":{"a":1}}`)
			require.NoError(t, err)
			members := `"b":1,"` + hostile + `":"{\"x\":1,\"x\":2}"`
			sum := p.sum(t, p.read(t, message.Answer, "{"+members+"}"), set)
			_, err = scheme.Open(p, scheme.Incoming{Message: p.read(t, message.Answer, "{"+members+`,"sign":"`+sum+`"}`), Keys: set, Now: testTime, Request: sealed})
			return err
		},
	} {
		err := failed()
		require.Error(t, err, name)
		assert.Less(t, len(err.Error()), 400, name)
		assert.NotContains(t, err.Error(), "\x1b", name)
		assert.NotContains(t, err.Error(), "\u202e", name)
	}
}
