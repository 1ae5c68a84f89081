package decimal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	nines := strings.Repeat("9", 30)
	for text, want := range map[string]string{"0": "0", "007.50": "7.5", "1": "1", nines + "." + nines: nines + "." + nines} {
		d, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, d.String())
		assert.Len(t, d.Fixed(), Width)
	}
	for _, text := range []string{"", ".", "1.", ".1", "-1", "+1", "1e5", " 1", "1 ", "1_0", "1.2.3", "0x1", "１", nines + "9", "1." + nines + "9"} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrSyntax, text)
	}
}

func TestAddAndSub(t *testing.T) {
	form := rapid.StringMatching(`[0-9]{1,30}(\.[0-9]{1,30})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, err := Parse(form.Draw(t, "a"))
		require.NoError(t, err)
		b, err := Parse(form.Draw(t, "b"))
		require.NoError(t, err)
		before := a.String()
		a.Add(b)
		assert.GreaterOrEqual(t, a.Cmp(b), 0)
		a.Sub(b)
		assert.Equal(t, before, a.String())
	})
}

func FuzzParse(f *testing.F) {
	f.Add("12.50")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(d.String())
		require.NoError(t, err)
		assert.Zero(t, d.Cmp(again))
	})
}
