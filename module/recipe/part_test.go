package recipe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What Countersign-Signed names is what the signature covers, and no more: an
// application decides on it.
func TestTheSignedPartIsNotWiderThanTheText(t *testing.T) {
	for text, want := range map[string]string{
		"sorted body except sign":                           "*",
		"sorted body.Result":                                "Result",
		"sorted body only a b":                              "a,b",
		"sorted body.Result only Amt TradeNo":               "Result.Amt,Result.TradeNo",
		"sorted body names listed by f":                     "*",
		"sorted one-of body.data body.bizData only a":       "data.a,bizData.a",
		"sorted body only a ext*":                           "a,ext*",
		"values a b of body.Result":                         "Result.a,Result.b",
		"values a b":                                        "a,b",
		"values sorted except sign":                         "*",
		"values sorted only a b except sign":                "a,b",
		"raw body.data":                                     "data",
		"json body.data sorted":                             "data",
		`"{body.a}:{body.b}"`:                               "a,b",
		"sorted body only a b order only escape rfc3986":    "a,b",
		"sorted body.Result only Amt\nprepend \"{body.x}\"": "Result.Amt,x",
	} {
		p, err := compiled("text members {\n"+text+"\nappend {secret}\n}\nanswer {\nverify body.sign hmac-sha256 hex members\n}", nil)
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, p.Describe().Answer.Part, text)
		}
	}
}

// A signature that does not cover the body does not say that it does.
func TestAPayloadThatIsNotSigned(t *testing.T) {
	for block, want := range map[string]string{
		"verify header.X-Sign hmac-sha256 hex `{method}{uri}`":                             "query",
		"verify header.X-Sign hmac-sha256 hex `{query.a}{query.b}`":                        "query.a,query.b",
		"verify query.sign hmac-sha256 hex all":                                            "query",
		"verify query.sign hmac-sha256 hex some":                                           "query.a,query.b",
		"verify query.sign hmac-sha256 hex `{query.a}{body.x}`":                            "x",
		"unwrap form data\nverify form.sign hmac-sha256 hex `{form.other}`":                "form.other",
		"unwrap form data\nverify form.sign hmac-sha256 hex `{form.data}`":                 "*",
		"unwrap form data\nverify form.sign hmac-sha256 hex fields":                        "*",
		"receive form\nverify body.sign hmac-sha256 hex `{form.a}{form.b}`":                "a,b",
		"receive query\nverify header.X-Sign hmac-sha256 hex `{uri}`":                      "*",
		"receive query\nverify body.sign hmac-sha256 hex `{query.a}`\nack success":         "query.a",
		"receive query\nverify body.sign hmac-sha256 hex all":                              "*",
		"receive query\nverify body.sign hmac-sha256 hex some":                             "a,b",
		"receive form\nverify body.sign hmac-sha256 hex `{query.a}{query.b}`\nack success": "query.a,query.b",
	} {
		lines := "notification {\n" + block + "\n}"
		for name, text := range map[string]string{"all": "sorted query except sign", "some": "sorted query only a b", "fields": "sorted form except sign"} {
			if strings.Contains(block, "hex "+name) {
				lines = "text " + name + " {\n" + text + "\n}\n" + lines
			}
		}
		p, err := compiled(lines, nil)
		if assert.NoError(t, err, block) {
			assert.Equal(t, want, p.Describe().Notification.Part, block)
		}
	}
}
