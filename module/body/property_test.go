package body

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The property tests draw JSON as a text, not as a value: what matters is the
// spelling, which an encoder would make uniform.

var white = rapid.SampledFrom([]string{"", "", "", " ", "\n", "\t", "\r\n    ", "  "})

// drawSpelling draws a spelling of one character inside a JSON string, and the
// character.
func drawSpelling(t *rapid.T) (spelled, decoded string) {
	r := rapid.SampledFrom([]rune("abcz09 =&<>'/\"\\中文é\u2028\u00a0😀\u0000\n\t\uffff")).Draw(t, "character")
	decoded = string(r)
	escape := rapid.IntRange(0, 3).Draw(t, "escape")
	switch {
	case escape == 0 && r >= 0x10000:
		hi, lo := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
		return fmt.Sprintf(`\u%04x\u%04X`, hi, lo), decoded
	case escape == 0, r < ' ':
		return fmt.Sprintf(`\u%04X`, r), decoded
	case escape == 1 && r == '/':
		return `\/`, decoded
	case r == '"' || r == '\\':
		return `\` + decoded, decoded
	}
	return decoded, decoded
}

func drawString(t *rapid.T, longest int) (raw, decoded string) {
	for range rapid.IntRange(0, longest).Draw(t, "length") {
		s, d := drawSpelling(t)
		raw, decoded = raw+s, decoded+d
	}
	return `"` + raw + `"`, decoded
}

func drawValue(t *rapid.T, depth int) string {
	kinds := 8
	if depth <= 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0, 1:
		raw, _ := drawString(t, 8)
		return raw
	case 2:
		return rapid.SampledFrom([]string{"0", "-0", "1.10", "1e22", "1E+2", "20881234567890123456", "0.0", "-12.50e-3", "1e400"}).Draw(t, "number")
	case 3:
		return "null"
	case 4:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case 5:
		return rapid.SampledFrom([]string{"{}", "[]", "{ }", "[\n]", `""`}).Draw(t, "empty")
	case 6:
		var out strings.Builder
		out.WriteString("[")
		for i := range rapid.IntRange(1, 4).Draw(t, "elements") {
			if i > 0 {
				out.WriteString(",")
			}
			out.WriteString(white.Draw(t, "white") + drawValue(t, depth-1) + white.Draw(t, "white"))
		}
		return out.String() + "]"
	default:
		return drawObject(t, depth-1).text()
	}
}

// spelled is an object as a text in pieces: what stands before each value, the
// value, and what stands behind the last.
type spelled struct {
	names  []string // decoded
	before []string
	values []string
	gap    string // between the last value and after
	after  string
}

func (s spelled) text() string {
	var out strings.Builder
	for i, v := range s.values {
		out.WriteString(s.before[i] + v)
	}
	if len(s.values) == 0 {
		out.WriteString("{")
	}
	return out.String() + s.gap + s.after
}

func drawObject(t *rapid.T, depth int) spelled {
	var s spelled
	seen := make(map[string]bool)
	lead := "{"
	for range rapid.IntRange(0, 5).Draw(t, "members") {
		raw, name := drawString(t, 4)
		if seen[name] {
			continue
		}
		seen[name] = true
		s.names = append(s.names, name)
		s.before = append(s.before, lead+white.Draw(t, "white")+raw+white.Draw(t, "white")+":"+white.Draw(t, "white"))
		s.values = append(s.values, drawValue(t, depth))
		lead = white.Draw(t, "white") + ","
	}
	s.gap, s.after = white.Draw(t, "white"), "}"
	return s
}

// Every byte outside of an edited member stays as it came, for arbitrary JSON.
func TestEditsTouchNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawObject(t, 3)
		lead, trail := white.Draw(t, "white"), white.Draw(t, "white")
		src := []byte(lead + s.text() + trail)
		kept := bytes.Clone(src)

		o, err := Parse(src)
		require.NoError(t, err)
		require.Len(t, o.Members(), len(s.names))
		for i, m := range o.Members() {
			require.Equal(t, s.names[i], string(m.Name()))
			require.Equal(t, s.values[i], string(m.Raw()))
		}

		tree := NewTree(o)
		want := spelled{names: s.names, before: s.before, gap: s.gap, after: s.after}
		want.values = append(want.values, s.values...)
		for i, m := range o.Members() {
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 1:
				want.values[i] = drawValue(t, 1)
				set(t, tree, Path{string(m.Name())}, []byte(want.values[i]))
			case 2:
				text := rapid.String().Draw(t, "text")
				want.values[i] = string(AppendQuote(nil, text))
				setString(t, tree, Path{string(m.Name())}, text)
			}
		}
		var added string
		for i := range rapid.IntRange(0, 2).Draw(t, "added") {
			name := fmt.Sprintf("added %d", i)
			setString(t, tree, Path{name}, "x")
			if added != "" || len(s.values) > 0 {
				added += ","
			}
			added += `"` + name + `":"x"`
		}
		if len(s.values) == 0 {
			require.Equal(t, lead+"{"+added+s.gap+s.after+trail, string(tree.Text()))
		} else {
			want.gap = added + want.gap
			require.Equal(t, lead+want.text()+trail, string(tree.Text()))
		}
		require.Equal(t, kept, src, "the source was changed")
	})
}

// The decoded text is what the standard library makes of the same string.
func TestTextIsWhatTheStandardLibraryReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, decoded := drawString(t, 20)
		o, err := Parse([]byte(`{"a":` + raw + `}`))
		require.NoError(t, err)
		m, _ := o.Get("a")
		require.Equal(t, decoded, string(m.Text()))
		var std string
		require.NoError(t, json.Unmarshal(m.Raw(), &std))
		require.Equal(t, std, string(m.Text()))
	})
}

// A name that occurs twice is refused, however it is spelled and wherever it
// stands.
func TestDuplicatesAreRefusedInAnySpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawObject(t, 1)
		if len(s.names) == 0 {
			return
		}
		again := rapid.SampledFrom(s.names).Draw(t, "name")
		var raw strings.Builder
		for _, r := range again {
			if r >= 0x10000 || r == utf8.RuneError || rapid.Bool().Draw(t, "plain") && r >= ' ' && r != '"' && r != '\\' {
				raw.WriteRune(r)
			} else {
				fmt.Fprintf(&raw, `\u%04x`, r)
			}
		}
		s.gap += `,"` + raw.String() + `":1`
		text := s.text()
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			text = rapid.SampledFrom([]string{`{"x":`, `{"y":[0,`}).Draw(t, "around") + text
			if strings.HasPrefix(text, `{"y"`) {
				text += "]"
			}
			text += "}"
		}
		_, err := Parse([]byte(text))
		require.ErrorIs(t, err, ErrDuplicate)
		require.ErrorIs(t, Valid([]byte(text)), ErrDuplicate)
	})
}

// FuzzParse compares what is taken with what the standard library makes of it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1.10,"b":[1e22,"\/",{"c":null}],"\u0064":"\ud83d\ude00"}`, `{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":2}}`,
		"\ufeff{}", `[1]`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", nested(100, "[", "]"), nested(101, "[", "]"), ` {"a" : 1 } x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := bytes.Clone(src)
		o, err := Parse(src)
		require.Equal(t, kept, src, "parsing changed the text")
		if err != nil {
			require.Nil(t, o)
			return
		}
		require.True(t, json.Valid(src), "taken, and not JSON")
		require.True(t, utf8.Valid(src), "taken, and not UTF-8")
		require.LessOrEqual(t, depth(t, src), MaxDepth)

		var std map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(src, &std))
		require.Len(t, o.Members(), len(std), "a name twice")
		tree := NewTree(o)
		for _, m := range o.Members() {
			require.Equal(t, string(std[string(m.Name())]), string(m.Raw()))
			if m.Kind() == String {
				var text string
				require.NoError(t, json.Unmarshal(m.Raw(), &text))
				require.Equal(t, text, string(m.Text()))
			}
			set(t, tree, Path{string(m.Name())}, bytes.Clone(m.Raw()))
		}
		require.Equal(t, kept, tree.Text(), "replacing each value by itself changed the text")

		add := NewTree(o)
		setString(t, add, Path{"\x00added"}, "<&>")
		if !o.Has("\x00added") {
			again, err := Parse(add.Text())
			require.NoError(t, err)
			text, ok := again.Text("\x00added")
			require.True(t, ok)
			require.Equal(t, "<&>", text)
			require.Len(t, again.Members(), len(o.Members())+1)
		}
	})
}

func depth(t *testing.T, src []byte) int {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(src))
	now, deepest := 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			return deepest
		}
		require.NoError(t, err)
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}
