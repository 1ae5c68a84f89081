package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzAcceptance compares what is taken and what is refused with an independent
// reader, which is the standard library's and the three rules that it lacks: a
// name once, no half of a surrogate pair, MaxDepth.
func FuzzAcceptance(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a" : 1.10 , "b":[true,false,null] } `, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `[{"a":1,"a":1}]`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"\ude00":1}`, `{"a":"\ud83d\ud83d\ude00"}`, `{"a":"\\ud83d"}`, "{\"a\":\"\xff\"}",
		"\ufeff{}", "{\"a\":\"\x00\"}", "{}\x00", "{\x00}", "{\"a\":\"\\u0000\"}", "\xff\xfe{\x00}\x00",
		`{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e400}`, `{"a":.5}`, `{"a":+1}`, `{"a":NaN}`, `{"a":0x1}`, `{"a":1,}`, `{"a":1}{}`, `{"a":1}//`,
		nested(100, "[", "]"), nested(101, "[", "]"), nested(100, `{"a":`, "}"), `"a"`, `null`, `1`, ``, ` `, `{"a":"\x"}`, `{"a":"\u12"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		want := judge(src)
		_, err := Parse(src)
		if want == nil {
			require.NoError(t, err)
		} else {
			require.Error(t, err, "it should be refused: %v", want)
		}
		if errors.Is(want, ErrNotObject) {
			require.ErrorIs(t, err, ErrNotObject)
		}
		// Valid is asked for what will stand in an object, and counts it.
		if err := Valid(src); want == nil || errors.Is(want, ErrNotObject) {
			require.True(t, err == nil || errors.Is(err, ErrDepth))
		} else {
			require.Error(t, err)
		}
	})
}

// judge says what is wrong with a text, or nil.
func judge(src []byte) error {
	if !utf8.Valid(src) || !json.Valid(src) || halfSurrogate(src) {
		return ErrSyntax
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	if err := walk(d, 0); err != nil {
		return err
	}
	if bytes.TrimLeft(src, " \t\r\n")[0] != '{' {
		return ErrNotObject
	}
	return nil
}

// walk reads a value and refuses a name twice and too many levels.
func walk(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth++; depth > MaxDepth {
		return ErrDepth
	}
	seen := make(map[string]bool)
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name.(string)] {
				return ErrDuplicate
			}
			seen[name.(string)] = true
		}
		if err := walk(d, depth); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// halfSurrogate reports whether valid JSON has an escape of half a surrogate
// pair.
func halfSurrogate(src []byte) bool {
	unit := func(i int) rune {
		if i+6 > len(src) || src[i] != '\\' || src[i+1] != 'u' {
			return 0
		}
		var out rune
		for _, c := range bytes.ToLower(src[i+2 : i+6]) {
			if c >= 'a' {
				c -= 'a' - '9' - 1
			}
			out = out<<4 | rune(c-'0')
		}
		return out
	}
	for i := 0; i < len(src); i++ {
		if src[i] != '\\' {
			continue
		}
		if high := unit(i); utf16.IsSurrogate(high) {
			if utf16.DecodeRune(high, unit(i+6)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i++
	}
	return false
}

// FuzzEdit sets, replaces and appends members and compares the result, member
// by member, with what the standard library reads before and after.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"a":1.10,"b":"\/","c":{"d":[1e22]}}`), "b", "x\n", []byte(`{"q":1}`))
	f.Add([]byte(` { } `), "", "中<>&", []byte(` 20881234567890123456 `))
	f.Add([]byte("{\r\n\t\"\\u0061\" : null\r\n}"), "a", "", []byte(`"\u0061"`))
	f.Add([]byte(`{"in":{"x":1},"sign":"s"}`), "sign", "new", []byte(`[]`))
	f.Fuzz(func(t *testing.T, src []byte, name, text string, raw []byte) {
		o, err := Parse(src)
		if err != nil || !utf8.ValidString(name) || !utf8.ValidString(text) || Valid(raw) != nil {
			return
		}
		before := standard(t, src)
		other := name + "\x01"
		for len(before[other]) > 0 {
			other += "\x01"
		}
		kept := bytes.Clone(src)

		tree := NewTree(o)
		setString(t, tree, Path{name}, text)
		set(t, tree, Path{other}, raw)
		for _, m := range o.Members() {
			if m.Kind() == Obj && string(m.Name()) != name {
				setString(t, tree, Path{string(m.Name()), name}, text)
			}
		}
		out := tree.Text()
		require.Equal(t, kept, src, "the source was changed")

		after := standard(t, out)
		require.Equal(t, text, decodedString(t, after[name]))
		require.Equal(t, string(bytes.TrimSpace(raw)), string(after[other]))
		for key, value := range before {
			switch {
			case key == name:
			case len(value) > 0 && value[0] == '{':
				was, is := standard(t, value), standard(t, after[key])
				require.Equal(t, text, decodedString(t, is[name]))
				delete(was, name)
				delete(is, name)
				require.Equal(t, was, is)
			default:
				require.Equal(t, string(value), string(after[key]), "a member that was not edited has changed")
			}
			delete(after, key)
		}
		delete(after, name)
		delete(after, other)
		require.Empty(t, after, "a member came from nowhere")
	})
}

func standard(t *testing.T, src []byte) (out map[string]json.RawMessage) {
	t.Helper()
	require.NoError(t, json.Unmarshal(src, &out), "%s", src)
	return out
}

func decodedString(t *testing.T, raw []byte) (out string) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &out), "%s", raw)
	return out
}
