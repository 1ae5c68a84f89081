package canonical

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/body"
)

func pairs(namesAndValues ...string) []Pair {
	var out []Pair
	for i := 0; i < len(namesAndValues); i += 2 {
		out = append(out, Pair{[]byte(namesAndValues[i]), []byte(namesAndValues[i+1])})
	}
	return out
}

// stringMembers are pairs as members that are strings.
func stringMembers(pairs []Pair) []body.Member {
	var out []body.Member
	for _, p := range pairs {
		out = append(out, body.StringMember(string(p.Name), string(p.Value)))
	}
	return out
}

// joined returns the canonical string of most providers.
func joined(t require.TestingT, pairs []Pair) string {
	text, err := (&Sorted{}).Append(nil, stringMembers(pairs))
	require.NoError(t, err)
	return string(text.Bytes)
}

// pieces is jeepay's: whole pieces sorted without regard to case.
func pieces(pairs []Pair) (string, error) {
	text, err := (&Sorted{Order: "piece-fold", After: "&", Empty: "keep"}).Append(nil, stringMembers(pairs))
	return string(text.Bytes), err
}

func TestJoined(t *testing.T) {
	assert.Empty(t, joined(t, nil))
	assert.Equal(t, "a=1", joined(t, pairs("a", "1")))
	assert.Equal(t, "=3&a=1&b=2&&c=x=y", joined(t, pairs("b", "2&", "c", "x=y", "a", "1", "B", "", "", "3")))
}

func TestSortByUTF16(t *testing.T) {
	// U+FF5E comes after the surrogates of U+1F600, though its code point and
	// its UTF-8 bytes come before.
	assert.Equal(t, "\U0001f600=2&～=1", joined(t, pairs("～", "1", "\U0001f600", "2")))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab中～\ufffd\uffff\ue000\ud7ff\U00010000\U0001f600\U0010ffff")), 0, 6, -1)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		require.Equal(t, want, cmp.Compare(CompareUTF16([]byte(a), []byte(b)), 0), "%q %q", a, b)
	})
}

func TestPieces(t *testing.T) {
	for want, in := range map[string][]Pair{
		"":                      nil,
		"a=1&":                  pairs("a", "1"),
		"a0=2&a=1&":             pairs("a", "1", "a0", "2"),
		"apple=1&Zebra=2&":      pairs("Zebra", "2", "apple", "1"),
		"A=1&a=2&":              pairs("a", "2", "A", "1"),
		"a=b=c&a=b=c&":          pairs("a", "b=c", "a=b", "c"), // equal to the letter: their order is no question
		"ı=1&ı=2&":              pairs("ı", "2", "ı", "1"),
		"é=1&\U0001f600=2&～=3&": pairs("～", "3", "\U0001f600", "2", "é", "1"),
	} {
		got, err := pieces(in)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, twins := range [][]Pair{pairs("a", "x", "A", "X"), pairs("a", "1", "b", "2", "B", "2"), pairs("k", "", "\u212a", "")} {
		_, err := pieces(twins)
		assert.ErrorIs(t, err, ErrEqualFold)
	}
}

// compareJava is String.CASE_INSENSITIVE_ORDER as its documentation has it.
func compareJava(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := range min(len(x), len(y)) {
		p, q := unicode.ToUpper(x[i]), unicode.ToUpper(y[i])
		if p != q {
			p, q = unicode.ToLower(p), unicode.ToLower(q)
			if p != q {
				return slices.Compare(utf16.Encode([]rune{p}), utf16.Encode([]rune{q}))
			}
		}
	}
	return cmp.Compare(len(x), len(y))
}

func TestCompareFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("aAbB=&01zZ[_`İıſßéÉσς中～\U00010400\U00010428\U0001f600")), 0, 6, -1)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		require.Equal(t, compareJava(a, b), cmp.Compare(CompareFold([]byte(a), []byte(b)), 0), "%q %q", a, b)
	})
}

func TestTrimJava(t *testing.T) {
	for text, want := range map[string]string{"": "", " \t\r\n\x00\x1f ": "", " x y ": "x y", "\u00a0x\u3000": "\u00a0x\u3000", "\x7f": "\x7f"} {
		assert.Equal(t, want, string(TrimJava([]byte(text))))
	}
}

func TestAmbiguous(t *testing.T) {
	for name, c := range map[string]struct {
		pairs []Pair
		is    bool
	}{
		"plain":                            {pairs("a", "1", "b", "2"), false},
		"another's name":                   {pairs("ext", "x&amount=9", "amount", "1"), true},
		"its own name":                     {pairs("ext", "x&ext=9"), true},
		"no member's name":                 {pairs("url", "https://a/?b=1&c=2", "amount", "1"), false},
		"a longer name":                    {pairs("ext", "x&amounts=9", "amount", "1"), false},
		"a shorter name":                   {pairs("ext", "x&am=9", "amount", "1"), false},
		"no equals sign":                   {pairs("ext", "x&amount", "amount", "1"), false},
		"no ampersand":                     {pairs("ext", "amount=9", "amount", "1"), false},
		"the second of two":                {pairs("ext", "x&y=1&amount=9", "amount", "1"), true},
		"right behind another":             {pairs("ext", "&&amount=", "amount", "1"), true},
		"in another case":                  {pairs("ext", "x&Amount=9", "amount", "1"), false},
		"a name that holds an equals sign": {pairs("ext", "x&a=b=9", "a=b", "1"), true},
		"a name that holds an ampersand":   {pairs("ext", "x&a&b=9", "a&b", "1"), true},
		"a name that begins with another":  {pairs("amount=1&ext", "x", "amount", "9"), true},
		"a name that ends in another":      {pairs("aaa=b&amount", "1&ext=x", "amount", "9"), true},
		"the empty name":                   {pairs("ext", "x&=9", "", "1"), true},
		"a value without a name":           {[]Pair{{nil, []byte("x&=9")}}, false},
		"an element":                       {[]Pair{{nil, []byte("&amount=9")}, {[]byte("amount"), []byte("1")}}, true},
		"in the name itself":               {pairs("x&amount=9", "1", "amount", "1"), true},
		"an equals sign in a value":        {pairs("ext", "amount=9=", "amount", "1"), false},
	} {
		err := Ambiguous(c.pairs)
		if c.is {
			assert.ErrorIs(t, err, ErrAmbiguous, name)
		} else {
			assert.NoError(t, err, name)
		}
	}
}

func TestAmbiguousIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab=&")), 0, 6, -1)
		name := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "ab", ""}), text)
		var all []Pair
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			all = append(all, Pair{[]byte(name.Draw(t, "name")), []byte(text.Draw(t, "value"))})
		}
		want := false
		for _, p := range all {
			want = want || bytes.ContainsAny(p.Name, "&=")
			for _, q := range all {
				want = want || bytes.Contains(p.Value, slices.Concat([]byte("&"), q.Name, []byte("=")))
			}
		}
		require.Equal(t, want, Ambiguous(all) != nil, "%q", all)
	})
}

func BenchmarkAmbiguous(b *testing.B) {
	all := pairs("ext", strings.Repeat("&x=1", 1<<18))
	for i := range 1 << 12 {
		all = append(all, Pair{[]byte("name" + string(rune('a'+i%26)) + strings.Repeat("x", i%100)), []byte("1")})
	}
	for b.Loop() {
		if Ambiguous(all) != nil {
			b.Fatal("ambiguous")
		}
	}
}
