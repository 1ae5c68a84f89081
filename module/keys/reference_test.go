package keys

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCheckReference(t *testing.T) {
	for _, good := range []string{"1", "easypay/ORG000000000007", "a/b/c", "a.b/..c/c..", "a b", "中文", "..."} {
		assert.NoError(t, CheckReference(good), good)
	}
	for _, bad := range []string{
		"", ".", "..", "/", "/etc", "a/", "a//b", "./a", "../a", "a/..", "a/../b", "a/./b", "a/..//b",
		`a\b`, `..\a`, "a\x00b", "a{b", "a}b", "a#b", "a?b", "a*b",
	} {
		assert.Error(t, CheckReference(bad), "%q", bad)
	}
}

func TestParseTemplate(t *testing.T) {
	for _, good := range []string{"easypay/1", "easypay/{body.orgId}", "{body.orgId}", "{body.a}/{body.b}", "x-{body.a}.y", "{body.a}{body.b}"} {
		template, err := ParseTemplate(good)
		require.NoError(t, err, good)
		assert.Equal(t, good, template.String())
		assert.Equal(t, strings.Contains(good, "{"), template.Dynamic())
	}
	for _, bad := range []string{
		"", "{body.}", "{body.a", "easypay/{body.a", "/{body.a}", "../{body.a}", "{body.a}/..", "{body.a}/", "a//{body.a}",
		"{header.x}", "{http.request.uri}", "{body}", "{{body.a}}", "{body.a}}", "{", "}",
	} {
		_, err := ParseTemplate(bad)
		assert.Error(t, err, "%q", bad)
	}
}

func TestResolve(t *testing.T) {
	template, err := ParseTemplate("easypay/{body.orgId}")
	require.NoError(t, err)
	resolve := func(value string) (string, bool) {
		return template.Resolve(func(member string) (string, bool) {
			assert.Equal(t, "orgId", member)
			return value, true
		})
	}
	for _, good := range []string{"ORG000000000007", "a", "_", "-", "0", "a.b", "a..b", "a.", strings.Repeat("x", 64)} {
		got, ok := resolve(good)
		assert.True(t, ok, good)
		assert.Equal(t, "easypay/"+good, got)
	}
	for _, bad := range []string{
		"", ".", "..", "...", ".a", "../x", "a/b", "/", "/etc/passwd", "a/../../b", `a\b`, `..\..`, "a b", " a", "a ", "a\n", "\na", "a\x00",
		"a%2f", "%2e%2e", "中文", "ａ", "é", "{body.x}", "*", "~", "$HOME", "a:b", strings.Repeat("x", 65), strings.Repeat("x", 100000),
	} {
		got, ok := resolve(bad)
		assert.False(t, ok, "%.80q", bad)
		assert.Empty(t, got)
	}
	_, ok := template.Resolve(func(string) (string, bool) { return "fine", false })
	assert.False(t, ok, "a member that is missing")

	fixed, err := ParseTemplate("easypay/1")
	require.NoError(t, err)
	got, ok := fixed.Resolve(func(string) (string, bool) { panic("a fixed reference asks for nothing") })
	assert.True(t, ok)
	assert.Equal(t, "easypay/1", got)

	several, err := ParseTemplate("{body.a}/x-{body.b}{body.a}")
	require.NoError(t, err)
	got, ok = several.Resolve(func(member string) (string, bool) { return member + member, true })
	assert.True(t, ok)
	assert.Equal(t, "aa/x-bbaa", got)
}

// Whatever a request holds, the reference stays inside of its folder and names
// no other level.
func TestNoPathEscapes(t *testing.T) {
	templates := []string{"easypay/{body.x}", "{body.x}", "a/{body.x}/b", "a/.{body.x}", "a/{body.x}.{body.x}", "a/.{body.x}."}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(templates).Draw(t, "template")
		template, err := ParseTemplate(text)
		require.NoError(t, err)
		value := rapid.OneOf(
			rapid.String(),
			rapid.StringOf(rapid.SampledFrom([]rune("./\\.a%2e0\x00~"))),
			rapid.StringMatching(`[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}`),
		).Draw(t, "value")
		got, ok := template.Resolve(func(string) (string, bool) { return value, true })
		if !ok {
			require.Empty(t, got)
			return
		}
		require.NoError(t, CheckReference(got))
		require.Equal(t, strings.Count(text, "/"), strings.Count(got, "/"))
		require.True(t, filepath.IsLocal(got))
		require.Equal(t, strings.ReplaceAll(text, "{body.x}", value), got)
	})
}

// FuzzReference looks for a template and a value that lead out of the folder.
func FuzzReference(f *testing.F) {
	f.Add("easypay/{body.orgId}", "ORG000000000007")
	f.Add("{body.a}/{body.b}", "..")
	f.Add(".{body.a}", ".")
	f.Fuzz(func(t *testing.T, text, value string) {
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		got, ok := template.Resolve(func(string) (string, bool) { return value, true })
		if ok {
			require.True(t, filepath.IsLocal(got), "%q", got)
			require.Equal(t, strings.Count(template.String(), "/"), strings.Count(got, "/")+strings.Count(template.String(), "/")-literalSlashes(template))
		}
	})
}

// literalSlashes counts the slashes outside of {body.…}.
func literalSlashes(t Template) (n int) {
	for i := 0; i < len(t.parts); i += 2 {
		n += strings.Count(t.parts[i], "/")
	}
	return n
}
