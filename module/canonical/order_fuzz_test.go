package canonical

import (
	"cmp"
	"slices"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzOrder compares both orders with plain readings of what Java does, and
// looks for an order that is none.
func FuzzOrder(f *testing.F) {
	f.Add("a", "a0", "A=1&")
	f.Add("\uffff", "\U0001f600", "\ue000")
	f.Add("ß", "ẞ", "ſ")
	f.Add("İ", "i\u0307", "ı")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) || !utf8.ValidString(c) {
			return
		}
		plain := func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}
		require.Equal(t, plain(a, b), sign(CompareUTF16([]byte(a), []byte(b))), "%q %q", a, b)
		for _, compare := range []func(a, b []byte) int{CompareUTF16, CompareFold} {
			x, y, z := []byte(a), []byte(b), []byte(c)
			require.Zero(t, compare(x, x))
			require.Equal(t, sign(compare(x, y)), -sign(compare(y, x)))
			if compare(x, y) <= 0 && compare(y, z) <= 0 {
				require.LessOrEqual(t, compare(x, z), 0, "%q %q %q", a, b, c)
			}
		}
		pairs := []Pair{{[]byte(a), []byte(b)}, {[]byte(b), []byte(c)}, {[]byte(c), []byte(a)}}
		turned := slices.Clone(pairs)
		slices.Reverse(turned)
		one, err1 := pieces(pairs)
		two, err2 := pieces(turned)
		require.Equal(t, err1 == nil, err2 == nil)
		require.Equal(t, one, two, "the string depends on the order of the members")
	})
}

func sign(n int) int { return cmp.Compare(n, 0) }
