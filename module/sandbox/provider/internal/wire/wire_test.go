package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseRefusesWhatCanBeReadInTwoWays(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                      "",
		"not JSON":                   "{",
		"two texts":                  "{} {}",
		"byte order mark":            "\ufeff{}",
		"not UTF-8":                  "{\"a\":\"\xd6\xd0\"}",
		"same name twice":            `{"a":1,"a":2}`,
		"same name spelled in two":   `{"a":1,"\u0061":2}`,
		"same name twice, nested":    `{"x":[{"a":1,"a":1}]}`,
		"lone high surrogate":        `{"a":"\ud83d"}`,
		"lone low surrogate":         `{"a":"\ude00"}`,
		"high surrogate, then other": `{"a":"\ud83d\u0041"}`,
		"lone surrogate in a name":   `{"\ud83dxxxxxxx":1}`,
		"too deep":                   strings.Repeat("[", 101) + strings.Repeat("]", 101),
		"far too deep":               strings.Repeat("[", 20000),
		"leading zero":               `{"a":01}`,
		"NaN":                        `{"a":NaN}`,
	} {
		_, err := Parse([]byte(text))
		assert.Error(t, err, name)
	}
}

func TestParseTakesAHundredLevels(t *testing.T) {
	text := strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100)
	v, err := Parse([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, text, v.Encode())
}

func TestParseObjectWantsAnObject(t *testing.T) {
	for _, text := range []string{`[]`, `"a"`, `null`, `1`, `true`} {
		_, err := ParseObject([]byte(text))
		assert.Error(t, err, text)
	}
}

func TestParseKeepsTokensAndText(t *testing.T) {
	text := "{ \"big\" : 20881234567890123456 ,\"amount\":1.10, \"e\":1e22,\"z\":-0,\r\n\"s\":\"\\/\\u4e2d<>&\\ud83d\\ude00\"," +
		"\"f\":false,\"n\":null,\"deep\":[ {\"a\" : [] } , {} ] }"
	v, err := ParseObject([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, "20881234567890123456", v.Get("big").Text)
	assert.Equal(t, "1.10", v.Get("amount").Text)
	assert.Equal(t, "1e22", v.Get("e").Text)
	assert.Equal(t, "-0", v.Get("z").Text)
	assert.Equal(t, "/中<>&😀", v.Get("s").Text)
	assert.Equal(t, `"\/\u4e2d<>&\ud83d\ude00"`, v.Get("s").Raw)
	assert.Equal(t, Flag(false).Text, v.Get("f").Text)
	assert.Equal(t, Null, v.Get("n").Kind)
	assert.Equal(t, Null, v.Get("absent").Kind)
	assert.Equal(t, `[ {"a" : [] } , {} ]`, v.Get("deep").Raw)
	assert.Equal(t, `[{"a":[]},{}]`, v.Get("deep").Compact())
	assert.Equal(t, text, v.Encode())
}

func TestEncodeWhatWasBuilt(t *testing.T) {
	v := Obj(
		M("a", Str("<&>\"\\ 中文 \u2028")),
		M("n", Num("1.00")), M("b", Flag(true)), M("x", Value{}),
		M("l", Arr(Num("1"), Obj())), M("e", Arr()))
	assert.Equal(t, `{"a":"<&>\"\\ 中文 \u2028","n":1.00,"b":true,"x":null,"l":[1,{}],"e":[]}`, v.Encode())
	assert.Equal(t, `{"a":1,"n":1.00}`, Obj(M("a", Str("")), M("n", Num("1.00"))).With("a", Num("1")).Encode())
	assert.Equal(t, `{"a":1,"b":2}`, Obj(M("a", Num("1"))).With("b", Num("2")).Without("c").Encode())
	assert.Equal(t, `{}`, Obj(M("a", Num("1"))).Without("a").Encode())
}

func TestSortedByUTF16CodeUnit(t *testing.T) {
	// U+1F600 is D83D DE00 in UTF-16 and so comes before U+FF21, after which it
	// comes by code point and by UTF-8 byte.
	v := Obj(M("Ａ", Value{}), M("b", Value{}), M("😀", Value{}), M("B", Value{}), M("ab", Value{}), M("a", Value{}))
	var names []string
	for _, m := range v.Sorted() {
		names = append(names, m.Name)
	}
	assert.Equal(t, []string{"B", "a", "ab", "b", "😀", "Ａ"}, names)
}

func TestReadBody(t *testing.T) {
	for _, good := range []string{"application/json", "Application/JSON; charset=UTF-8"} {
		_, err := ReadBody(good, []byte(`{}`))
		assert.NoError(t, err, good)
	}
	for _, bad := range []string{"", "text/plain", "application/json; charset=gbk", "application/x-www-form-urlencoded"} {
		_, err := ReadBody(bad, []byte(`{}`))
		assert.Error(t, err, bad)
	}
}

func TestSerial(t *testing.T) {
	now := time.Date(2024, 3, 6, 17, 0, 0, 0, time.UTC)
	assert.Regexp(t, `^240307010000[0-9]{8}$`, Serial(now, "a"), "the date is China's")
	assert.NotEqual(t, Serial(now, "a"), Serial(now, "b"))
	assert.Equal(t, Serial(now, "a"), Serial(now, "a"))
}
