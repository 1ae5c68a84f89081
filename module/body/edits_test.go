package body

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTreeEdits(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		edit func(t *testing.T, tree *Tree)
		want string
	}{
		"nothing": {
			" { \"a\" : 1.10 } \n",
			func(*testing.T, *Tree) {},
			" { \"a\" : 1.10 } \n",
		},
		"replaced in place": {
			`{ "a" : "x" , "b":1e22}`,
			func(t *testing.T, tree *Tree) { setString(t, tree, Path{"a"}, `<"中">`) },
			`{ "a" : "<\"中\">" , "b":1e22}`,
		},
		"replaced under an escaped name": {
			`{"\u0061":[1,2],"b":2}`,
			func(t *testing.T, tree *Tree) { set(t, tree, Path{"a"}, []byte("null")) },
			`{"\u0061":null,"b":2}`,
		},
		"appended behind the last": {
			"{\n  \"a\": 1\n}",
			func(t *testing.T, tree *Tree) {
				setString(t, tree, Path{"sign"}, "x")
				set(t, tree, Path{"n"}, []byte("1.10"))
			},
			"{\n  \"a\": 1,\"sign\":\"x\",\"n\":1.10\n}",
		},
		"appended to an empty object": {
			`{ }`,
			func(t *testing.T, tree *Tree) { setString(t, tree, Path{"a"}, "1"); setString(t, tree, Path{"b"}, "2") },
			`{"a":"1","b":"2" }`,
		},
		"a name that needs escapes": {
			`{}`,
			func(t *testing.T, tree *Tree) { setString(t, tree, Path{"a\"\n"}, "") },
			`{"a\"\n":""}`,
		},
		"edits out of order": {
			`{"a":1,"b":2,"c":3}`,
			func(t *testing.T, tree *Tree) {
				setString(t, tree, Path{"z"}, "new")
				setString(t, tree, Path{"c"}, "C")
				setString(t, tree, Path{"a"}, "A")
			},
			`{"a":"A","b":2,"c":"C","z":"new"}`,
		},
		"an inner object and the outer one": {
			`{"x":0,"in":{"a":1}}`,
			func(t *testing.T, tree *Tree) {
				setString(t, tree, Path{"sign"}, "s")
				setString(t, tree, Path{"in", "env"}, "e")
				setString(t, tree, Path{"in", "a"}, "A")
			},
			`{"x":0,"in":{"a":"A","env":"e"},"sign":"s"}`,
		},
		"an empty inner object": {
			`{"in":{},"b":2}`,
			func(t *testing.T, tree *Tree) {
				setString(t, tree, Path{"in", "a"}, "1")
				setString(t, tree, Path{"in", "b"}, "2")
			},
			`{"in":{"a":"1","b":"2"},"b":2}`,
		},
		"to a shorter text": {
			`{"a":"0123456789","b":"0123456789"}`,
			func(t *testing.T, tree *Tree) {
				set(t, tree, Path{"a"}, []byte("1"))
				set(t, tree, Path{"b"}, []byte("2"))
			},
			`{"a":1,"b":2}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := []byte(c.text)
			o, err := Parse(src)
			require.NoError(t, err)
			tree := NewTree(o)
			c.edit(t, tree)
			assert.Equal(t, c.want, string(tree.Text()))
			sameMembers(t, parse(t, c.want), tree)
			assert.Equal(t, c.text, string(src), "the source was changed")
		})
	}
}

func set(t require.TestingT, tree *Tree, path Path, raw []byte) {
	require.NoError(t, tree.Set(path, raw))
}

func setString(t require.TestingT, tree *Tree, path Path, text string) {
	require.NoError(t, tree.SetString(path, text))
}

// sameMembers checks that the members of a tree are those of what it makes.
func sameMembers(t require.TestingT, want *Object, tree *Tree) {
	require.Len(t, tree.Members(), len(want.Members()))
	for i, m := range want.Members() {
		is := tree.Members()[i]
		require.Equal(t, string(m.Name()), string(is.Name()))
		require.Equal(t, string(m.Raw()), string(is.Raw()))
		require.Equal(t, string(m.Text()), string(is.Text()))
		require.Equal(t, m.Kind(), is.Kind())
		require.Equal(t, m.IsEmpty(), is.IsEmpty())
		found, ok := tree.Get(Path{string(m.Name())})
		require.True(t, ok)
		require.Equal(t, string(m.Raw()), string(found.Raw()))
	}
	_, ok := tree.Get(Path{"no such member"})
	require.False(t, ok)
}

func TestAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := NewTree(parse(t, drawObject(t, 2).text()))
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			path := Path{rapid.SampledFrom([]string{"a", "b", "中", "new"}).Draw(t, "name")}
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				_, value := drawString(t, 5)
				setString(t, tree, path, value)
			case 1:
				tree.Remove(path)
			default:
				set(t, tree, path, []byte(drawValue(t, 1)))
			}
		}
		sameMembers(t, parse(t, string(tree.Text())), tree)
	})
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
