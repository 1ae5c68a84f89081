package canonical

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/body"
)

// shapes are texts of about size bytes, each made of one thing many times.
func shapes(size int) map[string]string {
	repeat := func(format string) string {
		var s strings.Builder
		for i := 0; s.Len() < size; i++ {
			if i > 0 {
				s.WriteByte(',')
			}
			s.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return s.String()
	}
	deep := strings.Repeat(`{"a":`, body.MaxDepth-2) + `"` + strings.Repeat("x", size) + `"` + strings.Repeat("}", body.MaxDepth-2)
	return map[string]string{
		"empty lists":      "{" + repeat(`"m#":[]`) + "}",
		"empty objects":    "{" + repeat(`"m#":{}`) + "}",
		"numbers":          "{" + repeat(`"m#":1`) + "}",
		"one long list":    `{"l":[` + repeat("#") + "]}",
		"lists in a list":  `{"l":[` + repeat("[]") + "]}",
		"deep and long":    `{"d":` + deep + "}",
		"deep and wide":    "{" + repeat(`"m#":{"a":{"b":{"c":[[[1]]]}}}`) + "}",
		"separators":       `{"a":"` + strings.Repeat("&", size) + `","b":1}`,
		"pairs":            `{"a":"` + strings.Repeat("=", size) + `","b":1}`,
		"names everywhere": `{"a":"` + strings.Repeat("&m1", size/3) + `",` + repeat(`"m#":1`) + "}",
		"a long name":      `{"` + strings.Repeat("n", size/2) + `":{` + repeat(`"m#":1`) + "}}",
		"escapes":          `{"a":{"b":"` + strings.Repeat(`\u003c`, size/6) + `"}}`,
		"alike in front":   "{" + repeat(`"`+strings.Repeat("n", 500)+`#":1`) + "}",
	}
}

// TestCost gives every builder every shape. What is quadratic takes minutes, on a
// busy machine as on an idle one. -short, for the race detector, which is slow, takes
// small shapes.
func TestCost(t *testing.T) {
	type builder interface {
		Append([]byte, []body.Member) (Text, error)
	}
	size := 1 << 20
	if testing.Short() {
		size = 1 << 14
	}
	for name, text := range shapes(size) {
		all := members(t, text)
		for _, b := range []builder{
			&Sorted{Nested: "skip"}, &Sorted{Nested: "json", Order: "name-fold"}, &Sorted{Nested: "json", JSONPlain: true, Order: "piece-fold", After: "&"},
			&Sorted{Nested: "recurse", Empty: "keep", EmptyList: "keep", EmptyElements: "keep"}, &Sorted{Nested: "flat", EmptyList: "keep"},
			&Sorted{Nested: "json", NoJoin: true}, &Sorted{Nested: "json", NoPair: true},
			&Values{Nested: "recurse", Join: "|"}, &Values{Nested: "recurse", Mode: "by-value"}, &JSON{}, &JSON{Mode: "deep"},
		} {
			start := time.Now()
			_, err := b.Append(nil, all)
			if err != nil {
				require.ErrorIs(t, err, ErrTooLong)
			}
			assert.Less(t, time.Since(start), 30*time.Second, "%s %+v", name, b)
			t.Logf("%v %s %T", time.Since(start), name, b)
		}
	}
}

func TestAmbiguousWithOtherSeparators(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab=&|:")), 0, 8, -1)
		separators := rapid.SampledFrom([]string{"", "=", "&", "&&", "|", ":", "=&"})
		join, pair := separators.Draw(t, "join"), separators.Draw(t, "pair")
		var all []Pair
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			all = append(all, Pair{[]byte(rapid.SampledFrom([]string{"a", "b", "ab", "bab"}).Draw(t, "name")), []byte(text.Draw(t, "value"))})
		}
		want := false
		for _, p := range all {
			for _, q := range all {
				want = want || join+pair != "" && strings.Contains(string(p.Value), join+string(q.Name)+pair)
			}
		}
		require.Equal(t, want, ambiguous(all, nil, []byte(join), []byte(pair)) != nil, "%q", all)
	})
}
