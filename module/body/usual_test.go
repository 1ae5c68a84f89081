package body

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func members(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"m%d":%d,`, i, i)
	}
	return "{" + strings.TrimSuffix(text.String(), ",") + "}"
}

// TestUsual shows that what payments are made of does not wait for jsontext.
func TestUsual(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `[]`, ` [ ] `, `""`, `0`, `-0`, `-12.50`, `1e9`, `1E+9`, `1.0e-9`, `true`, `false`, `null`, "\t\r\n1 ",
		`{"a":1,"b":{"a":[1,"a",{}]},"分账":"计全付 \" \\ \/ \b\f\n\r\t"}`, "{\n\t\"a\" : 1 ,\r\n \"b\" : [ 1 , 2 ] }",
		`{"data":"{\"a\":\"b\"}"}`, `"` + strings.Repeat("0123456\x7f", 9) + `"`, nested(16, "[", "]"), nested(16, `{"a":`, "}"), members(24),
	} {
		assert.True(t, usual([]byte(text)), "%q", text)
		assert.True(t, jsontext.Value(text).IsValid(), "%q", text)
		if start := spaceEnd([]byte(text), 0); text[start] == '{' {
			assert.Equal(t, objectAt([]byte(text), start), usualObject([]byte(text)), "%q", text)
		} else {
			assert.Nil(t, usualObject([]byte(text)), "%q", text)
		}
	}
}

// TestUnusual has what is not usual: the first part is valid all the same.
func TestUnusual(t *testing.T) {
	for _, text := range []string{
		`"\u0041"`, `{"\n":1}`, `{"\/":1}`, nested(17, "[", "]"), nested(17, `{"a":`, "}"), members(25),
	} {
		assert.False(t, usual([]byte(text)), "%q", text)
		assert.NoError(t, check([]byte(text)), "%q", text)
	}
	for _, text := range []string{
		``, ` `, "\x00", "1\x00", "\ufeff1", `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a":1]`,
		`[`, `[1`, `[1,`, `[1,]`, `[,]`, `[1 2]`, `[1}`, `"`, `"\`, `"\"`, `"a`, `"\x"`, `"\u12"`, `"\ud800"`, `{"a":1,"a":1}`, `{"b":{"a":1,"c":1,"a":2}}`, `{"a":1,"\u0061":1}`,
		`01`, `-`, `+1`, `.5`, `1.`, `1.e1`, `1e`, `1e+`, `1e+-1`, `0x1`, `--1`, `1a`, `nul`, `nulll`, `True`, `tru`, `falsey`, `NaN`, "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"",
	} {
		assert.False(t, usual([]byte(text)), "%q", text)
		assert.Error(t, check([]byte(text)), "%q", text)
	}
	for c := range 0x100 { // behind a backslash
		text := []byte{'"', '\\', byte(c), '"'}
		assert.Equal(t, jsontext.Value(text).IsValid(), usual(text), "%q", text)
		text = append(text, '"') // where it is a quote that is escaped
		assert.Equal(t, jsontext.Value(text).IsValid(), usual(text), "%q", text)
	}
	for c := range byte(' ') {
		for at := range 20 {
			text := []byte(`"` + strings.Repeat("a", 20) + `"`)
			text[1+at] = c
			assert.False(t, usual(text), "%q", text)
			text = []byte(`"` + strings.Repeat("a", 20) + `\n"`)
			text[1+at] = c
			assert.False(t, usual(text), "%q", text)
		}
	}
}

// TestIsUTF8 has every character there is, every three bytes at the edges of what
// is one, and every four bytes that are not.
func TestIsUTF8(t *testing.T) {
	for r := range rune(utf8.MaxRune + 2) {
		text := append([]byte("a"), string(r)...)
		for range 4 {
			long := append(bytes.Clone(text), "aaaaaaaa"...)
			if utf8.Valid(text) != isUTF8(text) || utf8.Valid(long) != isUTF8(long) {
				t.Fatalf("%q", text)
			}
			text = append(text, 'a')
		}
	}
	edges := []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				for _, d := range edges {
					for _, text := range [][]byte{{a, b, c, d}, {a, b, c, d, 'a'}, {'a', a, b, c, d}, {0xE5, 0x88, 0x86, a, b, c, d}} {
						for _, text := range [][]byte{text, append(bytes.Clone(text), "aaaaaaaa"...)} {
							if utf8.Valid(text) != isUTF8(text) {
								t.Fatalf("%q", text)
							}
						}
					}
				}
			}
		}
	}
}

// FuzzUsual asks of every text that is usual that jsontext finds it valid, also
// where something is inserted into it.
func FuzzUsual(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1.10,"b":[1e22,"\/",{"c":null}],"分":"\"\\"}`, ` [ true , false , -0.5E-7 , "" , [ ] , { } ] `, `{"a":"{\"a\":1}","b":{"a":1}}`, "\"\x7f分账0\"",
	} {
		f.Add([]byte(seed), []byte(`"`), uint(3))
		f.Add([]byte(seed), []byte(`\`), uint(4))
	}
	f.Fuzz(func(t *testing.T, text, more []byte, at uint) {
		at %= uint(len(text) + 1)
		for _, text := range [][]byte{text, append(append(append([]byte(nil), text[:at]...), more...), text[at:]...)} {
			if !usual(text) {
				continue
			}
			require.True(t, jsontext.Value(text).IsValid(), "%q", text)
			if start := spaceEnd(text, 0); text[start] == '{' {
				require.Equal(t, objectAt(text, start), usualObject(text), "%q", text)
			} else {
				require.Nil(t, usualObject(text), "%q", text)
			}
		}
	})
}
