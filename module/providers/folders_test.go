package providers_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module" // the directives of the examples
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
)

var (
	han   = regexp.MustCompile(`\p{Han}`)
	latin = regexp.MustCompile(`[A-Za-z]{3}`)
)

// Every provider's folder says what a merchant needs: its name in both languages,
// how sure the rule is and where it was read, the host, and an example that loads
// and tells how each key gets into the key set.
func TestFolders(t *testing.T) {
	hosts := regexp.MustCompile(`\n\t\tcountersign \S+ (https://\S+) \{`)
	for _, name := range providers.Names() {
		t.Run(name, func(t *testing.T) {
			r, _ := providers.Find(name)
			p, err := recipe.Compile(name, r, nil)
			require.NoError(t, err)
			chinese, english, both := strings.Cut(p.Title(), " / ")
			assert.True(t, both && han.MatchString(chinese) && latin.MatchString(english) && !han.MatchString(english), "the title %q is Chinese / English", p.Title())
			proof, note := p.Proof()
			assert.Contains(t, []string{"genuine", "vector", "clients", "documentation", "guess"}, proof)
			assert.NotEmpty(t, note, "what the proof is")
			messages, err := filepath.Glob(filepath.Join(name, "messages", "*.http"))
			require.NoError(t, err)
			messages = slices.DeleteFunc(messages, func(file string) bool { return strings.HasPrefix(filepath.Base(file), "made-") })
			if proof == "vector" || proof == "genuine" {
				assert.NotEmpty(t, messages, "a message that proves it")
			}
			for option := range providers.Tries(name) {
				assert.Contains(t, p.OptionNames(), option)
			}
			text, err := os.ReadFile(filepath.Join(name, "recipe.caddyfile"))
			require.NoError(t, err)
			recipeText := string(text)
			if name != "hbsk" { // its page is not published
				assert.Regexp(t, `\n\tsource \S`, recipeText, "where it was read")
			}

			text, err = os.ReadFile(filepath.Join(name, "example.Caddyfile"))
			require.NoError(t, err)
			example := string(text)
			assert.True(t, strings.HasPrefix(example, "# "+p.Title()+"\n"), "it begins with the title %q", p.Title())
			if p.Describe().Request != nil {
				host := hosts.FindStringSubmatch(example)
				require.NotNil(t, host, "the host that it sends to")
				if strings.Contains(recipeText, "source https://") {
					assert.Contains(t, recipeText, host[1], "the host stands in the recipe's sources")
				}
			}
			assert.Equal(t, p.Describe().Notification != nil, strings.Contains(example, "countersign_notify "+name+" {"))
			for _, option := range p.OptionNames() {
				if option != "match" {
					assert.Regexp(t, `\n\t\t\t(# )?`+option+` \S`, example, "the option %s", option)
				}
			}
			_, explained, found := strings.Cut(example, "\n# 密钥 / Keys\n")
			require.True(t, found)
			lines := strings.SplitN(explained, "\n", 3)
			assert.Regexp(t, han, lines[0])
			assert.Regexp(t, latin, lines[1])
			roles := rolesOf(t, p)
			if slices.Contains(p.OptionNames(), "encrypt") {
				encrypting, err := recipe.Compile(name, r, recipe.Settings{"encrypt": {"probe"}})
				require.NoError(t, err)
				roles = append(roles, rolesOf(t, encrypting)...)
			}
			for _, role := range roles {
				made := role == keys.Sign && strings.Contains(explained, "\n#   caddy countersign keys new ")
				assert.True(t, made || regexp.MustCompile(`keys import --role `+string(role)+`[ @]`).MatchString(explained), "how the role %s gets into the key set", role)
			}
			assert.Equal(t, p.Describe().Kinds[keys.Sign] == keys.KindSM2, strings.Contains(explained, "keys new --sm2"))
			assert.NoError(t, testcaddy.Validate(example))
		})
	}
}

// rolesOf returns the roles that requests, answers and notifications may need.
func rolesOf(t *testing.T, p *recipe.Program) []keys.Role {
	t.Helper()
	d := p.Describe()
	roles := slices.Clone(d.Encryption)
	if d.Request != nil {
		for _, text := range []string{"{}", `{"probe":"1","data":{"probe":"1"}}`} {
			payload, err := body.Parse([]byte(text))
			require.NoError(t, err)
			m := message.New(message.Request)
			m.SetPayload(payload)
			roles = append(roles, d.Needs(m)...)
		}
	}
	if d.Notification != nil {
		roles = append(roles, d.Notification.Roles...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
