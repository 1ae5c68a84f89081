package decimal

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rational returns what a decimal means, by math/big.
func rational(t require.TestingT, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok, text)
	return r
}

// Sums and comparisons are those of rational numbers, however long the decimals
// are and however many of them are added.
func TestAgainstBig(t *testing.T) {
	form := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,30}(\.[0-9]{1,30})?`),
		rapid.StringMatching(`[0-9]{1,3}\.[0-9]{2}`),
		rapid.SampledFrom([]string{"0", "0.1", "0.2", "0.3", "0.10", "00.1", strings.Repeat("9", 30) + "." + strings.Repeat("9", 30), "0." + strings.Repeat("0", 29) + "1"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		sum, want := new(Decimal), new(big.Rat)
		for _, text := range rapid.SliceOfN(form, 1, 50).Draw(t, "amounts") {
			d, err := Parse(text)
			require.NoError(t, err, text)
			require.Zero(t, rational(t, d.String()).Cmp(rational(t, text)), text)
			sum.Add(d)
			want.Add(want, rational(t, text))
		}
		require.Zero(t, rational(t, sum.String()).Cmp(want))
		units, ok := new(big.Int).SetString(sum.Fixed(), 10)
		require.True(t, ok)
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(Digits), nil)
		require.Zero(t, new(big.Rat).SetFrac(units, scale).Cmp(want))
		other := form.Draw(t, "other")
		d, err := Parse(other)
		require.NoError(t, err)
		require.Equal(t, want.Cmp(rational(t, other)), sum.Cmp(d), "%s and %s", sum, other)
	})
}

// Whatever somebody's number parser takes besides plain decimals is refused.
func TestOtherNumbers(t *testing.T) {
	for _, text := range []string{
		"1e2", "1E2", "1e+2", "1e-2", "+1", "-1", "-0", "−1", "--1", "1-", " 1", "1 ", "\t1", "1\n", "1\r\n", "\u00a01", "1\u200b", "\ufeff1",
		"1,000", "1'000", "1 000", "1_000", "1,5", "١٢", "１２", "1２", "0x10", "0b1", "0o7", "1n", "1f", "1d", "1L", "1/2", "½", "²", "一百", "壹",
		"NaN", "nan", "Inf", "+Inf", "-Inf", "Infinity", "null", "true", ".", "..", "1.", ".1", "1..1", "1.1.1", "1.+1", "1.-1", "1.e1", "$1", "1元", "¥1", "(1)", "1%",
		"\x001", "1\x00", "1\x00.5", "\xff1", strings.Repeat("0", 31), "0." + strings.Repeat("0", 31), strings.Repeat("1", 1<<16),
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrSyntax, "%q", text)
	}
	// Zeros in front and behind change nothing.
	for text, want := range map[string]string{"01.10": "1.1", "000": "0", "0.000": "0", "00100.00": "100"} {
		d, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, d.String())
	}
}
