package recipe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A JSON configuration says what a Caddyfile can say, and nothing else.
func TestTheJSONFaceOfARecipe(t *testing.T) {
	d := caddyfile.NewTestDispenser("recipe acme {\nnotification {\nverify body.sign hmac-sha256 hex `{body.a}`\n}\n}")
	d.Next()
	var r, back Recipe
	_, err := r.UnmarshalCaddyfile(d)
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, r, back)
	deep := strings.Repeat(`{"words":["when","a","b"],"block":[`, 50) + strings.Repeat("]}", 50)
	for text, want := range map[string]string{
		`null`:                               "a recipe has lines",
		`{}`:                                 "a recipe has lines",
		`[]`:                                 "the whole is of another type there: array",
		`{"lines":{}}`:                       "lines is of another type there: object",
		`{"lines":[{"words":"title"}]}`:      "lines.words is of another type there: string",
		`{"lines":[{"words":["a"],"x":1}]}`:  `unknown field "x"`,
		`{"lines":[{"words":["a"]}],"x":1}`:  `unknown field "x"`,
		`{"lines":[{"words":["title"]},{}]}`: "lines[1] has none",
		`{"lines":[{"words":[]}]}`:           "lines[0] has none",
		`{"lines":[{"words":["request"],"block":[{"words":[""]}]}]}`:                                    "lines[0].block[0] has none",
		`{"lines":[` + deep + `]}`:                                                                      "nest too deep",
		`{"lines":[` + strings.Repeat(`{"words":["warn","a"]},`, MaxLines) + `{"words":["warn","a"]}]}`: "at most 2000 lines",
	} {
		var r Recipe
		assert.ErrorContains(t, json.Unmarshal([]byte(text), &r), want, text[:min(len(text), 80)])
	}
	require.NoError(t, json.Unmarshal([]byte(`{"lines":[{"words":["request"],"block":[{"words":["sing","body.sign"]}]}]}`), &back))
	_, err = Compile("acme", back, nil)
	require.ErrorContains(t, err, `unknown word "sing"`)
	assert.ErrorContains(t, err, "at lines[0].block[0]")
	assert.NoError(t, CheckName("acme-v2"))
	assert.Error(t, CheckName("Acme v2"))
}
