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
// of what an edit has set.
func TestAnyStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := parse(t, drawObject(t, 3).text())
		tree := NewTree(o)
		set(t, tree, Path{"set"}, []byte(drawValue(t, 3)))
		for _, m := range tree.Members() {
			s := m.Stream()
			require.Equal(t, decoded(t, string(m.Raw())), decoded(t, rebuild(&s)))
		}
	})
}

// decoded returns a text as the standard library reads it, with numbers as written.
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
