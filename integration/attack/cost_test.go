package attack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// patience is how long a message of a quarter mebibyte may take, in either direction. On
// a quiet machine each takes a few thousandths of it; what is quadratic takes
// minutes.
const patience = 10 * time.Second

// TestCostlyMessages are messages of a quarter mebibyte that cost much where a reader,
// a sorter or a search is not linear.
func TestCostlyMessages(t *testing.T) {
	const size = 1 << 18
	many := func(member func(i int) string) string {
		var out strings.Builder
		out.WriteString(member(0))
		for i := 1; out.Len() < size; i++ {
			out.WriteString("," + member(i))
		}
		return out.String()
	}
	for name, members := range map[string]string{
		"many members":     many(func(i int) string { return fmt.Sprintf(`"m%d":"1"`, i) }),
		"names much alike": many(func(i int) string { return fmt.Sprintf(`"%s%d":"1"`, strings.Repeat("x", 1000), i) }),
		"many ampersands":  `"a":"` + strings.Repeat("&b=", size/3) + `"`,
		"lists in lists": many(func(i int) string {
			return fmt.Sprintf(`"m%d":%s1%s`, i, strings.Repeat("[", 95), strings.Repeat("]", 95))
		}),
		"objects in objects": many(func(i int) string {
			return fmt.Sprintf(`"m%d":%s1%s`, i, strings.Repeat(`{"a":`, 90), strings.Repeat("}", 90))
		}),
		"many empty objects": `"l":[` + strings.Repeat(`{},`, size/3) + `1]`,
		"wide at the bottom": `"l":` + strings.Repeat(`{"a":[`, 45) + strings.Repeat(`"x",`, size/4) + `1` + strings.Repeat(`]}`, 45),
		"letters that fold":  many(func(i int) string { return fmt.Sprintf(`"K%d":"ſſſſſ"`, i) }),
		"many escapes":       `"a":"` + strings.Repeat(`\u0061`, size/6) + `"`,
	} {
		each(t, func(t *testing.T, p party) {
			s, held := p.scheme(t), p.held(t, "merchant")
			request, answer := "{"+members+"}", "{"+members+"}"
			switch p.name {
			case "easypay":
				request, answer = `{"bizData":`+request+`}`, `{"bizData":`+answer+`}`
			case "jeepay":
				answer = `{"data":` + answer + `}`
			case "hbsk":
				request, answer = `{"data":`+request+`}`, `{"time":1,"data":`+string(body.AppendQuote(nil, answer))+`}`
			case "hongwen":
				request = `{"biz_content":` + request + `}`
			}
			start := time.Now()
			_, _ = s.Seal(providertest.Request{Body: parse(t, request), Keys: held, Now: now})
			assert.Less(t, time.Since(start), patience, "%s: sealing", name)

			signed := withSign(t, []byte(answer), "00")
			start = time.Now()
			_, err := s.Open(providertest.Answer{Body: signed, Keys: held})
			assert.Error(t, err)
			assert.Less(t, time.Since(start), patience, "%s: opening", name)
		})
	}
}
