package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// What a form says and its query denies does not leave: the signature is over the form,
// and a server may take the query.
func TestAFormAndItsQuery(t *testing.T) {
	set := shared("0123456789abcdef0123456789abcdef")
	for lines, tests := range map[string]map[string]scheme.Reason{
		"request {\nsign body.sign hmac-sha256 hex all\nsend form\n}": {
			"":                     0,
			"other=1":              0,
			"amount=5":             0,
			"%61mount=5&x":         0,
			"amount=999":           scheme.Ambiguous,
			"x=1&%61mount=999":     scheme.Ambiguous,
			"amount":               scheme.Ambiguous,
			"amount=5&amount=%zz":  scheme.Ambiguous,
			"sign=00":              scheme.Ambiguous,
			"amount[]=999":         scheme.Ambiguous,
			"+amount=999":          scheme.Ambiguous,
			"amount%00=999":        scheme.Ambiguous,
			"AMOUNT=999":           scheme.Ambiguous,
			"x=1;amount=999":       scheme.Ambiguous,
			"Amount=5":             0,
			"amount%5B=999":        scheme.Ambiguous,
			"%zz=1":                0,
			"amount=5&sign=&x=&y=": scheme.Ambiguous,
		},
		"request {\nsign body.sign hmac-sha256 hex all\nwrap form biz\nset form.app 7\n}": {
			"amount=999": 0, // within the field
			"app=7":      0,
			"app=8":      scheme.Ambiguous,
			"biz=%7B%7D": scheme.Ambiguous,
		},
		"request {\nsign body.sign hmac-sha256 hex all\n}": {"amount=999": 0}, // nobody reads JSON there
	} {
		p := mustCompile(t, "text all {\nsorted body except sign\n}\n"+lines)
		for query, want := range tests {
			m := message.New(message.Request)
			m.Method, m.Scheme, m.Host, m.Path, m.Query = "POST", "https", "acme.example", "/pay", query
			o, err := body.Parse([]byte(`{"amount":"5"}`))
			require.NoError(t, err)
			m.SetPayload(o)
			_, err = scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: testTime})
			assert.Equal(t, want, scheme.ReasonOf(err), "%s ?%s: %v", lines, query, err)
		}
	}
}
