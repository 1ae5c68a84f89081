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

func TestStream(t *testing.T) {
	o := parse(t, ` {"s":"x", "o" : { "\u0061":[1.10, {"b":null},[ ] ], "e":{} } } `)
	m, _ := o.Get("o")
	s := m.Stream()
	assert.Equal(t, Obj, s.Kind())
	var names []string
	for name := range s.Members() {
		names = append(names, string(name))
		if s.Kind() == Obj {
			assert.Equal(t, "{}", string(s.Value().Raw()))
			continue
		}
		for i := range s.Elements() {
			is := s.Value()
			assert.Equal(t, []string{"1.10", `{"b":null}`, "[ ]"}[i], string(is.Raw()))
			assert.Nil(t, is.Name())
		}
	}
	assert.Equal(t, []string{"a", "e"}, names)
	m, _ = o.Get("s")
	s = m.Stream()
	assert.Equal(t, String, s.Kind())
	assert.Equal(t, "x", string(s.Value().Text()))
}

// A stream has what an independent reader has, of an object that was parsed and
// of what a draft has set.
func TestAnyStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := parse(t, drawObject(t, 3).text())
		d := NewDraft(o)
		d.SetRaw("set", []byte(drawValue(t, 3)))
		for _, m := range d.Members() {
			s := m.Stream()
			require.Equal(t, decoded(t, string(m.Raw())), decoded(t, rebuild(&s)))
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

func rebuild(s *Stream) string {
	var parts []string
	switch s.Kind() {
	case Obj:
		for name := range s.Members() {
			parts = append(parts, string(AppendQuote(nil, name))+":"+rebuild(s))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case Array:
		for range s.Elements() {
			parts = append(parts, rebuild(s))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return string(s.Value().Raw())
	}
}

func TestCompact(t *testing.T) {
	o := parse(t, `{"a": { "x" : [ 1.10 , 1e22, "\u4e2d \/" ] , "y":{ } }, "b": " x " }`)
	a, _ := o.Get("a")
	b, _ := o.Get("b")
	assert.Equal(t, `{"x":[1.10,1e22,"\u4e2d \/"],"y":{}}`, string(a.Compact()))
	assert.Equal(t, `" x "`, string(b.Compact()))
	assert.Equal(t, `{ "x" : [ 1.10 , 1e22, "\u4e2d \/" ] , "y":{ } }`, string(a.Raw()), "the text itself stays")
}

func TestWrap(t *testing.T) {
	o, err := Parse([]byte(`{"a": {"分":"\"\u0041\n"} ,"b":"c"}`))
	require.NoError(t, err)
	d := NewDraft(o)
	d.Wrap("a")
	d.Wrap("b")
	d.Wrap("no")
	d.SetRaw("new", []byte(`[1,"2"]`))
	d.Wrap("new")
	assert.JSONEq(t, `{"a":"{\"分\":\"\\\"\\u0041\\n\"}","b":"\"c\"","new":"[1,\"2\"]"}`, string(d.Apply()))
	for name, want := range map[string]string{"a": `{"分":"\"\u0041\n"}`, "b": `"c"`, "new": `[1,"2"]`} {
		m, _ := d.Get(name)
		assert.Equal(t, want, string(m.Text()))
	}
	d.SetRaw("bad", []byte("\xff"))
	assert.Panics(t, func() { d.Wrap("bad") })
	assert.Panics(t, func() { d.SetString("bad", "\xff") })
	assert.Panics(t, func() { d.SetText("bad", []byte("\xff")) })
}
