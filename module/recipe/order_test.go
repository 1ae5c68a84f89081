package recipe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A line below sign does not write what the signature covers.
func TestNothingIsWrittenBelowItsSignature(t *testing.T) {
	const members = "text members {\nsorted body except sign note\n}\n"
	for lines, want := range map[string]string{
		"sign body.sign hmac-sha256 hex members\nset body.x 1":                                    "set body.x stands below a sign",
		"sign body.sign hmac-sha256 hex members\ndefault body.x.y {time.unix}":                    "default body.x.y stands below a sign",
		"sign body.sign hmac-sha256 hex members\nset body.note 1":                                 "",
		"sign body.sign hmac-sha256 hex members\nremove body.x":                                   "",
		"sign body.sign hmac-sha256 hex members\nsign body.other hmac-sha256 hex members":         "sign body.other stands below a sign",
		"sign body.note hmac-sha256 hex members\nsign body.sign hmac-sha256 hex members":          "",
		"sign header.X hmac-sha256 hex `{body}`\nsign body.sign hmac-sha256 hex members":          "sign body.sign stands below a sign",
		"sign body.sign hmac-sha256 hex members\nsign header.X hmac-sha256 hex `{body}`":          "",
		"sign header.X hmac-sha256 hex `{body}{header.Y}`\nset header.Y 1":                        "set header.Y stands below a sign",
		"sign header.X hmac-sha256 hex `{body}{header.Y}`\ntoken header.Y {secret}":               "token header.Y stands below a sign",
		"sign header.X hmac-sha256 hex `{body}{query}`\nset query.y 1":                            "set query.y stands below a sign",
		"sign header.X hmac-sha256 hex `{body}{query.y}`\nset query.z 1":                          "",
		"wrap form data\nsign form.sign hmac-sha256 hex `{form.data}{form.id}`\nset form.id 1":    "set form.id stands below a sign",
		"wrap form data\nset form.id 1\nsign form.sign hmac-sha256 hex `{form.data}{form.id}`":    "",
		"wrap form data\nsign header.Sign hmac-sha256 hex `{body}`\nset form.id 1":                "set form.id stands below a sign",
		"send query\nsign body.sign hmac-sha256 hex `{query}`\nset body.x 1":                      "set body.x stands below a sign",
		"send query\nset query.x 1\nsign body.sign hmac-sha256 hex members":                       "write body.x",
		"send query\nremove query.x\nsign body.sign hmac-sha256 hex members":                      "write body.x",
		"send query\nsign query.sign hmac-sha256 hex members":                                     "write body.sign",
		"send query\nwrap form data\nset query.x 1\nsign form.sign hmac-sha256 hex `{form.data}`": "",
	} {
		recipe := "request {\n" + lines + "\n}"
		if strings.Contains(lines, "hex members") {
			recipe = members + recipe
		}
		_, err := compiled(recipe, nil)
		if want == "" {
			assert.NoError(t, err, lines)
		} else if assert.ErrorContains(t, err, want, lines) {
			assert.Contains(t, err.Error(), "Testfile:", "it says where")
		}
	}
}

// Placeholders that a kind of message does not have, and signatures that hold themselves,
// are refused when the recipe is loaded.
func TestPlaceholdersOfAnotherMessageAreRefused(t *testing.T) {
	for lines, want := range map[string]string{
		"request {\nsign body.sign hmac-sha256 hex `{signature}{body}`\n}":                                                   "{signature} stands only behind as",
		"text inner {signature}\nrequest {\nsign body.sign hmac-sha256 hex `{text.inner}{body}`\n}":                          "{signature} stands only behind as",
		"request {\ntoken header.X `{signature}{secret}`\nsign body.sign hmac-sha256 hex `{body}`\n}":                        "{signature} stands only behind as",
		"request {\nsign body.sign hmac-sha256 hex `{status}{body}`\n}":                                                      "{status} is of an answer",
		"notification {\nverify header.X hmac-sha256 hex `{status}{body}`\n}":                                                "{status} is of an answer",
		"answer {\nverify header.X hmac-sha256 hex `{status}{body}`\n}":                                                      "",
		"request {\nsign body.sign hmac-sha256 hex `{request.body}{body}`\n}":                                                "stands in an answer",
		"notification {\nverify header.X hmac-sha256 hex `{request.uri}{body}`\n}":                                           "stands in an answer",
		"answer {\nverify header.X hmac-sha256 hex `{request.uri}{body}`\n}":                                                 "",
		"text all {\nsorted body\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}":                                      "holds the signature itself",
		"text all {\nsorted body only a sign\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}":                          "holds the signature itself",
		"text all {\nsorted body.d\n}\nanswer {\nverify body.d.sign hmac-sha256 hex all\n}":                                  "holds the signature itself",
		"text all {\nvalues a sign\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}":                                    "holds the signature itself",
		"text all {\njson body\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}":                                        "holds the signature itself",
		"text all {\njson body with sign x\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}":                            "",
		"text all {\nsorted body\n}\nanswer {\nverify header.X hmac-sha256 hex all\n}":                                       "",
		"answer {\nverify header.X rsa-sha256 hex `{body}` {\nsubject cn acme\n}\n}":                                         "add: certificate",
		"text all {\njson body with order x\n}\nnotification {\nverify header.X hmac-sha256 hex all\nidentity body.order\n}": "no signature covers it",
	} {
		_, err := compiled(lines, nil)
		if want == "" {
			assert.NoError(t, err, lines)
		} else {
			assert.ErrorContains(t, err, want, lines)
		}
	}
}

// A signature that the application has sent is no part of what is signed, wherever it
// stands, and a payload that leaves as the query is what {query} and {uri} read.
func TestAnOldSignatureIsNotSigned(t *testing.T) {
	set := shared("s3cret")
	for lines, want := range map[string]string{
		"sign query.sign hmac-sha256 hex `{query}|{body}`":                                            `a=1&b=2|{"c":"3"}`,
		"sign header.Sign hmac-sha256 hex t\n}\ntext t {\nsorted header\nappend {body}":               `content-type=application/json&x-a=4&x-b=5{"c":"3"}`,
		"sign body.sign hmac-sha256 hex `{body}`":                                                     `{"c":"3"}`,
		"sign header.Sign hmac-sha256 hex t\n}\ntext t {\nsorted header only X-* date\nappend {body}": `X-A=4&X-B=5{"c":"3"}`,
		"sign header.Sign hmac-sha256 hex t\n}\ntext t {\nsorted header only x-*\nappend {body}":      `x-a=4&x-b=5{"c":"3"}`,
	} {
		m := message.New(message.Request)
		m.Method, m.Path, m.Query = http.MethodPost, "/pay", "a=1&sign=old&b=2"
		for _, name := range []string{"Sign", "X-B", "X-A"} {
			m.Header.Set(name, map[string]string{"Sign": "old", "X-A": "4", "X-B": "5"}[name])
		}
		payload := `{"sign":"old","c":"3"}`
		if !strings.Contains(lines, "body.sign") {
			payload = `{"c":"3"}`
		}
		o, err := body.Parse([]byte(payload))
		require.NoError(t, err)
		m.SetPayload(o)
		sealed, err := scheme.Seal(mustCompile(t, "request {\n"+lines+"\n}"), scheme.Request{Message: m, Keys: set, Now: testTime})
		require.NoError(t, err, lines)
		left := sealed.Message.URI() + sealed.Message.Header.Get("Sign") + string(sealed.Message.Wire)
		assert.Contains(t, left, mac(want), lines)
	}
}

func mac(text string) string {
	h := hmac.New(sha256.New, []byte("s3cret"))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// With send query the payload is the query that leaves, signature and all, and nothing
// of the request is lost.
func TestSendQuery(t *testing.T) {
	set := shared("s3cret")
	p := mustCompile(t, "methods GET POST\nrequest {\nset body.x 1\nsign body.sign hmac-sha256 hex `{uri}`\nsend query\n}")
	seal := func(payload, query, wire string) (string, error) {
		m := message.New(message.Request)
		m.Method, m.Path, m.Query, m.Wire = http.MethodGet, "/pay", query, []byte(wire)
		o, err := body.Parse([]byte(payload))
		require.NoError(t, err)
		m.SetPayload(o)
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: testTime})
		if err != nil {
			return "", err
		}
		return sealed.Message.URI(), nil
	}
	uri, err := seal(`{"a":"1 2","sign":"old"}`, "a=1+2&sign=old", "")
	require.NoError(t, err)
	assert.Equal(t, "/pay?a=1+2&x=1&sign="+mac("/pay?a=1+2&x=1"), uri)
	_, err = seal(`{"a":"1"}`, "b=2", `{"a":"1"}`)
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "b would be lost")
}

// A member that decides something has no second one in other letters.
func TestTwinsOfWhatIsRead(t *testing.T) {
	set := shared("s3cret")
	const text = "text all {\nsorted body except sign\n}\n"
	for lines, payload := range map[string]string{
		"answer {\nresult body.code\n":         `{"CODE":"2","code":"1"`,
		"notification {\nidentity body.id\n":   `{"ID":"2","id":"1"`,
		"notification {\ntime {body.t} unix\n": `{"T":"2","t":"1"`,
	} {
		p := mustCompile(t, text+lines+"verify body.sign hmac-sha256 hex all\n}")
		kind := message.Notification
		if p.notification == nil {
			kind = message.Answer
		}
		twin, member, _ := strings.Cut(strings.NewReplacer(`{`, "", `"`, "", ":", "=").Replace(payload), ",")
		sum := mac(twin + "&" + member)
		_, err := scheme.Open(p, scheme.Incoming{Message: p.read(t, kind, payload+`,"sign":"`+sum+`"}`), Keys: set, Now: testTime})
		assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), "%s %v", lines, err)
	}
}
