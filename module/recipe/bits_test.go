package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Every bit of a notification is changed. What opens all the same says in every
// member that the recipe calls signed what the genuine one says, and is the same
// notification where the recipe names what makes it that.
func TestEveryBit(t *testing.T) {
	set := shared("0123456789abcdef")
	for name, test := range map[string]struct {
		lines, body string // %s is the signature
		header      bool
		members     []string
	}{
		"all members":      {"text t {\nsorted body except sign nested json\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n}", `{"a":"1","b":{"c":[1.0, 2]},"sign":"%s","e":""}`, false, []string{"a", "b"}},
		"a digest":         {"text t {\nsorted body except sign nested recurse\nappend {secret}\n}\nnotification {\nverify body.sign md5 hex-upper t\n}", `{"b":{"c":[1,"x"]},"a":"\u0041&","sign":"%s"}`, false, []string{"a", "b"}},
		"some members":     {"text t {\nvalues a b join |\n}\nnotification {\nverify body.sign hmac-sha256 base64 t\nidentity body.a\n}", `{"a":"1","b":true,"other":"x","sign":"%s"}`, false, []string{"a", "b"}},
		"a part":           {"notification {\nverify body.sign hmac-sha256 hex t\nidentity body except time\n}\ntext t {\nsorted one-of body.data body.bizData nested json\n}", `{"data":{"a":"1","time":"2"},"sign":"%s","x":1}`, false, []string{"data.a", "data.time"}},
		"its bytes":        {"text t {\nraw body.*_response\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n}", `{"pay_response": {"a" : 1},"sign":"%s"}`, false, nil}, // a name that fits a pattern may be another one
		"the body's bytes": {"notification {\nverify header.X-Sign hmac-sha256 hex `{body}`\n}", `{"a":"1", "b":[]}`, true, []string{"a", "b"}},
		"a form":           {"text t {\nsorted body except sign\n}\nnotification {\nreceive form\nverify body.sign hmac-sha256 hex t\n}", `a=1+%%2B&sign=%s&b=x`, false, []string{"a", "b"}},
		"XML":              {"text t {\nsorted body except sign\n}\nnotification {\nreceive xml\nverify body.sign hmac-sha256 hex t\n}", `<xml><a>1</a><sign>%s</sign><b><![CDATA[x]]></b></xml>`, false, []string{"a", "b"}},
		"JSON":             {"text t {\njson body deep except sign\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n}", `{"b":{"d":1,"c":2},"a":"1","sign":"%s"}`, false, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, test.lines)
			unsigned := p.read(t, message.Notification, filled(test.body, "00"))
			sum := p.sum(t, unsigned, set)
			genuine := filled(test.body, sum)
			open := func(text []byte) (*scheme.Verified, error) {
				m := message.New(message.Notification)
				m.Method, m.Wire = "POST", text
				if test.header {
					m.Header.Set("X-Sign", sum)
				}
				if err := p.notification.format.Read(m); err != nil {
					return nil, err
				}
				return scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
			}
			want, err := open([]byte(genuine))
			require.NoError(t, err)
			rule := p.description.Notify
			for at := range genuine {
				for bit := range 8 {
					changed := []byte(genuine)
					changed[at] ^= 1 << bit
					v, err := open(changed)
					if err != nil {
						assert.Nil(t, v)
						continue
					}
					require.False(t, v.IsUnsigned())
					if test.members != nil {
						require.Equal(t, want.Identity(rule), v.Identity(rule), "%s", changed)
					}
					for _, member := range test.members {
						path, err := body.ParsePath(member)
						require.NoError(t, err)
						require.True(t, p.description.Notification.Covers(path), member)
						was, _ := want.Member(path)
						is, ok := v.Member(path)
						require.True(t, ok, "%s", changed)
						require.Equal(t, reading(was), reading(is), "%s", changed)
					}
				}
			}
		})
	}
}

// filled returns a text with the signature in it.
func filled(text, sign string) string {
	out := ""
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '%':
			out += text[i : i+1]
		case text[i+1] == 's':
			out += sign
			i++
		default:
			out += "%"
			i++
		}
	}
	return out
}

// reading returns what a value says, without the white space in it.
func reading(m body.Member) string {
	if m.IsScalar() {
		return string(m.Text())
	}
	return string(m.Compact())
}

// What a copy may choose makes it no other notification, and what is signed makes it
// one.
func TestIdentity(t *testing.T) {
	set := shared("s3cret")
	for name, test := range map[string]struct {
		lines           string
		same, different []string
	}{
		"by its signed members": {
			"",
			[]string{`"id":"1","amount":5`, `"amount":"5","id":"\u0031"`, `"id":1,"amount":5,"note":"","x":null`},
			[]string{`"id":"1","amount":6`, `"id":"1","amount":5,"x":"1"`, `"id":"1"`, `"id":"1","amount":[5]`},
		},
		"by a member": {
			"identity body.id",
			[]string{`"id":"1","amount":5`, `"amount":"6","id":1`},
			[]string{`"id":"2","amount":5`, `"amount":5`, `"id":"","amount":5,"b":1`},
		},
		"by all but one": {
			"identity body except time",
			[]string{`"id":"1","time":"1"`, `"id":"1","time":"2"`, `"id":"1"`},
			[]string{`"id":"2","time":"1"`, `"time":"1"`, `"time":"2"`},
		},
	} {
		p := mustCompile(t, "text t {\nsorted body except sign nested json\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n"+test.lines+"\n}")
		seen := make(map[[32]byte]string)
		for i, members := range append(test.same, test.different...) {
			m := p.read(t, message.Notification, "{"+members+"}")
			m = p.read(t, message.Notification, "{"+members+`,"sign":"`+p.sum(t, m, set)+`"}`)
			v, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
			require.NoError(t, err)
			identity := v.Identity(p.description.Notify)
			first, known := seen[identity]
			assert.Equal(t, i > 0 && i < len(test.same), known, "%s: %s and %s", name, members, first)
			seen[identity] = members
		}
	}
	p := mustCompile(t, "text t {\nsorted body except sign\n}\nnotification {\nverify body.sign hmac-sha256 hex t\nidentity body.id\n}")
	var identities [][32]byte
	for _, members := range []string{`"amount":"5"`, `"amount":"5","id":""`, `"amount":"5","id":null`} {
		sum := p.sum(t, p.read(t, message.Notification, "{"+members+"}"), set)
		v, err := scheme.Open(p, scheme.Incoming{Message: p.read(t, message.Notification, "{"+members+`,"sign":"`+sum+`"}`), Keys: set, Now: testTime})
		require.NoError(t, err)
		identities = append(identities, v.Identity(p.description.Notify))
	}
	assert.Equal(t, identities[0], identities[1], "an empty member that nobody signs makes no other notification")
	assert.Equal(t, identities[0], identities[2])
}
