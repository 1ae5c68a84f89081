package recipe_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// A plain digest that begins with the secret is refused unless the recipe refuses
// what an extension needs.
func TestRefuseExtension(t *testing.T) {
	for text, message := range map[string]string{
		`"{secret}{body.amount}"`:                                   "begins with {secret}",
		"{\n\"{secret}{body.amount}\"\nrefuse extension\n}":         "",
		"{\n\"{secret}{body.amount}\"\nrefuse\n}":                   "refuse takes one of extension",
		"{\n\"{body.amount}{secret}\"\nreplace \",.\" \"\"\n}":      "",
		"{\n\"{body.amount}{secret}\"\nreplace \",\"\n}":            "replace takes characters",
		"{\nsorted body except sign after {secret}\n}":              "",
		"{\nsorted body except sign after {option.x}\n}":            "has no option x",
		"{\nsorted body except sign order only\n}":                  "order only needs the names",
		"{\nvalues amount lengths\n}":                               "lengths takes a text",
		"{\nvalues amount lengths \"\"\n}":                          "lengths takes the text",
		"{\njson body sorted null keep\nappend \"{secret}\"\n}":     "null takes one of skip",
		"{\nsorted body except sign escape hex\nappend {secret}\n}": "escape takes one of",
	} {
		recipes, err := providers.Parse("acme.caddyfile", []byte("recipe acme {\ntext all "+text+"\nrequest {\nsign body.sign sha1 hex all\n}\n}"))
		if err == nil {
			_, err = recipe.Compile("acme", recipes["acme"], nil)
		}
		if message == "" {
			require.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, message, text)
		}
	}
}
