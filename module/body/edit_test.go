package body

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEdit(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		edit func(e *Editor, o *Object)
		want string
	}{
		"nothing": {
			" { \"a\" : 1.10 } \n",
			func(*Editor, *Object) {},
			" { \"a\" : 1.10 } \n",
		},
		"replaced in place": {
			`{ "a" : "x" , "b":1e22}`,
			func(e *Editor, o *Object) { e.SetString(o, "a", `<"中">`) },
			`{ "a" : "<\"中\">" , "b":1e22}`,
		},
		"replaced under an escaped name": {
			`{"\u0061":[1,2],"b":2}`,
			func(e *Editor, o *Object) { e.Set(o, "a", []byte("null")) },
			`{"\u0061":null,"b":2}`,
		},
		"appended behind the last": {
			"{\n  \"a\": 1\n}",
			func(e *Editor, o *Object) { e.SetString(o, "sign", "x"); e.Set(o, "n", []byte("1.10")) },
			"{\n  \"a\": 1,\"sign\":\"x\",\"n\":1.10\n}",
		},
		"appended to an empty object": {
			`{ }`,
			func(e *Editor, o *Object) { e.SetString(o, "a", "1"); e.SetString(o, "b", "2") },
			`{"a":"1","b":"2" }`,
		},
		"a name that needs escapes": {
			`{}`,
			func(e *Editor, o *Object) { e.SetString(o, "a\"\n", "") },
			`{"a\"\n":""}`,
		},
		"edits out of order": {
			`{"a":1,"b":2,"c":3}`,
			func(e *Editor, o *Object) {
				e.SetString(o, "z", "new")
				e.SetString(o, "c", "C")
				e.SetString(o, "a", "A")
			},
			`{"a":"A","b":2,"c":"C","z":"new"}`,
		},
		"an inner object and the outer one": {
			`{"x":0,"in":{"a":1}}`,
			func(e *Editor, o *Object) {
				in, _ := o.Object("in")
				e.SetString(o, "sign", "s")
				e.SetString(in, "env", "e")
				e.SetString(in, "a", "A")
			},
			`{"x":0,"in":{"a":"A","env":"e"},"sign":"s"}`,
		},
		"an empty inner object": {
			`{"in":{},"b":2}`,
			func(e *Editor, o *Object) {
				in, _ := o.Object("in")
				e.SetString(in, "a", "1")
				e.SetString(in, "b", "2")
			},
			`{"in":{"a":"1","b":"2"},"b":2}`,
		},
		"to a shorter text": {
			`{"a":"0123456789","b":"0123456789"}`,
			func(e *Editor, o *Object) { e.Set(o, "a", []byte("1")); e.Set(o, "b", []byte("2")) },
			`{"a":1,"b":2}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := []byte(c.text)
			o, err := Parse(src)
			require.NoError(t, err)
			var e Editor
			c.edit(&e, o)
			assert.Equal(t, c.want, string(e.Apply(src)))
			assert.Equal(t, c.text, string(src), "the source was changed")
		})
	}
}

func TestAppendQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                `""`,
		"<>&/'":           `"<>&/'"`,
		"\u2028\u2029":    "\"\u2028\u2029\"",
		"中文😀":             `"中文😀"`,
		"\"\\\n\r\t\b\f":  `"\"\\\n\r\t\b\f"`,
		"\x00\x1f\x7f":    "\"\\u0000\\u001f\x7f\"",
		"a\u00a0b\ufeffc": "\"a\u00a0b\ufeffc\"",
	} {
		got := AppendQuote(nil, text)
		assert.Equal(t, want, string(got))
		var back string
		require.NoError(t, json.Unmarshal(got, &back))
		assert.Equal(t, text, back)
	}
	assert.Equal(t, `x"y"`, string(AppendQuote([]byte("x"), "y")))
	assert.Panics(t, func() { AppendQuote(nil, "\xff") })
}
