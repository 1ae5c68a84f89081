package recipe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A signed success from which somebody has taken the signature, and whose code he
// has changed, is no answer that the provider does not sign.
func TestAnExemptionIsNoWayAround(t *testing.T) {
	set := shared("s3cret")
	for name, test := range map[string]struct{ text, place, stripped, failure string }{
		"a part":            {"sorted body.data except sign", "body.sign", `{"code":1,"data":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"one of two":        {"sorted one-of body.data body.bizData", "body.sign", `{"code":1,"bizData":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"its bytes":         {"raw body.data", "body.sign", `{"code":1,"data":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"bytes by pattern":  {"raw body.*_response", "body.sign", `{"code":1,"pay_response":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"values by name":    {"values code amount", "body.sign", `{"code":1,"amount":"1"}`, `{"code":1,"msg":"no"}`},
		"members by name":   {"sorted body only code amount", "body.sign", `{"code":1,"amount":"1"}`, `{"code":1,"msg":"no"}`},
		"names by pattern":  {"sorted body only code v_*", "body.sign", `{"code":1,"v_amount":"1"}`, `{"code":1,"msg":"no"}`},
		"names in a part":   {"sorted body.data only amount", "body.sign", `{"code":1,"data":{"amount":"1"}}`, `{"code":1,"msg":"no"}`},
		"a template":        {"\"{body.code}&{body.amount}\"", "body.sign", `{"code":1,"amount":"1"}`, `{"code":1,"msg":"no"}`},
		"a list of names":   {"sorted body names listed by body.signed", "body.sign", `{"code":1,"signed":"amount","amount":"1"}`, `{"code":1,"msg":"no"}`},
		"a header":          {`"{body.amount}"`, "header.X-Sign", `{"code":1,"amount":"1"}`, `{"code":1,"msg":"no"}`},
		"a part's member":   {`"{body.data.amount}"`, "body.sign", `{"code":1,"data":{"amount":"1"}}`, `{"code":1,"data":{"msg":"no"}}`},
		"JSON of a part":    {"json body.data sorted", "body.sign", `{"code":1,"data":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"a part of a part":  {"sorted body.data.inner", "body.sign", `{"code":1,"data":{"inner":{"a":"1"}}}`, `{"code":1,"data":{"msg":"no"}}`},
		"inside of a text":  {"\"{text.inner}\"", "body.sign", `{"code":1,"data":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"values of a part":  {"values a of body.data", "body.sign", `{"code":1,"data":{"a":"1"}}`, `{"code":1,"msg":"no"}`},
		"a member of lists": {`"{body.list.0.amount}"`, "body.sign", `{"code":1,"list":[{"amount":"1"}]}`, `{"code":1,"list":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			inner := ""
			if strings.Contains(test.text, "text.inner") {
				inner = "text inner {\nsorted body.data\n}\n"
			}
			p := mustCompile(t, inner+"text signed {\n"+test.text+"\n}\nanswer {\nverify "+test.place+" hmac-sha256 hex signed\nunsigned error body.code 0\n}")
			open := func(text string, header ...string) (*scheme.Verified, error) {
				return scheme.Open(p, scheme.Incoming{Message: p.read(t, message.Answer, text, header...), Keys: set, Now: testTime})
			}
			v, err := open(test.failure)
			require.NoError(t, err)
			assert.True(t, v.IsUnsigned())
			_, err = open(test.stripped)
			require.Error(t, err)
			_, err = open(test.failure, "X-Sign", "00")
			assert.Equal(t, test.place == "header.X-Sign", err != nil, "an answer with a signature is verified")
		})
	}
}

// Where all members are signed any of them could be left over: the recipe is warned of.
func TestAnExemptionBesideASignatureOverAll(t *testing.T) {
	p := mustCompile(t, "answer {\nverify body.sign hmac-sha256 hex `{body.a}`\nunsigned error body.code 0\n}")
	assert.NotContains(t, warnings(p), "unsigned error")
	p = mustCompile(t, "text all {\nsorted body except sign\n}\nanswer {\nverify body.sign hmac-sha256 hex all\nunsigned error body.code 0\n}")
	assert.Contains(t, warnings(p), "changes body.code passes the others")
}

// What a text reads by its name may not stand there again in other letters.
func TestTwinsOfNamedMembers(t *testing.T) {
	set := shared("s3cret")
	for _, text := range []string{"sorted body only amount id", "values amount id", `"{body.amount}{body.id}"`} {
		p := mustCompile(t, "text signed {\n"+text+"\n}\nnotification {\nverify body.sign hmac-sha256 hex signed\n}")
		for members, want := range map[string]scheme.Reason{
			`"amount":"1","id":"2"`:                               0,
			`"amount":"1","id":"2","other":"3"`:                   0,
			`"amount":"1","id":"2","Amount":"9"`:                  scheme.Ambiguous,
			`"AMOUNT":"9","amount":"1","id":"2","SIGN":"00"`:      scheme.Ambiguous,
			`"amount":"1","id":"2","\u0041mount":"9","x":{"a":1}`: scheme.Ambiguous,
		} {
			sum := p.sum(t, p.read(t, message.Notification, "{"+members+"}"), set)
			m := p.read(t, message.Notification, "{"+members+`,"sign":"`+sum+`"}`)
			_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
			assert.Equal(t, want, scheme.ReasonOf(err), text+members)
		}
	}
}

// A parameter of the query that a signature reads may not stand there again in other
// letters: of two names an application that ignores letters takes any.
func TestTwinsOfParameters(t *testing.T) {
	set := shared("s3cret")
	for _, text := range []string{"{query.amount}", "sorted query", "sorted query only amount", "{text.inner}"} {
		lines := "text signed {\n" + text + "\nappend {body}\n}\nnotification {\nverify header.Sign hmac-sha256 hex signed\n}"
		if text == "{text.inner}" {
			lines = "text inner {query.amount}\n" + lines
		}
		p := mustCompile(t, lines)
		for query, want := range map[string]scheme.Reason{
			"amount=1":           0,
			"amount=1&other=2":   0,
			"amount=1&b=2&B=3":   map[bool]scheme.Reason{true: scheme.Ambiguous}[text == "sorted query"],
			"amount=1&Amount=":   scheme.Ambiguous,
			"Amount=9&amount=1":  scheme.Ambiguous,
			"amount=1&%41MOUNT=": scheme.Ambiguous,
		} {
			read := func() *message.Message {
				m := p.read(t, message.Notification, `{"a":1}`)
				m.Query = query
				return m
			}
			m := read()
			m.Header.Set("Sign", p.sum(t, read(), set))
			_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
			assert.Equal(t, want, scheme.ReasonOf(err), text+" ?"+query)
		}
	}
	// What a text takes as it came may have them, as the members of a body may.
	p := mustCompile(t, "notification {\nverify header.Sign hmac-sha256 hex `{query}{body}`\n}")
	read := func() *message.Message {
		m := p.read(t, message.Notification, `{"a":1}`)
		m.Query = "a=1&A=2"
		return m
	}
	m := read()
	m.Header.Set("Sign", p.sum(t, read(), set))
	_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
	assert.NoError(t, err)
}
