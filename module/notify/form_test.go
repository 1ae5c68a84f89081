package notify

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// params draws parameters with different names.
func params(t *rapid.T) []scheme.Param {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) scheme.Param {
		return scheme.Param{
			Name:  rapid.StringN(1, 8, -1).Filter(func(name string) bool { return !strings.ContainsAny(name, foldedAway) }).Draw(t, "name"),
			Value: rapid.String().Draw(t, "value"),
		}
	}), 0, 8, func(p scheme.Param) string { return p.Name }).Draw(t, "params")
}

// encode writes parameters as a form, escaping more or less.
func encode(t *rapid.T, params []scheme.Param) string {
	escape := rapid.SampledFrom([]func(string) string{url.QueryEscape, everyByte}).Draw(t, "escape")
	var out []string
	for _, p := range params {
		out = append(out, escape(p.Name)+"="+escape(p.Value))
	}
	return strings.Join(out, "&")
}

func everyByte(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		out.Write([]byte{'%', digits[text[i]>>4], digits[text[i]&15]})
	}
	return out.String()
}

// Every form that is written is read, in its order, however it is divided
// between query and body.
func TestFormsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := params(t)
		at := rapid.IntRange(0, len(want)).Draw(t, "at")
		got, err := ParseForm(encode(t, want[:at]), encode(t, want[at:]))
		require.NoError(t, err)
		assert.Equal(t, len(want), len(got))
		for i := range got {
			assert.Equal(t, want[i], got[i])
		}
	})
}

// A name that occurs twice is refused, wherever and however it is written.
func TestNamesOccurOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := params(t)
		if len(all) == 0 {
			return
		}
		again := rapid.SampledFrom(all).Draw(t, "again")
		again.Value = rapid.String().Draw(t, "another value")
		at := rapid.IntRange(0, len(all)).Draw(t, "at")
		_, err := ParseForm(encode(t, all[:at]), encode(t, append(all[at:len(all):len(all)], again)))
		require.ErrorIs(t, err, errTwice)
	})
}

// What is read does not depend on who reads it: the standard library, which
// keeps no order, reads the same.
func TestFormsAreReadAsByOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-c=&%+;.~\[\]0-9A-F é]{0,24}`).Draw(t, "text")
		got, err := ParseForm("", text)
		values, errStandard := url.ParseQuery(text)
		if err != nil {
			return // stricter is fine
		}
		require.NoError(t, errStandard)
		assert.Len(t, got, len(values))
		for _, p := range got {
			assert.Equal(t, []string{p.Value}, values[p.Name])
		}
	})
}

// Whatever is made JSON can be read again as the same strings.
func TestFormsBecomeJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := params(t)
		object, err := body.Parse(formJSON(want))
		require.NoError(t, err)
		require.Len(t, object.Members(), len(want))
		for i, m := range object.Members() {
			assert.Equal(t, want[i], scheme.Param{Name: string(m.Name()), Value: string(m.Text())})
			assert.Equal(t, body.String, m.Kind())
		}
	})
}

func TestFormErrors(t *testing.T) {
	for text, want := range map[string]error{
		"a=%":         errEscape,
		"a=%1":        errEscape,
		"a=%1g":       errEscape,
		"%zz=1":       errEscape,
		"a=%ff":       errUTF8,
		"a=\xff":      errUTF8,
		"%ed%a0%80=1": errUTF8, // a surrogate
		"a=%c0%80":    errUTF8, // over-long
		"a;b=1":       errSemicolon,
		"a=1;b=2":     errSemicolon,
		"=1":          errNameless,
		"=":           errNameless,
		"a=1&=2":      errNameless,
		"a=1&a=1":     errTwice,
		"a&a":         errTwice,
		"a=1&%61=2":   errTwice,
		"+a=1":        errFolded,
		"a%5B%5D=":    errFolded,
		"a.b=":        errFolded,
		"a%00=":       errFolded,
	} {
		_, err := ParseForm("", text)
		require.ErrorIs(t, err, want, text)
		_, err = ParseForm(text, "")
		require.ErrorIs(t, err, want, text)
	}
	got, err := ParseForm("a&b=", "&c=%3B+x&&d==1&%E6%98%93=生&")
	require.NoError(t, err)
	assert.Equal(t, []scheme.Param{{Name: "a"}, {Name: "b"}, {Name: "c", Value: "; x"}, {Name: "d", Value: "=1"}, {Name: "易", Value: "生"}}, got)
}

// FuzzForm finds nothing that is read and cannot be written.
func FuzzForm(f *testing.F) {
	f.Add("a=1&b=2", "c=%E6%98%93")
	f.Add("", "a=1;b=2")
	f.Add("a", "a")
	f.Fuzz(func(t *testing.T, query, text string) {
		got, err := ParseForm(query, text)
		if err != nil {
			return
		}
		if err := body.Valid(formJSON(got)); err != nil {
			t.Fatalf("%q %q becomes %s", query, text, formJSON(got))
		}
		again := make(url.Values)
		for _, p := range got {
			again.Set(p.Name, p.Value)
		}
		if len(again) != len(got) {
			t.Fatalf("a name is there twice: %q", got)
		}
		if back, err := ParseForm("", again.Encode()); err != nil || len(back) != len(got) {
			t.Fatalf("%q does not come back: %v", got, err)
		}
	})
}
