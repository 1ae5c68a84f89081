package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/scheme"
)

// A value that goes out as a number is one: nothing else of JSON gets in through it.
func TestNumbers(t *testing.T) {
	p := mustCompile(t, "text all {\nsorted body except sign\n}\nrequest {\nset body.b {body.a} number\nsign body.sign hmac-sha256 hex all\n}")
	for value, sent := range map[string]string{
		`"1"`: "1", `"-1.50e2"`: "-1.50e2", `12.30`: "12.30", `"0"`: "0",
		`"{\"x\":1}"`: "", `"[]"`: "", `"true"`: "", `"null"`: "", `"\"1\""`: "", `"0012"`: "", `" 1"`: "", `"1 "`: "", `"1,2"`: "", `"-"`: "", `{"x":1}`: "", `"１"`: "",
	} {
		sealed, err := p.seal(t, shared("s3cret"), `{"a":`+value+`}`)
		if sent == "" {
			assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), value)
			continue
		}
		if assert.NoError(t, err, value) {
			assert.Contains(t, string(sealed.Message.Wire), `"b":`+sent+`,`, value)
		}
	}
}
