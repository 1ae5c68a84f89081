package body

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTree(t *testing.T) {
	set := func(path, raw string) func(*testing.T, *Tree) {
		return func(t *testing.T, tree *Tree) {
			p, err := ParsePath(path)
			require.NoError(t, err)
			require.NoError(t, tree.Set(p, []byte(raw)))
		}
	}
	remove := func(path string) func(*testing.T, *Tree) {
		return func(t *testing.T, tree *Tree) {
			p, err := ParsePath(path)
			require.NoError(t, err)
			tree.Remove(p)
		}
	}
	for name, c := range map[string]struct {
		text  string
		edits []func(*testing.T, *Tree)
		want  string
	}{
		"nothing":                   {` { "a" : 1.10 } `, nil, ` { "a" : 1.10 } `},
		"set":                       {`{ "a" : 1 , "b":2}`, []func(*testing.T, *Tree){set("a", `"中"`)}, `{ "a" : "中" , "b":2}`},
		"append":                    {`{"a":1 }`, []func(*testing.T, *Tree){set("b", `"2"`), set("c", `1.10`)}, `{"a":1,"b":"2","c":1.10 }`},
		"to nothing":                {`{ }`, []func(*testing.T, *Tree){set("a", `1`), set("b", `2`)}, `{"a":1,"b":2 }`},
		"nested":                    {`{"a": {"b" :1 }}`, []func(*testing.T, *Tree){set("a.b", `2`), set("a.c", `3`)}, `{"a": {"b" :2,"c":3 }}`},
		"nested in what is missing": {`{}`, []func(*testing.T, *Tree){set("a.b.c", `1`), set("a.b.d", `2`)}, `{"a":{"b":{"c":1,"d":2}}}`},
		"nested in null":            {`{"a":null}`, []func(*testing.T, *Tree){set("a.b", `1`)}, `{"a":{"b":1}}`},
		"in a list":                 {`{"a":[ {"b":1} , {"b":2}]}`, []func(*testing.T, *Tree){set("a.1.b", `3`)}, `{"a":[ {"b":1} , {"b":3}]}`},
		"remove the first":          {`{ "a":1, "b":2 }`, []func(*testing.T, *Tree){remove("a")}, `{ "b":2 }`},
		"remove the last":           {`{ "a":1, "b":2 }`, []func(*testing.T, *Tree){remove("b")}, `{ "a":1 }`},
		"remove all":                {`{ "a":1, "b":2 }`, []func(*testing.T, *Tree){remove("*")}, `{ }`},
		"remove all, append":        {`{ "a":1, "b":2 }`, []func(*testing.T, *Tree){remove("*"), set("c", "3")}, `{"c":3 }`},
		"remove in every element":   {`{"a":[{"b":1,"c":2},{"b":3}]}`, []func(*testing.T, *Tree){remove("a.*.b")}, `{"a":[{"c":2},{}]}`},
		"set after a removal":       {`{"a":1}`, []func(*testing.T, *Tree){remove("a"), set("a", "2")}, `{"a":2}`},
		"edit, replace outside":     {`{"a":{"b":1}}`, []func(*testing.T, *Tree){set("a.b", "2"), set("a", "3")}, `{"a":3}`},
		"replace, edit inside":      {`{"a":1}`, []func(*testing.T, *Tree){set("a", `{"x":1}`), set("a.x", "2")}, `{"a":{"x":2}}`},
	} {
		t.Run(name, func(t *testing.T) {
			tree := NewTree(parse(t, c.text))
			for _, edit := range c.edits {
				edit(t, tree)
				assert.True(t, json.Valid(tree.Text()), "%s", tree.Text())
			}
			assert.Equal(t, c.want, string(tree.Text()))
		})
	}
	tree := NewTree(parse(t, `{"a":1,"l":[]}`))
	assert.ErrorIs(t, tree.Set(Path{"a", "b"}, []byte("1")), ErrNotObjectAt)
	assert.Error(t, tree.Set(Path{"l", "0"}, []byte("1")))
}

// A text between two edits is what the last ones made, also where an inner value
// was asked for before.
func TestTreeReadsWhatItWrites(t *testing.T) {
	tree := NewTree(parse(t, `{"a":{"b":1}}`))
	m, ok := tree.Get(Path{"a"})
	require.True(t, ok)
	assert.Equal(t, `{"b":1}`, string(m.Raw()))
	for _, raw := range []string{"2", `"x"`, "[]"} {
		require.NoError(t, tree.Set(Path{"a", "b"}, []byte(raw)))
		m, _ = tree.Get(Path{"a"})
		assert.Equal(t, `{"b":`+raw+`}`, string(m.Raw()))
		m, _ = tree.Get(Path{"a", "b"})
		assert.Equal(t, raw, string(m.Raw()))
	}
}

// Edits of a tree are those of a map, and what is not edited stays.
func TestTreeIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		model := map[string]any{"a": map[string]any{"a": float64(1)}, "b": float64(2)}
		tree := NewTree(parse(t, `{ "a" : {"a": 1 } ,"b":2 }`))
		for range rapid.IntRange(0, 8).Draw(t, "edits") {
			path := Path(rapid.SliceOfN(names, 1, 2).Draw(t, "path"))
			inside, _ := model[path[0]].(map[string]any)
			if rapid.Bool().Draw(t, "remove") {
				tree.Remove(path)
				if len(path) == 1 {
					delete(model, path[0])
				} else if inside != nil {
					delete(inside, path[1])
				}
				continue
			}
			value := rapid.SampledFrom([]string{"7", "{}", `"x"`}).Draw(t, "value")
			err := tree.Set(path, []byte(value))
			var decoded any
			require.NoError(t, json.Unmarshal([]byte(value), &decoded))
			switch {
			case len(path) == 1:
				model[path[0]] = decoded
			case inside != nil:
				inside[path[1]] = decoded
			case model[path[0]] == nil:
				model[path[0]] = map[string]any{path[1]: decoded}
			default:
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
		}
		var got any
		require.NoError(t, json.Unmarshal(bytes.TrimSpace(tree.Text()), &got))
		require.Equal(t, any(model), got)
	})
}

func TestPath(t *testing.T) {
	for text, want := range map[string]Path{"a": {"a"}, "a.b": {"a", "b"}, `a\.b.c`: {"a.b", "c"}, "a.*.0": {"a", Any, "0"}, `a.\*.b`: {"a", "*", "b"}, "a.*_x": {"a", "*_x"}} {
		path, err := ParsePath(text)
		require.NoError(t, err)
		assert.Equal(t, want, path)
		assert.Equal(t, text, path.String())
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b"} {
		_, err := ParsePath(bad)
		assert.Error(t, err, bad)
	}
	assert.True(t, Path{"a", Any}.Covers(Path{"a", "b", "c"}))
	assert.False(t, Path{"a", "*"}.Covers(Path{"a", "b", "c"}), "a name that is *")
	assert.False(t, Path{"a", "b"}.Covers(Path{"a"}))
}

// A fresh tree has what the other one had before its edits, and no edit of one is
// seen in the other.
func TestFreshTree(t *testing.T) {
	o, err := Parse([]byte(`{"a":{"b":[{"c":1}],"d":"x"},"e":2}`))
	require.NoError(t, err)
	tree := NewTree(o)
	_, ok := tree.Get(Path{"a", "b", "0", "c"}) // reads what is inside
	require.True(t, ok)

	fresh := tree.Fresh()
	require.NoError(t, fresh.Set(Path{"a", "b", "0", "c"}, []byte("3")))
	require.NoError(t, tree.Set(Path{"a", "d"}, []byte("4")))
	assert.Equal(t, `{"a":{"b":[{"c":3}],"d":"x"},"e":2}`, string(fresh.Text()))
	assert.Equal(t, `{"a":{"b":[{"c":1}],"d":4},"e":2}`, string(tree.Text()))
	assert.Equal(t, string(o.Source()), string(fresh.Fresh().Text()))
	assert.Equal(t, string(o.Source()), string(tree.Fresh().Text()))
}
