package body

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func parse(t require.TestingT, text string) *Object {
	o, err := Parse([]byte(text))
	require.NoError(t, err)
	return o
}

func TestDraft(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		change func(d *Draft)
		want   string
	}{
		"nothing":                   {` { "a" : 1.10 } `, func(*Draft) {}, ` { "a" : 1.10 } `},
		"set":                       {`{ "a" : 1 , "b":2}`, func(d *Draft) { d.SetString("a", "中\"") }, `{ "a" : "中\"" , "b":2}`},
		"append":                    {`{"a":1 }`, func(d *Draft) { d.SetString("b", "2"); d.SetRaw("c", []byte("1.10")) }, `{"a":1,"b":"2","c":1.10 }`},
		"to nothing":                {`{ }`, func(d *Draft) { d.SetString("a", "1"); d.SetString("b", "2") }, `{"a":"1","b":"2" }`},
		"twice: the last counts":    {`{"a":1}`, func(d *Draft) { d.SetString("a", "x"); d.SetRaw("a", []byte("[]")) }, `{"a":[]}`},
		"append twice":              {`{}`, func(d *Draft) { d.SetString("a", "x"); d.SetString("b", "y"); d.SetString("a", "z") }, `{"a":"z","b":"y"}`},
		"an escaped name":           {`{"\u0061":1}`, func(d *Draft) { d.SetString("a", "x") }, `{"\u0061":"x"}`},
		"default where absent":      {`{"a":1}`, func(d *Draft) { d.Default("b", "x") }, `{"a":1,"b":"x"}`},
		"default where null":        {`{"a":null}`, func(d *Draft) { d.Default("a", "x") }, `{"a":"x"}`},
		"default where empty":       {`{"a":""}`, func(d *Draft) { d.Default("a", "x") }, `{"a":"x"}`},
		"no default where given":    {`{"a":0,"b":false,"c":" ","d":[]}`, func(d *Draft) { d.Default("a", "x"); d.Default("b", "x"); d.Default("c", "x"); d.Default("d", "x") }, `{"a":0,"b":false,"c":" ","d":[]}`},
		"an empty default is none":  {`{"a":""}`, func(d *Draft) { d.Default("a", ""); d.Default("b", "") }, `{"a":""}`},
		"default after one was set": {`{}`, func(d *Draft) { d.Default("a", "1"); d.Default("a", "2") }, `{"a":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			o := parse(t, c.text)
			for range 2 { // an object may be drafted again
				d := NewDraft(o)
				c.change(d)
				assert.Equal(t, c.want, string(d.Apply()))
				sameMembers(t, parse(t, c.want), d)
			}
			assert.Equal(t, c.text, string(o.Source()))
		})
	}
}

// sameMembers checks that the members of a draft are those of what it makes.
func sameMembers(t require.TestingT, want *Object, d *Draft) {
	require.Len(t, d.Members(), len(want.Members()))
	for i, m := range want.Members() {
		is := d.Members()[i]
		require.Equal(t, string(m.Name()), string(is.Name()))
		require.Equal(t, string(m.Raw()), string(is.Raw()))
		require.Equal(t, string(m.Text()), string(is.Text()))
		require.Equal(t, m.Kind(), is.Kind())
		require.Equal(t, m.IsEmpty(), is.IsEmpty())
		found, ok := d.Get(string(m.Name()))
		require.True(t, ok)
		require.Equal(t, string(m.Raw()), string(found.Raw()))
		require.Equal(t, !m.IsEmpty(), d.Has(string(m.Name())))
	}
	_, ok := d.Get("no such member")
	require.False(t, ok)
}

func TestDraftOfAnInnerObject(t *testing.T) {
	o := parse(t, `{"in":{"a":1},"b":2}`)
	in, _ := o.Object("in")
	inner, outer := NewDraft(in), NewDraft(o)
	inner.SetString("c", "x")
	inner.SetString("a", "y")
	outer.SetString("sign", "z")
	assert.Equal(t, `{"in":{"a":"y","c":"x"},"b":2,"sign":"z"}`, string(outer.Apply(inner)))
}

func TestAnyDraft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := parse(t, drawObject(t, 2).text())
		d := NewDraft(o)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			name := rapid.SampledFrom([]string{"a", "b", "中", "new"}).Draw(t, "name")
			_, value := drawString(t, 5)
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				d.SetString(name, value)
			case 1:
				d.Default(name, value)
			default:
				d.SetRaw(name, []byte(drawValue(t, 1)))
			}
		}
		sameMembers(t, parse(t, string(d.Apply())), d)
	})
}

func TestTree(t *testing.T) {
	o := parse(t, ` {"s":"x", "o" : { "\u0061":[1.10, {"b":null},[ ] ], "e":{} } } `)
	var trees []Tree
	for _, m := range o.Members() {
		trees = append(trees, m.Tree())
	}
	require.Len(t, trees, 2)
	assert.Equal(t, "s", string(trees[0].Name()))
	assert.Empty(t, trees[0].Children)
	outer := trees[1]
	assert.Equal(t, "o", string(outer.Name()))
	assert.Equal(t, `{ "\u0061":[1.10, {"b":null},[ ] ], "e":{} }`, string(outer.Raw()))
	list := outer.Children[0]
	assert.Equal(t, "a", string(list.Name()))
	assert.Equal(t, `[1.10, {"b":null},[ ] ]`, string(list.Raw()))
	require.Len(t, list.Children, 3)
	assert.Nil(t, list.Children[0].Name(), "an element has no name")
	assert.Equal(t, "1.10", string(list.Children[0].Text()))
	assert.Equal(t, "b", string(list.Children[1].Children[0].Name()))
	assert.True(t, list.Children[1].Children[0].IsNull())
	assert.Equal(t, "[ ]", string(list.Children[2].Raw()))
	assert.Empty(t, list.Children[2].Children)

	// Of what a draft has set it is read in the same way.
	d := NewDraft(o)
	d.SetRaw("s", []byte(`[{"x":1}]`))
	m, _ := d.Get("s")
	assert.Equal(t, "1", string(m.Tree().Children[0].Children[0].Raw()))
}

// A tree has what an independent reader has.
func TestAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := parse(t, drawObject(t, 3).text())
		for _, m := range o.Members() {
			require.Equal(t, decoded(t, string(m.Raw())), decoded(t, rebuild(m.Tree())))
			var edits Editor
			for _, child := range m.Tree().Children {
				if child.IsScalar() {
					edits.Replace(child.Member, []byte(`"edited"`)) // its span is that of the whole text
				}
			}
			require.True(t, json.Valid(edits.Apply(o.Source())))
		}
	})
}

// decoded is a text as the standard library reads it, with numbers as written.
func decoded(t require.TestingT, text string) (value any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&value))
	return value
}

func rebuild(t Tree) string {
	open, end := "[", "]"
	switch {
	case t.IsScalar():
		return string(t.Raw())
	case t.Kind() == Obj:
		open, end = "{", "}"
	}
	for i, child := range t.Children {
		if i > 0 {
			open += ","
		}
		if t.Kind() == Obj {
			open += string(AppendQuote(nil, child.Name())) + ":"
		}
		open += rebuild(child)
	}
	return open + end
}

func TestCompact(t *testing.T) {
	o := parse(t, `{"a": { "x" : [ 1.10 , 1e22, "\u4e2d \/" ] , "y":{ } }, "b": " x " }`)
	a, _ := o.Get("a")
	b, _ := o.Get("b")
	assert.Equal(t, `{"x":[1.10,1e22,"\u4e2d \/"],"y":{}}`, string(a.Compact()))
	assert.Equal(t, `" x "`, string(b.Compact()))
	assert.Equal(t, `{ "x" : [ 1.10 , 1e22, "\u4e2d \/" ] , "y":{ } }`, string(a.Raw()), "the text itself stays")
}
