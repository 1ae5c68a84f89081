package keys

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One trailing LF or CRLF is removed from a secret, and nothing else.
func TestSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"secret":            "secret",
		"secret\n":          "secret",
		"secret\r\n":        "secret",
		" secret\t ":        " secret\t ",
		" secret\t \n":      " secret\t ",
		"中文":                "中文",
		"\xff\xf0":          "\xff\xf0",
		"-----BEGIN x-----": "-----BEGIN x-----",
	} {
		set, err := parseOne(SharedSecret, text)
		require.NoError(t, err)
		assert.Equal(t, want, string(set.Secret.Bytes()), "%q", text)
		assert.Equal(t, []*Secret{set.Secret}, set.VerifySecrets)
		assert.Len(t, set.Secret.Fingerprint, 8)
	}
	for _, text := range []string{"", "\n", "\r\n", " \n"} {
		_, err := parseOne(SharedSecret, text)
		assert.ErrorContains(t, err, "it is empty", "%q", text)
	}
}

// What an editor, a terminal or a web page adds to a secret is seen when it is
// loaded, and never shown.
func TestSecretsAsPeopleHaveThem(t *testing.T) {
	for text, want := range map[string]string{
		"\ufeffabcsecret\n":  "byte order mark",
		"\xff\xfea\x00b\x00": "UTF-16",
		"a\x00b\x00c\x00":    "UTF-16",
		"\x00a\x00b\x00c":    "UTF-16",
		"abcsecret\x00":      "NUL",
		"abc\x00secret":      "NUL",
		"abc\u200bsecret":    "a zero-width space (U+200B)",
		"abcsecret\ufeff":    "a byte order mark (U+FEFF)",
		"abc\u00a0secret":    "a no-break space",
		"abcsecret\u2009":    "a blank or a mark (U+2009)",
		"abc\u2066secret":    "a blank or a mark (U+2066)",
		"abcsecret\x1b":      "control character U+001B",
		"abcsecret\n\n":      "more than one line",
		"abcsecret\r\n\r\n":  "more than one line",
		"abcsecret\nsecond":  "more than one line",
		"abcsecret\r":        "more than one line",
	} {
		for _, role := range []Role{SharedSecret, "secret@iv"} {
			_, err := parseOne(role, text)
			require.ErrorContains(t, err, want, "%q", text)
			assert.NotContains(t, err.Error(), "abc")
		}
	}
	for text, want := range map[string]string{
		" abcsecret":            "begins or ends with a blank",
		"abcsecret\t\n":         "begins or ends with a blank",
		"\"abcsecret\"":         "stands in quotes",
		"'abcsecret'\n":         "stands in quotes",
		"secret=abcsecret":      "begins with a name",
		"APP_KEY: abcsecret":    "begins with a name",
		"密钥：abcsecret":          "begins with a name",
		"APISECRET=abc":         "begins with a name",
		"base64:YWJjc2VjcmV0":   "begins with the name of an encoding",
		"hex: 616263":           "begins with the name of an encoding",
		"\"abcsecret":           "stands in quotes",
		"“abcsecret”":           "stands in quotes",
		"abc secret":            "has a blank in it",
		`abcsecret\n`:           "an escape of a program's string",
		"abcsecret%0A":          "an escape of a URL",
		"abcsecret&amp;x":       "an escape of a URL or of HTML",
		`{"value":"abcsecret"}`: "looks like JSON",
		"<html>abcsecret":       "looks like JSON, XML or HTML",
		"{env.ABC}":             "looks like a placeholder",
		"${ABC}":                "looks like a placeholder",
		"/etc/keys/abcsecret":   "looks like the name of a file",
		"file:///abcsecret":     "looks like the name of a file",
		"abc****secret":         "hidden or left out",
		"abcsecret…":            "hidden or left out",
		"change_me":             "stands in an example",
		"abcsecret;":            "ends with a comma or semicolon",
		"ａbcsecret":             "only look like ASCII",
		"аbcsecret":             "only look like ASCII",
	} {
		for _, role := range []Role{SharedSecret, VerifySecret, "secret@iv"} {
			set, err := parseOne(role, text)
			require.NoError(t, err)
			require.NotEmpty(t, set.Warnings, "%q", text)
			assert.Contains(t, strings.Join(set.Warnings, "; "), want)
			assert.NotContains(t, set.Warnings[0], "abc")
		}
	}
	for _, text := range []string{"abcsecret", "a=b", "Zm9v==", "192006250b4c09247ec02edce69f6a2d\n", "it's", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "密钥一二三"} {
		set, err := parseOne(SharedSecret, text)
		require.NoError(t, err)
		assert.Empty(t, set.Warnings, text)
	}
}

func TestVerifySecrets(t *testing.T) {
	set, err := Parse("jeepay/1", "v1", Material{
		VerifySecret: {Text: []byte("old\r\n older \nsecret")},
		SharedSecret: {Text: []byte("new\n")},
	})
	require.NoError(t, err)
	all := make([]string, 0, len(set.VerifySecrets))
	for _, s := range set.VerifySecrets {
		all = append(all, string(s.Bytes()))
	}
	assert.Equal(t, []string{"new", "old", " older ", "secret"}, all, "the secret first, then one a line")
	assert.Len(t, set.Fingerprints(VerifySecret), 3, "the secret itself is not counted twice")

	_, err = parseOne(VerifySecret, "old\n\nolder\n")
	assert.ErrorContains(t, err, "empty line")
	set, err = parseOne(VerifySecret, "old\n")
	require.NoError(t, err)
	assert.True(t, set.Has(VerifySecret))
	assert.False(t, set.Has(SharedSecret))
}
