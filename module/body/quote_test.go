package body

import (
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzQuote compares both ways with jsontext's: of a text with its string, and of
// a string with its text.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{
		"", "a", `"`, `\`, `\"`, "分账", "\x00\x1f\x7f\b\f\n\r\t", "\u2028\u2029<>&/'", "\xff", `{"a":"\\\""}`, `\u0061\ud83d\ude00\/`, "\ufffd", `a\\`, `\\\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := jsontext.AppendQuote([]byte("before"), text)
		if err != nil {
			require.False(t, utf8.ValidString(text))
			assert.Panics(t, func() { AppendQuote(nil, text) })
			assert.Panics(t, func() { AppendQuote(nil, []byte(text)) })
		} else {
			assert.Equal(t, string(want), string(AppendQuote([]byte("before"), text)))
			assert.Equal(t, string(want), string(AppendQuote([]byte("before"), []byte(text))))
			quoted := want[len("before"):]
			assert.Equal(t, text, string(unquote(quoted)))
			assert.Equal(t, len(quoted), stringEnd(append(quoted, quoted...), 0))
		}
		if raw := []byte(`"` + text + `"`); jsontext.Value(raw).IsValid() {
			want, err := jsontext.AppendUnquote(nil, raw)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(unquote(raw)))
			assert.Equal(t, len(raw), stringEnd(append(raw, '"', '\\'), 0))
		}
	})
}
