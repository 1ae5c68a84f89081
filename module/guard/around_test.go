package guard_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/guard"
)

// passes reports whether a request passes, and gives back what it has reserved.
func passes(t testing.TB, g *guard.Guard, body string) bool {
	t.Helper()
	grant, refusal := g.Check(t.Context(), input(t, body))
	if refusal == nil {
		grant.Done(guard.NotSent)
	}
	return refusal == nil
}

// What only a lenient reader takes for the member of a rule must not stand beside
// it: JSON libraries bind amount, Amount and am_ount to one field.
func TestOtherLetters(t *testing.T) {
	limit := load(t, "limit pay.amount 50", "letters limit")
	listed := load(t, "limit sum list.*.amount 50", "letters list")
	require1 := load(t, "require orgId ORG1", "letters require")
	budget := load(t, "budget d sum amount 50 per 1h by shop", "letters budget")
	unique := load(t, "unique orderNo for 1h", "letters unique")
	for _, test := range []struct {
		g          *guard.Guard
		good, more string
	}{
		{limit, `{"pay":{"amount":1,"note":"x"%s}}`, `,"%s":1000`},
		{limit, `{"pay":"{\"amount\":1%s}"}`, `,\"%s\":1000`},
		{listed, `{"list":[{"amount":1},{"amount":1%s}]}`, `,"%s":1000`},
		{budget, `{"amount":1,"shop":"S"%s}`, `,"%s":1000`},
	} {
		assert.True(t, passes(t, test.g, fmt.Sprintf(test.good, "")), test.good)
		for _, twin := range []string{"Amount", "AMOUNT", "am_ount", "_amount", "amount-", " amount", "amount ", "amount\u200b", "ａmount", "\ufeffamount"} {
			body := fmt.Sprintf(test.good, fmt.Sprintf(test.more, twin))
			assert.False(t, passes(t, test.g, body), body)
		}
		for _, another := range []string{"amounts", "mount", "totalAmount"} {
			body := fmt.Sprintf(test.good, fmt.Sprintf(test.more, another))
			assert.True(t, passes(t, test.g, body), body)
		}
	}
	assert.False(t, passes(t, require1, `{"orgId":"ORG1","orgid":"ORG2"}`))
	assert.False(t, passes(t, budget, `{"amount":1,"shop":"S","Shop":"T"}`))
	assert.False(t, passes(t, unique, `{"orderNo":"1","order_no":"2"}`))
	assert.False(t, passes(t, limit, `{"pay":{"amount":1},"Pay":{"amount":1000}}`))
	assert.False(t, passes(t, limit, `{"Pay":{"amount":1}}`))
}

// A value that a database compares as equal opens no budget of its own, and one
// with blanks around it is the same order.
func TestOneValueInManySpellings(t *testing.T) {
	g := load(t, "budget d sum a 1 per 1h by shop", "spellings budget")
	_, refusal := g.Check(t.Context(), input(t, `{"a":1,"shop":"Shop-1"}`))
	require.Nil(t, refusal)
	for _, shop := range []string{`Shop-1`, `shop-1`, `SHOP-1`, ` Shop-1`, `Shop-1 `, `Shop-1\u0000`, `Shop-1\n`, `Ｓhop-1`, `Shop-１`, `\u200bShop-1`} {
		assert.False(t, passes(t, g, `{"a":1,"shop":"`+shop+`"}`), shop)
	}
	for _, shop := range []string{`Shop-2`, `Shop1`, `Shop -1`} {
		assert.True(t, passes(t, g, `{"a":1,"shop":"`+shop+`"}`), shop)
	}
	assert.False(t, passes(t, g, `{"a":1,"shop":" "}`), "a blank is no name")

	u := load(t, "unique id for 1h", "spellings unique")
	_, refusal = u.Check(t.Context(), input(t, `{"id":"aB1"}`))
	require.Nil(t, refusal)
	for _, id := range []string{`aB1`, ` aB1`, "aB1\\t", `aB1\u0000`} {
		assert.False(t, passes(t, u, `{"id":"`+id+`"}`), id)
	}
	assert.True(t, passes(t, u, `{"id":"ab1"}`), "order numbers in Base62 differ by case")
	_, refusal = u.Check(t.Context(), input(t, `{"id":7}`))
	require.Nil(t, refusal)
	assert.False(t, passes(t, u, `{"id":"7"}`), "a number and its text are one order")
}

// Members of unique and by are kept apart: no two orders have one key by chance.
func TestMembersAreKeptApart(t *testing.T) {
	g := load(t, "unique a b for 1h", "apart")
	for _, body := range []string{`{"a":"x","b":"yz"}`, `{"a":"xy","b":"z"}`, `{"a":"yz","b":"x"}`, `{"a":"x\u0000y","b":"z"}`} {
		_, refusal := g.Check(t.Context(), input(t, body))
		assert.Nil(t, refusal, body)
	}
}

// Paths that some server reads as another one.
func TestPathsThatReadInTwoWays(t *testing.T) {
	g := load(t, "allow POST /pay/query* /pay/a/*", "two ways")
	for _, path := range []string{"/pay/query", "/pay/query/x", "/pay/a/%E6%98%93", "/pay/a/b;v=1"} {
		in := input(t, `{}`)
		in.Path = path
		_, refusal := g.Check(t.Context(), in)
		assert.Nil(t, refusal, path)
	}
	for _, path := range []string{
		"", "*", "pay/query", "//pay/query", "/pay//query", "/pay/./query", "/pay/query/.", "/pay/query/..", "/pay/query/../transfer", "/pay/query/%2e%2e/transfer",
		"/pay/query/%2E%2e/transfer", "/pay/query/.%2e/transfer", "/pay/query/%252e%252e/transfer", "/pay/query/..;/transfer", "/pay/query/..;x=1/transfer",
		"/pay/query/%c0%ae%c0%ae/transfer", "/pay/query/\xc0\xae\xc0\xae/transfer", "/pay/query%2ftransfer", "/pay/query%2Ftransfer", "/pay/query%5ctransfer",
		`/pay/query\transfer`, "/pay/query%00", "/pay/query%0a", "/pay/query%3fx=1", "/pay/query%23", "/pay/query%", "/pay/query%zz", "/PAY/query", "/pay/Query", "/pay/%71uery", "/pay/transfer",
	} {
		in := input(t, `{}`)
		in.Path = path
		grant, refusal := g.Check(t.Context(), in)
		require.NotNil(t, refusal, path)
		assert.Nil(t, grant)
		assert.Equal(t, guard.NotAllowed, refusal.Reason)
	}
	for _, method := range []string{"GET", "PUT", "post", "POST ", "", "QUERY"} {
		in := input(t, `{}`)
		in.Method, in.Path = method, "/pay/query"
		_, refusal := g.Check(t.Context(), in)
		assert.NotNil(t, refusal, method)
	}
}

// The sum over a list is exact, however it is written, and one element that is
// missing or no plain decimal refuses all.
func TestSumsAgainstBig(t *testing.T) {
	const most = "100000.01"
	limit := load(t, "limit sum l.*.a "+most, "sums limit")
	budget := load(t, "budget d sum l.*.a "+most+" per 1h", "sums budget")
	cent := rapid.StringMatching(`(0|[1-9][0-9]{0,4})(\.[0-9]{1,4})?`)
	rapid.Check(t, func(rt *rapid.T) {
		sum := new(big.Rat)
		var elements []string
		for _, amount := range rapid.SliceOfN(cent, 1, 8).Draw(rt, "amounts") {
			r, ok := new(big.Rat).SetString(amount)
			require.True(rt, ok)
			sum.Add(sum, r)
			if rapid.Bool().Draw(rt, "text") {
				amount = `"00` + amount + `"`
			}
			elements = append(elements, `{"a":`+amount+`}`)
		}
		list := "[" + strings.Join(elements, ",") + "]"
		if rapid.Bool().Draw(rt, "wrapped") {
			list = `"` + strings.ReplaceAll(list, `"`, `\"`) + `"`
		}
		top, _ := new(big.Rat).SetString(most)
		want := sum.Cmp(top) <= 0
		require.Equal(rt, want, passes(t, limit, `{"l":`+list+`}`), list)
		require.Equal(rt, want, passes(t, budget, `{"l":`+list+`}`), list)

		bad := rapid.SampledFrom([]string{`{}`, `{"a":null}`, `{"a":""}`, `{"a":-1}`, `{"a":1e1}`, `{"a":"+1"}`, `{"a":"１"}`, `{"a":"NaN"}`, `{"a":true}`, `{"a":[1]}`, `{"a":{}}`, `1`, `null`, `[]`, `"x"`}).Draw(rt, "bad")
		at := rapid.IntRange(0, len(elements)).Draw(rt, "at")
		broken := append(append(append([]string{}, elements[:at]...), bad), elements[at:]...)
		list = "[" + strings.Join(broken, ",") + "]"
		require.False(rt, passes(t, limit, `{"l":`+list+`}`), list)
		require.False(rt, passes(t, budget, `{"l":`+list+`}`), list)
	})
}
