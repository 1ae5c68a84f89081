package recipe

import (
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
