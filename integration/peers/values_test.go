package peers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rounds is how many messages each test makes.
const rounds = 40

// nasty are values that two programs may write or read in two ways.
var nasty = []string{
	"", " ", "0", "null", "茶与饭 €", "👛🇨🇳", "a+b c", "a&b=c", "100%", "%2B%26", "\"quoted\"", `back\slash`, "line\nbreak\r\n", "tab\t",
	"<b>&amp;</b>", "a/b", "'", "{\"a\":1}", "[1,2]", "é", "e\u0301", "\u2028", "x=1&sign=2", "~!@#$^*()_-`|;:?,.",
}

// maker makes values. Its messages are the same in each run.
type maker struct{ *rand.Rand }

func makerOf(round int) maker { return maker{rand.New(rand.NewPCG(uint64(round), 1))} } //nolint:gosec // no secrets

func (m maker) text() string {
	value := nasty[m.IntN(len(nasty))]
	if m.IntN(3) == 0 {
		value += nasty[m.IntN(len(nasty))]
	}
	return value
}

// object makes an object with nested values and large numbers.
func (m maker) object(depth int) map[string]any {
	o := map[string]any{"out_trade_no": fmt.Sprint("T", m.IntN(1<<30)), "total_amount": json.Number(fmt.Sprintf("%d.%02d", m.IntN(1000), m.IntN(100)))}
	for i := range 2 + m.IntN(5) {
		name := fmt.Sprintf("f%d", i)
		switch m.IntN(7) {
		case 0:
			o[name] = json.Number("9007199254740993")
		case 1:
			o[name] = m.IntN(2) == 0
		case 2:
			if depth > 0 {
				o[name] = m.object(depth - 1)
			}
		case 3:
			if depth > 0 {
				o[name] = []any{m.text(), m.object(depth - 1), json.Number("0")}
			}
		default:
			o[name] = m.text()
		}
	}
	return o
}

// compact writes JSON as JavaScript does, without \u003c and the like.
func compact(t *testing.T, value any) string {
	t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(value))
	return strings.TrimSuffix(text.String(), "\n")
}

// spoiled are texts with one character changed.
func (m maker) spoiled(text string) string {
	at := m.IntN(len(text))
	changed := []byte(text)
	for changed[at] >= 0x80 || changed[at] < ' ' {
		at = m.IntN(len(text))
	}
	changed[at] ^= 1
	return string(changed)
}
