package providers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/recipe"
)

// Every recipe that ships compiles for every combination of the values that its
// options can have.
func TestCompile(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, ok := Find(name)
			require.True(t, ok)
			options, err := r.Options()
			require.NoError(t, err)
			combinations := []recipe.Settings{{}}
			for _, o := range options {
				if len(o.Values) == 0 {
					continue
				}
				var more []recipe.Settings
				for _, value := range o.Values {
					for _, c := range combinations {
						with := recipe.Settings{o.Name: {value}}
						for k, v := range c {
							with[k] = v
						}
						more = append(more, with)
					}
				}
				combinations = more
			}
			for _, c := range combinations {
				if name == "hbsk" && c["digest"][0] == "sha256" {
					c["message"], c["response_message"] = []string{"{data}{time}{secret}"}, []string{"{data}{time}{secret}"}
				}
				_, err := recipe.Compile(name, r, c)
				require.NoError(t, err, "%v", c)
			}
		})
	}
}
