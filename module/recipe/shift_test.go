package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A message whose values hold the separator of a template is refused where another message
// has the same text, and no other message is.
func TestNothingMovesBetweenTheValuesOfATemplate(t *testing.T) {
	set := shared("s3cret")
	for template, tests := range map[string]map[string]bool{
		`{body.id}\n{body.amount}\n{body.remark}`: {
			`{"id":"1","amount":"100","remark":"5"}`:         true,
			`{"id":"1","amount":"100","remark":"a|b:c"}`:     true,
			`{"id":"1","amount":100}`:                        true,
			`{"id":"1","amount":"100","remark":"5\nx"}`:      false,
			`{"id":"1\n100","amount":"5","remark":"x"}`:      false,
			`{"id":"1","amount":"100","remark":{"a":"\n"}}`:  true, // JSON has no bare line feed
			`{"id":"1","amount":"100","remark":"\n"}`:        false,
			`{"id":"1","amount":"\n","remark":""}`:           false,
			`{"id":"1","amount":"2","remark":"{\n\"a\":1}"}`: true,
		},
		`{body.id}&amount={body.amount}&remark={body.remark}`: {
			`{"id":"1","amount":"100","remark":"5"}`:                            true,
			`{"id":"1&amount=100&remark=5","amount":"9","remark":""}`:           false,
			`{"id":"1","amount":"100","remark":"x&y=z"}`:                        true,
			`{"id":"1","amount":"100","remark":"5&remark=7"}`:                   false,
			`{"id":"1","amount":"100&x=2","remark":{"r":"&amount=1&remark=2"}}`: true,
		},
		`{body.a}{body.b}|{request.body.nonce}|{body.c}|{secret}`: {
			`{"a":"1","b":"2","c":"3"}`:      true,
			`{"a":"1","b":"2","c":"|3"}`:     true, // the nonce stands between them
			`{"a":"1|N|","b":"2","c":"3"}`:   false,
			`{"a":"1","b":"2","c":"3|N|4"}`:  false,
			`{"a":"1","b":"2","c":"s3cret"}`: true,
		},
		`{body.time}:{body.id}/{body.page}`: {`{"time":"10:20:30","id":"a/b","page":"http://acme"}`: true}, // the usual characters
		`{header.X-Time}.{body}`:            {`{"a":"1.2.3"}`: true},
		`{header.X-Time}|{body.a}|{text.b}`: {`{"a":"1","b":"2"}`: true, `{"a":"1|2","b":"2"}`: false, `{"a":"1","b":"2|3"}`: false},
	} {
		p := mustCompile(t, "text b {\n`{body.b}`\nlower\n}\nrequest {\nsign header.X-Sign hmac-sha256 hex `{body}{text.b}`\n}\nanswer {\nverify header.X-Sign hmac-sha256 hex `"+template+"`\n}")
		request := message.New(message.Request)
		_, err := p.seal(t, set, `{"nonce":"N","b":"0"}`)
		assert.NoError(t, err)
		for text, want := range tests {
			m := p.read(t, message.Answer, text, "X-Time", "7")
			request.Payload = p.read(t, message.Answer, `{"nonce":"N"}`).Payload
			in := scheme.Incoming{Message: m, Keys: set, Now: testTime, Request: &scheme.Sealed{Message: request}}
			m.Header.Set("X-Sign", p.sumOf(t, in))
			_, err := scheme.Open(p, in)
			assert.Equal(t, want, err == nil, "%s: %s: %v", template, text, err)
			if !want {
				assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), "%s: %s", template, text)
			}
		}
	}
}
