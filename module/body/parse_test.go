package body

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nested returns an object of that many levels, the outermost counted.
func nested(levels int, open, closing string) string {
	return `{"a":` + strings.Repeat(open, levels-1) + "1" + strings.Repeat(closing, levels-1) + "}"
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":                               {"", ErrSyntax},
		"white space":                         {" \n\t", ErrSyntax},
		"null":                                {"null", ErrNotObject},
		"a string":                            {`"{}"`, ErrNotObject},
		"a number":                            {"1", ErrNotObject},
		"an array":                            {`[{"a":1}]`, ErrNotObject},
		"a broken array":                      {`[{"a":1}`, ErrSyntax},
		"not closed":                          {`{"a":1`, ErrSyntax},
		"no value":                            {`{"a"}`, ErrSyntax},
		"a comma at the end":                  {`{"a":1,}`, ErrSyntax},
		"a comma at the end of an array":      {`{"a":[1,]}`, ErrSyntax},
		"single quotes":                       {`{'a':1}`, ErrSyntax},
		"a comment":                           {`{"a":1/**/}`, ErrSyntax},
		"a bare name":                         {`{a:1}`, ErrSyntax},
		"a second object":                     {`{"a":1}{"a":1}`, ErrSyntax},
		"text after the object":               {`{"a":1} x`, ErrSyntax},
		"NUL after the object":                {"{\"a\":1}\x00", ErrSyntax},
		"a byte order mark":                   {"\ufeff{\"a\":1}", ErrSyntax},
		"UTF-16":                              {"{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", ErrSyntax},
		"NaN":                                 {`{"a":NaN}`, ErrSyntax},
		"a leading zero":                      {`{"a":01}`, ErrSyntax},
		"a leading plus":                      {`{"a":+1}`, ErrSyntax},
		"a bare point":                        {`{"a":1.}`, ErrSyntax},
		"a control character":                 {"{\"a\":\"\n\"}", ErrSyntax},
		"NUL in a string":                     {"{\"a\":\"\x00\"}", ErrSyntax},
		"an unknown escape":                   {`{"a":"\x41"}`, ErrSyntax},
		"half an escape":                      {`{"a":"\u00"}`, ErrSyntax},
		"invalid UTF-8 in a value":            {"{\"a\":\"\xff\"}", ErrSyntax},
		"invalid UTF-8 in a name":             {"{\"\xff\":1}", ErrSyntax},
		"an overlong encoding":                {"{\"a\":\"\xc0\xaf\"}", ErrSyntax},
		"a surrogate in UTF-8":                {"{\"a\":\"\xed\xa0\x80\"}", ErrSyntax},
		"GBK":                                 {"{\"a\":\"\xd6\xd0\xb9\xfa\"}", ErrSyntax},
		"invalid UTF-8 further down":          {"{\"a\":[{\"b\":\"\xff\"}]}", ErrSyntax},
		"a lone high surrogate":               {`{"a":"\ud800"}`, ErrSyntax},
		"a lone low surrogate":                {`{"a":"\udc00"}`, ErrSyntax},
		"surrogates in the wrong order":       {`{"a":"\udc00\ud800"}`, ErrSyntax},
		"a lone surrogate in a name":          {`{"\ud800":1}`, ErrSyntax},
		"a name twice":                        {`{"a":1,"b":2,"a":3}`, ErrDuplicate},
		"a name twice with equal values":      {`{"a":1,"a":1}`, ErrDuplicate},
		"a name twice, once escaped":          {`{"a":1,"\u0061":2}`, ErrDuplicate},
		"a name twice, escaped in two ways":   {`{"\u00e9":1,"\u00E9":2}`, ErrDuplicate},
		"a name twice, one a surrogate pair":  {`{"😀":1,"\ud83d\ude00":2}`, ErrDuplicate},
		"a name twice, with a slash escaped":  {`{"a/b":1,"a\/b":2}`, ErrDuplicate},
		"the empty name twice":                {`{"":1,"":2}`, ErrDuplicate},
		"a name twice further down":           {`{"a":{"b":1,"b":2}}`, ErrDuplicate},
		"a name twice in an array":            {`{"a":[[{"b":1,"\u0062":2}]]}`, ErrDuplicate},
		"101 objects in one another":          {nested(101, `{"a":`, "}"), ErrDepth},
		"101 levels of arrays":                {nested(101, "[", "]"), ErrDepth},
		"100000 levels":                       {nested(100000, `{"a":`, "}"), ErrDepth},
		"101 levels and more behind":          {nested(101, `{"a":`, "}") + "x", ErrDepth},
		"101 levels behind brackets in text":  {`{"s":"]]]]]}}}\"]","a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", ErrDepth},
		"101 levels at the end of an array":   {`{"a":[[],{},[` + strings.Repeat("[", 98) + strings.Repeat("]", 98) + "]]}", ErrDepth},
		"101 levels behind a string in there": {`{"a":["}]` + strings.Repeat("]", 50) + `",` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "]}", ErrDepth},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Parse([]byte(c.text))
			require.Error(t, err)
			assert.Nil(t, o)
			if c.want != nil {
				assert.ErrorIs(t, err, c.want)
			}
			assert.Less(t, len(err.Error()), 80, "an error must not carry the text")
		})
	}
}

func TestParseTakes(t *testing.T) {
	for name, text := range map[string]string{
		"an empty object":                 `{}`,
		"white space everywhere":          " \t\r\n{ \"a\" \n:\t1 , \"b\":[ ] } \r\n",
		"names that differ in case":       `{"a":1,"A":2}`,
		"names that normalise alike":      "{\"\u00e9\":1,\"e\u0301\":2}",
		"one name at two depths":          `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`,
		"100 objects in one another":      nested(100, `{"a":`, "}"),
		"100 levels of arrays":            nested(100, "[", "]"),
		"brackets in a string":            `{"a":"` + strings.Repeat("[", 500) + `"}`,
		"brackets behind escaped quotes":  `{"a":["\"` + strings.Repeat("[", 500) + `\\"]}`,
		"many short arrays":               `{"a":[` + strings.Repeat("[],", 500) + `[]]}`,
		"a non-character":                 "{\"a\":\"\uffff\"}",
		"NUL as an escape":                `{"a":"\u0000"}`,
		"numbers as they come":            `{"a":1.10,"b":1e22,"c":20881234567890123456,"d":-0,"e":1E+2,"f":0.0}`,
		"a number of a thousand digits":   `{"a":` + strings.Repeat("9", 1000) + `}`,
		"a number that no float can hold": `{"a":1e400}`,
	} {
		t.Run(name, func(t *testing.T) {
			before := strings.Clone(text)
			src := []byte(text)
			o, err := Parse(src)
			require.NoError(t, err)
			assert.Equal(t, before, string(src), "parsing changed the text")
			assert.Equal(t, strings.Trim(text, " \t\r\n"), string(o.Raw()))
			assert.Equal(t, text, string(o.Source()))
			assert.Equal(t, text, string(NewTree(o).Text()))
		})
	}
}

// A number is the token that stands in the text, never a float.
func TestNumbersAreTokens(t *testing.T) {
	for _, token := range []string{"1.10", "1e22", "20881234567890123456", "-0", "0.0", "1E400", "1.000000000000000000001"} {
		o, err := Parse([]byte(`{"x": ` + token + ` }`))
		require.NoError(t, err)
		m, ok := o.Get("x")
		require.True(t, ok)
		assert.Equal(t, Number, m.Kind())
		assert.Equal(t, token, string(m.Raw()))
		assert.Equal(t, token, string(m.Text()))
	}
}

func TestMembers(t *testing.T) {
	src := []byte(`{ "s":"a\/b\u4e2d\ud83d\ude00<>&", "\u0065mpty":"" ,"null":null,"t":true,"f":false,"n":1.10,` +
		`"o":{ "x":1 },"a":[ 1 , "two",{"x":[3]} ],"esc":"\u0022"}`)
	o, err := Parse(src)
	require.NoError(t, err)

	names := make([]string, 0, len(o.Members()))
	for _, m := range o.Members() {
		names = append(names, string(m.Name()))
	}
	assert.Equal(t, []string{"s", "empty", "null", "t", "f", "n", "o", "a", "esc"}, names, "the order of the text")

	for name, want := range map[string]struct {
		kind          Kind
		raw, text     string
		scalar, empty bool
	}{
		"s":     {String, `"a\/b\u4e2d\ud83d\ude00<>&"`, "a/b中😀<>&", true, false},
		"empty": {String, `""`, "", true, true},
		"null":  {Null, "null", "null", true, true},
		"t":     {True, "true", "true", true, false},
		"f":     {False, "false", "false", true, false},
		"n":     {Number, "1.10", "1.10", true, false},
		"o":     {Obj, `{ "x":1 }`, `{ "x":1 }`, false, false},
		"a":     {Array, `[ 1 , "two",{"x":[3]} ]`, `[ 1 , "two",{"x":[3]} ]`, false, false},
		"esc":   {String, `"\u0022"`, `"`, true, false},
	} {
		m, ok := o.Get(name)
		require.True(t, ok, name)
		assert.Equal(t, want.kind, m.Kind(), name)
		assert.Equal(t, want.raw, string(m.Raw()), name)
		assert.Equal(t, want.text, string(m.Text()), name)
		assert.Equal(t, want.scalar, m.IsScalar(), name)
		assert.Equal(t, want.empty, m.IsEmpty(), name)
		assert.Equal(t, !want.empty, o.Has(name), name)
		text, ok := o.Text(name)
		assert.Equal(t, want.scalar && !want.empty, ok, name)
		if ok {
			assert.Equal(t, want.text, text)
		}
	}

	_, ok := o.Get("missing")
	assert.False(t, ok)
	assert.False(t, o.Has("missing"))
	_, ok = o.Get("S")
	assert.False(t, ok, "names compare exactly")

	inner, ok := o.Object("o")
	require.True(t, ok)
	assert.Equal(t, `{ "x":1 }`, string(inner.Raw()))
	_, ok = o.Object("a")
	assert.False(t, ok, "an array is no object")
	_, ok = o.Object("missing")
	assert.False(t, ok)
}

// What is appended to a raw value must not run into the text behind it.
func TestRawIsCapped(t *testing.T) {
	src := []byte(`{"a":[1],"b":"two"}`)
	o, err := Parse(src)
	require.NoError(t, err)
	for _, m := range o.Members() {
		_ = append(m.Raw(), "garbage"...)
		_ = append(m.Text(), "garbage"...)
		_ = append(m.Name(), "garbage"...)
	}
	assert.Equal(t, `{"a":[1],"b":"two"}`, string(src))
}

func TestElements(t *testing.T) {
	o, err := Parse([]byte(`{"a":[ 1 , "two\/", [ ] ,{"x":[3]},null ],"e":[],"s":"[1]"}`))
	require.NoError(t, err)
	all := func(name string) (out []string) {
		m, _ := o.Get(name)
		for e := range m.Elements {
			out = append(out, string(e.Raw()))
		}
		return out
	}
	assert.Equal(t, []string{"1", `"two\/"`, "[ ]", `{"x":[3]}`, "null"}, all("a"))
	assert.Empty(t, all("e"))
	assert.Empty(t, all("s"), "a string is no array")

	m, _ := o.Get("a")
	var seen int
	for e := range m.Elements {
		seen++
		if seen == 4 {
			inner, ok := e.Object()
			require.True(t, ok)
			assert.True(t, inner.Has("x"))
			break
		}
	}
	assert.Equal(t, 4, seen)
}

func TestValid(t *testing.T) {
	for _, text := range []string{`1`, ` "a" `, `[1,{"a":2}]`, `null`, `{"a":1}`, strings.Repeat("[", 99) + strings.Repeat("]", 99)} {
		assert.NoError(t, Valid([]byte(text)), text)
	}
	for text, want := range map[string]error{
		``:                        ErrSyntax,
		` `:                       ErrSyntax,
		`1 2`:                     ErrSyntax,
		`{"a":1}x`:                ErrSyntax,
		`"` + "\xff" + `"`:        ErrSyntax,
		`"\ud800"`:                ErrSyntax,
		`{"a":1,"\u0061":1}`:      ErrDuplicate,
		`[{"a":[{"b":1,"b":1}]}]`: ErrDuplicate,
		strings.Repeat("[", 101) + strings.Repeat("]", 101): ErrDepth,
		strings.Repeat("[", 20000):                          ErrDepth,
	} {
		assert.ErrorIs(t, Valid([]byte(text)), want, text)
	}
}

// Parsing keeps nothing of one text for the next, after an error either.
func TestParseIsIndependent(t *testing.T) {
	texts := []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":[`, `{"b":{"a":1}}`, "", `[1]`}
	errs := []error{nil, ErrDuplicate, ErrSyntax, nil, ErrSyntax, ErrNotObject}
	for range 50 {
		for i, text := range texts {
			if _, err := Parse([]byte(text)); !errors.Is(err, errs[i]) {
				t.Fatalf("%q: %v, and not %v", text, err, errs[i])
			}
		}
	}
}

// What stands in a string is read as a body is.
func TestInner(t *testing.T) {
	for _, text := range []string{`{"a":"分账","b":{"c":[1.10]}}`, `{"a":1,"a":2}`, `{"\u0061":1}`, `{"a":"\ud800"}`, `[]`, `{"a":`, ``, nested(101, `{"a":`, "}"), "{\"a\":\"\n\"}"} {
		for _, quoted := range []string{string(AppendQuote(nil, text)), escaped(text)} {
			m, _ := parse(t, `{"inner":`+quoted+`}`).Get("inner")
			want, wantErr := Parse([]byte(text))
			got, err := m.Inner()
			assert.Equal(t, want, got, text)
			assert.Equal(t, wantErr, err, text)
		}
	}
	m, _ := parse(t, `{"inner":1.10}`).Get("inner")
	_, err := m.Inner()
	assert.ErrorIs(t, err, ErrNotObject)
}

// escaped is text as a string in which every character is a number.
func escaped(text string) string {
	var s strings.Builder
	for _, c := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&s, `\u%04x`, c)
	}
	return `"` + s.String() + `"`
}
