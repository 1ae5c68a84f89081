package recipe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// verifyOf returns a recipe with one verify.
func verifyOf(block, algorithm, steps, behind string) string {
	return "text signed {\n" + steps + "\n}\n" + block + " {\nverify header.X-Sign " + algorithm + " hex signed" + behind + "\n}"
}

// What anybody could make, extend or move is refused when it is loaded.
func TestUnsafeTextsAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ recipe, want string }{
		"a digest without a secret":           {verifyOf("notification", "md5", "sorted body", ""), "has no {secret}"},
		"a digest of a digest without one":    {verifyOf("notification", "md5", "sorted body\nsha256 hex", ""), "has no {secret}"},
		"a secret in front":                   {verifyOf("notification", "md5", "sorted body\nprepend {secret}", ""), "can extend"},
		"a named secret in front":             {verifyOf("notification", "sha256", "sorted body\nprepend \"{secret.a}&\"", ""), "can extend"},
		"a template with the secret in front": {verifyOf("notification", "sha1", "\"{secret}{body}\"", ""), "can extend"},
		"a secret in front within a text":     {"text inner \"{secret}{body.a}\"\n" + verifyOf("notification", "sha256", "\"{text.inner}{body.b}\"", ""), "can extend"},
		"behind a text that ends otherwise":   {"text inner \"{secret}x\"\n" + verifyOf("notification", "sha256", "\"{secret}{body.b}{text.inner}\"", ""), "can extend"},
		"a secret where the message says":     {verifyOf("notification", "md5", "values names listed by list secret secret", ""), "can extend"},
		"nothing of the message":              {verifyOf("notification", "hmac-sha256", "\"{header.X-Time}\"", ""), "covers neither"},
		"nothing but the request's":           {verifyOf("answer", "hmac-sha256", "\"{request.body.a}\"", ""), "covers neither"},
		"all but everything":                  {verifyOf("notification", "hmac-sha256", "sorted body except sign *", ""), "covers neither"},
		"values of nothing":                   {verifyOf("notification", "hmac-sha256", "values sorted except *", ""), "covers neither"},
		"JSON of nothing":                     {verifyOf("notification", "hmac-sha256", "json body except *", ""), "covers neither"},
		"only what is left out":               {verifyOf("notification", "hmac-sha256", "sorted body only ab* c except a* c", ""), "covers neither"},
		"only a pair of its own":              {verifyOf("notification", "hmac-sha256", "sorted body only key with key {secret}", ""), "covers neither"},
		"parameters of nothing":               {verifyOf("notification", "hmac-sha256", "sorted query except *", ""), "covers neither"},
		"the query of an answer":              {verifyOf("answer", "hmac-sha256", "\"{query}\"", ""), "covers neither"},
		"the URI of an answer":                {verifyOf("answer", "hmac-sha256", "\"{uri}{status}\"", ""), "covers neither"},
		"a time that nobody signs":            {verifyOf("notification", "hmac-sha256", "\"{body}\"", " {\nfresh {header.X-Time} unix 5m\n}"), "that the signature covers"},
		"another part of the header":          {verifyOf("notification", "hmac-sha256", "\"{header.X-Sign.t}{body}\"", " {\nfresh {header.X-Sign.u} unix 5m\n}"), "that the signature covers"},
		"a member that nobody signs":          {verifyOf("answer", "hmac-sha256", "sorted body only a", " {\nfresh {body.time} unix 5m\n}"), "that the signature covers"},
		"one of two":                          {verifyOf("answer", "hmac-sha256", "sorted body only day", " {\nfresh \"{body.day} {header.X-Time}\" \"2006-01-02 15:04\" 5m\n}"), "that the signature covers"},
		"our own clock":                       {verifyOf("notification", "hmac-sha256", "\"{body}\"", " {\nfresh {time.unix} unix 5m\n}"), "that the signature covers"},
		"no time at all":                      {verifyOf("notification", "hmac-sha256", "\"{body}\"", " {\nfresh 1700000000 unix 5m\n}"), "that the signature covers"},
		"the request's time":                  {verifyOf("answer", "hmac-sha256", "\"{request.body.t}{body}\"", " {\nfresh {request.body.t} unix 5m\n}"), "that the signature covers"},
		"a secret by way of a text":           {"text plain \"{secret}{body.a}\"\nrequest {\nset body.x {text.plain}\nsign body.sign hmac-sha256 hex `{body}`\n}", "not digested"},
		"behind a digest":                     {"text plain \"{secret}{body.a}\"\ntext half {\nsorted body\nmd5 hex\nappend {text.plain}\n}\nrequest {\nset header.X {text.half}\nsign body.sign hmac-sha256 hex `{body}`\n}", "not digested"},
		"in the template behind as":           {"text plain \"{secret}{body.a}\"\nrequest {\nsign header.X hmac-sha256 hex `{body}` as `{text.plain} {signature}`\n}", "only in texts that are digested"},
		"signed with a private key":           {"text plain \"{secret}{body.a}\"\nrequest {\nsign header.X rsa-sha256 hex `{text.plain}`\n}", "is not digested"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compiled(test.recipe, nil)
			require.ErrorContains(t, err, test.want)
			assert.Contains(t, err.Error(), "Testfile:", "it says where")
		})
	}
	for name, lines := range map[string]string{
		"a secret at both ends":   verifyOf("notification", "md5", "sorted body\nprepend {secret}\nappend {secret}", ""),
		"behind the text":         verifyOf("notification", "md5", "sorted body\nappend \"&key={secret}\"", ""),
		"a digest at the end":     verifyOf("notification", "md5", "sorted body\nprepend {secret}\nmd5 hex", ""),
		"a text at the end":       "text inner \"{body.a}{secret}\"\n" + verifyOf("notification", "md5", "\"{secret}{text.inner}\"", ""),
		"a signed time":           verifyOf("notification", "hmac-sha256", "\"{header.X-Sign.t}.{body}\"", " {\nfresh {header.X-Sign.t} unix 5m\n}"),
		"a part of a signed one":  verifyOf("notification", "hmac-sha256", "\"{header.X-Time}.{body}\"", " {\nfresh {header.X-Time.t} unix 5m\n}"),
		"a member":                verifyOf("answer", "hmac-sha256", "sorted body", " {\nfresh {body.time} unix 5m\n}"),
		"a parameter":             verifyOf("notification", "hmac-sha256", "\"{uri}{body}\"", " {\nfresh {query.t} unix 5m\n}"),
		"a header of several":     verifyOf("notification", "hmac-sha256", "sorted header only x-time\nappend {body}", " {\nfresh {header.X-Time} unix 5m\n}"),
		"a digest with a secret":  "text plain {\n\"{secret}{body.a}\"\nmd5 hex\n}\nrequest {\nset body.x {text.plain}\nsign body.sign hmac-sha256 hex `{body}`\n}",
		"a secret in a JSON text": verifyOf("notification", "md5", "json body with key {secret}", ""),
	} {
		_, err := compiled(lines, nil)
		assert.NoError(t, err, name)
	}
	p := mustCompile(t, verifyOf("notification", "md5", "sorted body\nappend \"&key={secret}&x=1\"", ""))
	assert.Contains(t, warnings(p), "does not stand at the end")
}

// Texts in texts cannot take a time or a memory without end, and options cannot
// make up names of options.
func TestARecipeEnds(t *testing.T) {
	begin := time.Now()
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, "text t%d \"{text.t%d}{text.t%d}\"\n", i, i+1, i+1)
	}
	lines.WriteString("text t60 {body.a}\nnotification {\nverify body.sign hmac-sha256 hex t0\n}")
	_, err := compiled(lines.String(), nil)
	require.ErrorContains(t, err, "name each text once")
	assert.Less(t, time.Since(begin), time.Minute)
	_, err = compiled("text a {text.b}\ntext b {text.a}\nnotification {\nverify body.sign hmac-sha256 hex a\n}", nil)
	require.ErrorContains(t, err, "reads itself")
	p, err := compiled("option a default x\noption b default y\nnotification {\nverify body.sign{option.a}ion.b} hmac-sha256 hex `{body.{option.b}}`\n}", Settings{"a": {"{opt"}})
	if err == nil {
		assert.Equal(t, "body.sign{option.b}", p.notification.verifies[0].place.String(), "a value is not read again")
	}
}

// A text that grows with each of its steps, or names the body again and again, is
// refused before it takes the memory.
func TestATextIsBounded(t *testing.T) {
	_, err := compiled(withText("sorted body\n"+strings.Repeat("url\n", 64)), nil)
	require.ErrorContains(t, err, "has more than 64 steps")
	assert.Contains(t, err.Error(), "Testfile:")
	body := `{"a":"` + strings.Repeat("%", 1<<20) + `"}`
	for name, steps := range map[string]string{
		"escaped again and again": "sorted body\n" + strings.Repeat("url\n", 63),
		"the body in it":          "`" + strings.Repeat("{body}", 100) + "`",
		"the body behind it":      "sorted body\n" + strings.Repeat("append `{body}{body}`\n", 50),
	} {
		p := mustCompile(t, "text t {\n"+steps+"\n}\nrequest {\nsign header.X hmac-sha256 hex t\n}")
		_, err := p.seal(t, shared("s"), body)
		require.ErrorContains(t, err, "longer than 67108864 bytes", name)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), name)
	}
}

// A time stamp that is not signed is none, wherever it stands.
func TestATimeThatIsNotSignedIsNone(t *testing.T) {
	for line, signed := range map[string]bool{
		"time {body.t} unix":                                    true,
		"time {header.X-Time} unix":                             true,
		"time {header.X-Other} unix":                            false,
		"time {query.t} unix":                                   false,
		"time \"{body.t}{header.X-Other}\" \"2006-01-0215:04\"": false,
		"time {time.unix} unix":                                 false,
	} {
		p := mustCompile(t, "text signed {\nsorted body except sign\nprepend \"{header.X-Time}\"\n}\nnotification {\nverify body.sign hmac-sha256 hex signed\n"+line+"\n}")
		assert.Equal(t, signed, p.description.Notify.Time != nil, line)
	}
	p := mustCompile(t, "notification {\nverify body.sign hmac-sha256 hex `{body.a}`\ntime {body.t} unix\n}")
	assert.Nil(t, p.description.Notify.Time)
}

// What is decrypted is signed if what it was decrypted from is.
func TestCoverageOfWhatIsDecrypted(t *testing.T) {
	for _, test := range []struct {
		text, lines string
		covered     map[string]bool
	}{
		{"sorted body except sign", "decrypt aes-256-cbc base64 body.c {\niv zero\ninto body.d\n}", map[string]bool{"d.x": true, "c": true, "e": true, "sign": false}},
		{"sorted body only a d", "decrypt aes-256-cbc base64 body.c {\niv zero\ninto body.d\n}", map[string]bool{"d": false, "d.x": false, "c": false, "a": true}},
		{"sorted body only a c", "decrypt aes-256-cbc base64 body.c {\niv zero\ninto body\n}", map[string]bool{"a": true, "x": true}},
		{"sorted body only a b", "decrypt aes-256-cbc base64 body.c {\niv zero\ninto body\n}", map[string]bool{"a": false, "b": false, "x": false}},
		{"sorted body only a c", "decrypt aes-256-cbc base64 body.c {\niv zero\ninto body.d\n}\ndecrypt aes-256-cbc base64 body.d.e {\niv zero\ninto body.f\n}", map[string]bool{"d.x": true, "f.x": true, "e": false}},
		{"sorted body only a", "decrypt aes-256-cbc base64 body {\niv zero\n}", map[string]bool{"a": false, "b": false}},
		{`"{body}"`, "decrypt aes-256-cbc base64 body {\niv zero\n}", map[string]bool{"a": true, "b.c": true}},
		{`"{form.data}"`, "unwrap form data\ndecrypt aes-256-cbc base64 body {\niv zero\n}", map[string]bool{"a": true, "b.c": true}},
		{"sorted form except sign", "unwrap form data", map[string]bool{"a": true, "b.c": true}},
		{"sorted form except sign data", "unwrap form data", map[string]bool{"a": false, "b.c": false}},
		{`"{form.other}"`, "unwrap form data\ndecrypt aes-256-cbc base64 body {\niv zero\n}", map[string]bool{"a": false}},
	} {
		p, err := compiled("text signed {\n"+test.text+"\n}\nnotification {\nverify header.X-Sign hmac-sha256 hex signed\n"+test.lines+"\n}", nil)
		require.NoError(t, err, test.text+test.lines)
		for path, covered := range test.covered {
			at, err := body.ParsePath(path)
			require.NoError(t, err)
			assert.Equal(t, covered, p.description.Notification.Covers(at), "%s: %s\n%s", path, test.text, test.lines)
		}
	}
}
