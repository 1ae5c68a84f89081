package recipe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// What is warned of is named, and a recipe that avoids it has no such warning.
func TestWhatIsWarnedOf(t *testing.T) {
	const keyed = "text t {\nsorted body except sign\nappend {secret}\n}\n"
	for _, s := range []sentence{
		{"MD5", inRequest(""), keyed + "request {\nsign body.sign md5 hex t\n}", "MD5"},
		{"MD5 with RSA", inRequest(""), "request {\nsign header.X rsa-md5 hex {body}\n}", "MD5"},
		{"SHA-1", inRequest(""), keyed + "request {\nsign body.sign sha1 hex t\n}", "SHA-1"},
		{"SHA-1 with RSA", inRequest(""), "request {\nsign header.X rsa-sha1 hex {body}\n}", "SHA-1"},
		{"ECB", encryptWith("aes-128-cbc", "iv prepended"), encryptWith("aes-128-ecb", ""), "ECB"},
		{"a notification without time or nonce", inNotification("time {body.t} unix"), inNotification(""), "neither a time nor a nonce"},
		{"a nonce in its place", "notification {\nverify header.X hmac-sha256 hex `{header.X-Nonce}{body}`\n}", inNotification(""), "neither a time nor a nonce"},
		{"an answer without match", inRequest("") + inAnswer("match body.order"), inRequest("") + inAnswer(""), "has no match"},
		{"proof guess", "proof clients\n" + inRequest(""), "proof guess\n" + inRequest(""), "is a guess"},
		{"warn", inRequest(""), inRequest("warn `ask first`"), "ask first"},
	} {
		assert.NotContains(t, warnings(mustCompile(t, s.good)), s.want, s.place)
		assert.Contains(t, warnings(mustCompile(t, s.bad)), s.want, s.place)
	}
}

// A match that the values of the options drop is none.
func TestAMatchThatIsDropped(t *testing.T) {
	for _, lines := range []string{
		inAnswer("when kind other {\nmatch body.order\n}"),
		inAnswer("when kind one {\nresult body.code\n}"),
	} {
		p := mustCompile(t, "option kind one other\n"+inRequest("")+lines)
		assert.Contains(t, warnings(p), "has no match", lines)
	}
	p := mustCompile(t, "option kind one other\n"+inRequest("")+inAnswer("when kind one {\nmatch body.order\n}"))
	assert.NotContains(t, warnings(p), "has no match")
}

// An error has the place of the line that is wrong, once, in every language.
func TestPlaceOfAnError(t *testing.T) {
	t.Cleanup(func() { i18n.Use(i18n.English) })
	for lines, place := range map[string]string{
		"text t {\nsorted body except sign\nmd5\n}\n" + inAnswer(""):                                   "Testfile:4",
		"answer {\nverify body.sign hmac-sha256 hex {body.a}\nmatch body.a\nmatch body.a body.b\n}":    "Testfile:5",
		"notification {\nverify body.sign hmac-sha256 hex {body.a}\nack ok\nidentity body.a body.b\n}": "Testfile:5",
	} {
		for _, language := range []i18n.Language{i18n.English, i18n.Chinese} {
			i18n.Use(language)
			_, err := compiled(lines, nil)
			require.ErrorContains(t, err, place, lines)
			assert.Equal(t, 1, strings.Count(err.Error(), "Testfile"), err.Error())
		}
	}
}

// sentence is what the page of the language says in one place: a recipe that follows
// it, one that does not, and what is said of the second.
type sentence struct{ place, good, bad, want string }

const signed, verified = "sign header.X-Sign hmac-sha256 hex {body}\n", "verify header.X-Sign hmac-sha256 hex {body}\n"

// Parts of recipes: a block with lines above and behind its signature, and a text that
// an answer verifies.
func inRequest(lines string) string      { return "request {\n" + lines + "\n" + signed + "}\n" }
func behindSign(lines string) string     { return "request {\n" + signed + lines + "\n}\n" }
func inAnswer(lines string) string       { return "answer {\n" + verified + lines + "\n}\n" }
func inNotification(lines string) string { return "notification {\n" + verified + lines + "\n}\n" }
func withText(steps string) string {
	return "text t {\n" + steps + "\n}\nanswer {\nverify header.X-Sign hmac-sha256 hex t\n}\n"
}
func withTemplate(template string) string {
	return "answer {\nverify header.X-Sign hmac-sha256 hex `{body}" + template + "`\n}\n"
}
func inSet(value string) string { return inRequest("set header.Y `" + value + "`") }
func verifyWith(lines string) string {
	return "answer {\nverify header.X-Sign rsa-sha256 base64 {body} {\n" + lines + "\n}\n}\n"
}
func encryptWith(cipher, lines string) string {
	return inRequest("encrypt " + cipher + " base64 body.a {\n" + lines + "\n}")
}
func decryptWith(cipher, lines string) string {
	return inAnswer("decrypt " + cipher + " base64 body.a {\n" + lines + "\n}")
}
func sealWith(lines string) string {
	return inRequest("seal body.a aes-128-ecb base64 {\n" + lines + "\n}")
}

// faces compiles the lines of a recipe as a Caddyfile has them, and as a JSON
// configuration has them.
func faces(t *testing.T, lines string) (inCaddyfile, inJSON error) {
	t.Helper()
	d := caddyfile.NewTestDispenser("recipe acme {\n" + lines + "\n}")
	d.Next()
	var r Recipe
	name, err := r.UnmarshalCaddyfile(d)
	if err != nil {
		return err, err // no line of it reaches the JSON
	}
	_, inCaddyfile = Compile(name, r, nil)
	text, err := json.Marshal(Recipe{Lines: withoutPlaces(r.Lines)})
	require.NoError(t, err)
	var again Recipe
	if err := json.Unmarshal(text, &again); err != nil {
		return inCaddyfile, err
	}
	_, inJSON = Compile(name, again, nil)
	return inCaddyfile, inJSON
}

func withoutPlaces(lines []Line) []Line {
	var out []Line
	for _, l := range lines {
		out = append(out, Line{Words: l.Words, Block: withoutPlaces(l.Block)})
	}
	return out
}

// TestThePage walks the page of the language.
func TestThePage(t *testing.T) {
	for _, table := range [][]sentence{theRecipe, thePlaceholders, theTexts, theStatements, theOptions, theRefusals} {
		for _, s := range table {
			t.Run(s.place, func(t *testing.T) {
				inCaddyfile, inJSON := faces(t, s.good)
				require.NoError(t, inCaddyfile, s.good)
				require.NoError(t, inJSON, s.good)
				if s.bad == "" {
					return
				}
				inCaddyfile, inJSON = faces(t, s.bad)
				require.ErrorContains(t, inCaddyfile, s.want, s.bad)
				require.ErrorContains(t, inJSON, s.want, s.bad)
				assert.Contains(t, inCaddyfile.Error(), "Testfile:")
				if strings.Contains(inCaddyfile.Error(), ", at Testfile:") {
					assert.Contains(t, inJSON.Error(), ", at lines", "the place in the JSON")
				}
			})
		}
	}
}
