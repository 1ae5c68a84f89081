package recipe

import (
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Words that are written wrongly are refused when the recipe is loaded, with what to write.
func TestWordsThatAreRefused(t *testing.T) {
	request := func(line string) string {
		return "request {\nsign header.Sign hmac-sha256 base64 `{body}`\n" + line + "\n}\n"
	}
	notification := func(rest string) string {
		return "notification {\nverify header.Sign hmac-sha256 base64 `{body}` " + rest + "\n}\n"
	}
	text := func(step string) string {
		return "text whole {\n" + step + "\n}\nrequest {\nsign header.Sign hmac-sha256 base64 whole\n}\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"as without a signature":  {notification("as v1"), "no {signature}"},
		"as with a secret":        {notification("as `{secret}{signature}`"), "{secret}"},
		"as with a time":          {notification("as `{time.unix},{signature}`"), "only text, and {signature}"},
		"two words behind as":     {notification("as v1 {signature}"), "at most: as <template>"},
		"another word":            {notification("like `{signature}`"), "at most: as <template>"},
		"several without a word":  {notification("{\nseveral\n}"), "several belongs to verify"},
		"several behind sign":     {"request {\nsign header.Sign hmac-sha256 base64 `{body}` {\nseveral `,`\n}\n}\n", "several belongs to verify"},
		"a prefix of nothing":     {notification("{\nsecret base64 prefix\n}"), "prefix <text>"},
		"a secret in two ways":    {notification("{\nsecret base64 hex\n}"), "prefix <text>"},
		"encode without a mode":   {request("encode query.*"), "encode takes query.*"},
		"encode of a header":      {request("encode header.X form"), "encode takes query.*"},
		"encode of another mode":  {request("encode body.* base64"), "encode takes query.*"},
		"strip of another word":   {text("`{body}`\nstrip middle x"), "strip takes one of"},
		"strip of nothing":        {text("`{body}`\nstrip suffix"), "strip suffix takes a text"},
		"capitals in any order":   {text("sorted body names upper"), "order name-fold"},
		"a secret of no name":     {text("values names listed by list secret"), "secret takes the listed name"},
		"with of several members": {text("json body with a.* x"), "with takes one member"},
		"a pad of nothing":        {request("encrypt aes-256-cbc base64 body.a {\niv x pad 0\n}"), "pad takes a number"},
		"unsigned with a word":    {"answer {\nverify body.sign hmac-sha256 base64 `{body.a}`\nunsigned error body.e.code 0 string\n}\n", "unsigned is written"},
	} {
		d := caddyfile.NewTestDispenser("recipe acme {\n" + c.text + "}")
		d.Next()
		var r Recipe
		_, err := r.UnmarshalCaddyfile(d)
		require.NoError(t, err, name)
		_, err = Compile("acme", r, nil)
		assert.ErrorContains(t, err, c.want, name)
	}
}
