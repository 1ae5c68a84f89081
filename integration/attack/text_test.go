package attack

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// odd are texts that two readers may read in two ways.
var odd = map[string]string{
	"a name twice":                   `{"a":1,"a":1}`,
	"a name twice, escaped":          `{"a":1,"\u0061":2}`,
	"a name twice, in capitals":      `{"\u00e9":1,"\u00E9":2}`,
	"a name twice, as a pair":        `{"😀":1,"\ud83d\ude00":2}`,
	"a name twice, deep in a list":   `{"x":[[{"y":{"a":1,"\u0061":2}}]]}`,
	"an empty name twice":            `{"":1,"":2}`,
	"a slash twice":                  `{"/":1,"\/":2}`,
	"half a pair":                    `{"a":"\ud83d"}`,
	"the other half":                 `{"a":"\ude00"}`,
	"a pair the wrong way round":     `{"a":"\ude00\ud83d"}`,
	"half a pair in a name":          `{"\ud83d":1}`,
	"half a pair and text":           `{"a":"\ud83dx"}`,
	"a surrogate in UTF-8":           "{\"a\":\"\xed\xa0\xbd\"}",
	"an overlong slash":              "{\"a\":\"\xc0\xaf\"}",
	"an overlong NUL":                "{\"a\":\"\xc0\x80\"}",
	"beyond U+10FFFF":                "{\"a\":\"\xf4\x90\x80\x80\"}",
	"half a character":               "{\"a\":\"\xe4\xb8\"}",
	"GBK":                            "{\"a\":\"\xd6\xd0\"}",
	"a byte order mark":              "\ufeff{}",
	"a byte order mark behind":       "{}\ufeff",
	"UTF-16 with a mark":             utf16Text(`{"a":"1"}`, true),
	"UTF-16 without":                 utf16Text(`{"a":"1"}`, false),
	"NUL behind":                     "{}\x00",
	"NUL in a string":                "{\"a\":\"x\x00\"}",
	"NUL in a name":                  "{\"a\x00\":1}",
	"NUL between":                    "{\x00\"a\":1}",
	"a control in a string":          "{\"a\":\"\x1f\"}",
	"a line break in a string":       "{\"a\":\"x\ny\"}",
	"a leading zero":                 `{"a":01}`,
	"a plus":                         `{"a":+1}`,
	"hexadecimal":                    `{"a":0x10}`,
	"no digit before the point":      `{"a":.5}`,
	"no digit behind the point":      `{"a":5.}`,
	"no exponent":                    `{"a":1e}`,
	"NaN":                            `{"a":NaN}`,
	"Infinity":                       `{"a":-Infinity}`,
	"an underscore":                  `{"a":1_000}`,
	"full-width digits":              `{"a":１}`,
	"single quotes":                  `{'a':1}`,
	"no quotes":                      `{a:1}`,
	"a comma too many":               `{"a":1,}`,
	"a comment":                      `{"a":1/**/}`,
	"a no-break space":               "{\u00a0\"a\":1}",
	"a line separator outside":       "{\u2028\"a\":1}",
	"a vertical tab":                 "{\v\"a\":1}",
	"True":                           `{"a":True}`,
	"an escape that is none":         `{"a":"\x41"}`,
	"a short escape":                 `{"a":"\u41"}`,
	"two values":                     `{"a":1}{"a":2}`,
	"something behind":               `{"a":1} x`,
	"a bracket that is another's":    `{"a":[1}`,
	"101 levels":                     `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	"a hundred thousand levels":      `{"a":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`,
	"a hundred thousand open braces": strings.Repeat(`{"a":`, 100000),
}

func utf16Text(text string, mark bool) string {
	var out strings.Builder
	if mark {
		text = "\ufeff" + text
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out.WriteByte(byte(unit))
		out.WriteByte(byte(unit >> 8))
	}
	return out.String()
}

func TestTextsThatReadInTwoWays(t *testing.T) {
	for name, text := range odd {
		_, err := body.Parse([]byte(text))
		assert.Error(t, err, name)
		if err != nil && len(text) < 50 && len(text) > 4 {
			assert.NotContains(t, err.Error(), text, name)
		}
	}
}

// TestTextsThatReadInOneWay leave as they came, and the provider, which reads
// them with code of its own, says that the signature is good.
func TestTextsThatReadInOneWay(t *testing.T) {
	values := map[string]string{
		"a number of 5000 digits":   strings.Repeat("9", 5000),
		"5000 digits behind":        "0." + strings.Repeat("1", 5000),
		"beyond a float":            "1e400",
		"below a float":             "1e-400",
		"minus zero":                "-0",
		"a long exponent":           "1E+0000000001",
		"more than 2 to the 53rd":   "20881234567890123456",
		"an escaped NUL":            `"x\u0000y"`,
		"a pair":                    `"\ud83d\ude00"`,
		"a private character":       `"\ue000\uffff"`,
		"a mark in a string":        "\"\ufeffx\"",
		"separators":                "\"\u2028\u2029\"",
		"right to left":             "\"\u202e001\"",
		"slashes":                   `"\/ / \\"`,
		"all that looks like ours":  `"a=1&b=2&sign=x"`,
		"what other encoders write": `"\u003c\u0026\u003e"`,
	}
	each(t, func(t *testing.T, p party) {
		s, held := p.scheme(t), p.held(t, "merchant")
		for name, value := range values {
			member := `"attachExtra":` + value
			text := string(p.request(t))
			switch p.name {
			case "easypay":
				text = strings.Replace(text, `"bizData":`, `"x":`+value+`,"bizData":`, 1)
				text = insert(t, text, `"oriOrgTrace"`, member+`,"oriOrgTrace"`)
			default:
				text = "{" + member + "," + strings.TrimPrefix(strings.TrimSpace(text), "{")
			}
			sealed, err := s.Seal(providertest.Request{Body: parse(t, text), Keys: held, Now: now})
			require.NoError(t, err, name)
			assert.Contains(t, string(sealed.Body), member, name)
			assert.False(t, p.rejected(p.judge(t, p.ofProvider(t), sealed.Body)), "%s: %s", name, sealed.Body[:min(500, len(sealed.Body))])
		}
	})
}

func insert(t *testing.T, text, old, replacement string) string {
	t.Helper()
	require.Contains(t, text, old)
	return strings.Replace(text, old, replacement, 1)
}
