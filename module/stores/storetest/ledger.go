package storetest

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/stores"
)

// RunLedger runs the tests of budgets and orders against the store that open
// opens. Two stores that are opened in one test must share their memory.
func RunLedger(t *testing.T, open func(t *testing.T) stores.Ledger) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, a, b stores.Ledger){
		"a budget is spent to its last digit":      spentWhole,
		"a call that is repeated counts once":      spentAgain,
		"what is given back can be spent":          givenBack,
		"what is kept stays spent":                 kept,
		"sums of any length are exact":             exactSums,
		"another limit counts what was spent":      anotherLimit,
		"budgets do not touch each other":          budgetsApart,
		"an amount counts for its window":          windowEnds,
		"no window is exceeded under load":         windowsUnderLoad,
		"an order is sent once":                    enteredOnce,
		"an order that was not sent is free":       leftFree,
		"an order is forgotten in its time":        orderForgotten,
		"a stranger ends no order":                 leftByAnother,
		"one of many enters, and all know who":     enterRace,
		"never two hold an order":                  holders,
		"a reservation that is given up is no one": ledgerGivenUp,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), open(t)) })
	}
}

func amount(t require.TestingT, text string) *decimal.Decimal {
	d, err := decimal.Parse(text)
	require.NoError(t, err, text)
	return d
}

func id() string { return fmt.Sprint("reservation", number.Add(1)) }

// spend reports whether an amount could be reserved, and returns the id of the
// reservation.
func spend(t require.TestingT, s stores.Ledger, key, sum, limit string, window time.Duration) (reservation string, ok bool) {
	reservation = id()
	ok, err := s.Spend(context.Background(), key, reservation, amount(t, sum), amount(t, limit), window)
	require.NoError(t, err)
	return reservation, ok
}

func mustSpend(t require.TestingT, s stores.Ledger, key, sum, limit string, want bool) string {
	reservation, ok := spend(t, s, key, sum, limit, time.Hour)
	require.Equal(t, want, ok, "%s of %s", sum, limit)
	return reservation
}

func settle(t require.TestingT, s stores.Ledger, key, reservation string, giveBack bool) {
	require.NoError(t, s.Settle(context.Background(), key, reservation, giveBack))
}

func spentWhole(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	settle(t, a, k, mustSpend(t, a, k, "0.1", "0.3", true), false)
	settle(t, b, k, mustSpend(t, b, k, "0.2", "0.3", true), false)
	mustSpend(t, a, k, "0.000000000000000000000000000001", "0.3", false)
	mustSpend(t, b, k, "0.3", "0.3", false)
	settle(t, a, k, mustSpend(t, a, k, "0", "0.3", true), false)
	most := strings.Repeat("9", 30) + "." + strings.Repeat("9", 30)
	k = key()
	settle(t, a, k, mustSpend(t, a, k, most, most, true), false)
	mustSpend(t, b, k, "0.000000000000000000000000000001", most, false)
	mustSpend(t, b, k, most, most, false)
}

func spentAgain(t *testing.T, a, _ stores.Ledger) {
	t.Helper()
	k, reservation := key(), id()
	for range 3 {
		ok, err := a.Spend(t.Context(), k, reservation, amount(t, "2"), amount(t, "3"), time.Hour)
		require.NoError(t, err)
		require.True(t, ok)
	}
	settle(t, a, k, mustSpend(t, a, k, "1", "3", true), false)
	mustSpend(t, a, k, "1", "3", false)
	settle(t, a, k, reservation, true)
	settle(t, a, k, mustSpend(t, a, k, "2", "3", true), false)
}

func givenBack(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	one := mustSpend(t, a, k, "60", "100", true)
	two := mustSpend(t, b, k, "40", "100", true)
	mustSpend(t, b, k, "1", "100", false)
	settle(t, a, k, one, true)
	mustSpend(t, b, k, "61", "100", false)
	three := mustSpend(t, b, k, "60", "100", true)
	settle(t, b, k, two, false)
	settle(t, b, k, three, true)
	settle(t, a, k, mustSpend(t, a, k, "60", "100", true), false)
	mustSpend(t, a, k, "0.01", "100", false)
}

func kept(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	settle(t, a, k, mustSpend(t, a, k, "100", "100", true), false)
	mustSpend(t, b, k, "0.01", "100", false)
	mustSpend(t, b, k, "0.01", "100", false) // a refusal changes nothing
	settle(t, b, k, mustSpend(t, b, k, "0.01", "100.01", true), false)
}

// exactSums compares with math/big, giving back in between.
func exactSums(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	form := rapid.OneOf(rapid.StringMatching(`[0-9]{1,30}(\.[0-9]{1,30})?`), rapid.StringMatching(`[0-9]{1,4}\.[0-9]{2}`), rapid.StringMatching(`9{14}(\.9{16})?`))
	rational := func(text string) *big.Rat {
		r, _ := new(big.Rat).SetString(text)
		return r
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		if runs++; runs > 30 { // each asks the store some ten times
			return
		}
		k, limit, spent := key(), form.Draw(t, "limit"), new(big.Rat)
		for i, text := range rapid.SliceOfN(form, 1, 8).Draw(t, "amounts") {
			s := a
			if i%2 == 1 {
				s = b
			}
			then := new(big.Rat).Add(spent, rational(text))
			reservation, ok := spend(t, s, k, text, limit, time.Hour)
			require.Equal(t, then.Cmp(rational(limit)) <= 0, ok, "%s after %s of %s", text, spent, limit)
			if !ok {
				continue
			}
			back := rapid.Bool().Draw(t, "back")
			settle(t, s, k, reservation, back)
			if !back {
				spent = then
			}
		}
	})
}

func anotherLimit(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	settle(t, a, k, mustSpend(t, a, k, "50", "100", true), false)
	mustSpend(t, b, k, "1", "40", false)
	settle(t, b, k, mustSpend(t, b, k, "150", "200", true), false)
	mustSpend(t, a, k, "0", "100", false) // it is over already
}

func budgetsApart(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	one, two := key(), key()
	settle(t, a, one, mustSpend(t, a, one, "1", "1", true), false)
	mustSpend(t, a, one, "1", "1", false)
	settle(t, b, two, mustSpend(t, b, two, "1", "1", true), false)
}

// windowEnds sees that an amount counts for its window at least, and does not
// count for ever.
func windowEnds(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	const window = 300 * time.Millisecond
	k, before := key(), time.Now()
	reservation, ok := spend(t, a, k, "1", "1", window)
	require.True(t, ok)
	settle(t, a, k, reservation, false)
	require.Eventually(t, func() bool {
		_, ok := spend(t, b, k, "1", "1", window)
		return ok
	}, 10*time.Second, time.Millisecond)
	assert.GreaterOrEqual(t, time.Since(before), window, "the window slides, and does not begin anew")
}

// windowsUnderLoad has many spend at once, for some windows, and looks at every
// window afterwards. When exactly a call took effect is known to the length of the
// longest one, so that the windows that are looked at are shorter by that.
func windowsUnderLoad(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	const window, limit = 400 * time.Millisecond, 10
	type success struct{ began, ended time.Time }
	k := key()
	var mu sync.Mutex
	var all []success
	var working sync.WaitGroup
	end := time.Now().Add(5 * window)
	for i := range 8 {
		s := []stores.Ledger{a, b}[i%2]
		working.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				began := time.Now()
				reservation, ok := spend(t, s, k, "1", fmt.Sprint(limit), window)
				if !ok {
					time.Sleep(time.Millisecond)
					continue
				}
				back := n%3 == 0
				if !back {
					mu.Lock()
					all = append(all, success{began, time.Now()})
					mu.Unlock()
				}
				settle(t, s, k, reservation, back)
			}
		})
	}
	working.Wait()
	var longest time.Duration
	for _, s := range all {
		longest = max(longest, s.ended.Sub(s.began))
	}
	length := window - longest - 2*time.Millisecond // the clock of the store has milliseconds
	for _, first := range all {
		in := 0
		for _, s := range all {
			if !s.began.Before(first.began) && s.began.Before(first.began.Add(length)) {
				in++
			}
		}
		require.LessOrEqual(t, in, limit, "within %s", length)
	}
	assert.Greater(t, len(all), limit, "the budget comes back")
}

func enter(t require.TestingT, s stores.Ledger, key, id string, keep time.Duration) *stores.First {
	first, err := s.Enter(context.Background(), key, id, keep)
	require.NoError(t, err)
	return first
}

func leave(t require.TestingT, s stores.Ledger, key, id, outcome string) {
	require.NoError(t, s.Leave(context.Background(), key, id, outcome))
}

func enteredOnce(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	require.Nil(t, enter(t, a, k, "A:1/x", time.Hour))
	require.Nil(t, enter(t, a, k, "A:1/x", time.Hour), "the same call again")
	assert.Equal(t, &stores.First{ID: "A:1/x", Outcome: stores.OutcomeRunning}, enter(t, b, k, "B", time.Hour))
	leave(t, a, k, "A:1/x", "upstream_timeout")
	for _, s := range []stores.Ledger{a, b} {
		assert.Equal(t, &stores.First{ID: "A:1/x", Outcome: "upstream_timeout"}, enter(t, s, k, "B", time.Hour))
	}
	require.Nil(t, enter(t, b, key(), "B", time.Hour), "another order")
}

func leftFree(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	for _, s := range []stores.Ledger{a, b, a} {
		reservation := id()
		require.Nil(t, enter(t, s, k, reservation, time.Hour))
		leave(t, s, k, reservation, "")
	}
}

// orderForgotten sees that an order is remembered for its time from when it
// entered, and that its end does not prolong that.
func orderForgotten(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	const keep = 300 * time.Millisecond
	for _, outcome := range []string{"", "ok"} {
		k, before := key(), time.Now()
		require.Nil(t, enter(t, a, k, "A", keep))
		if outcome != "" {
			leave(t, a, k, "A", outcome)
		}
		require.Eventually(t, func() bool { return enter(t, b, k, "B", time.Hour) == nil }, 10*time.Second, time.Millisecond)
		assert.GreaterOrEqual(t, time.Since(before), keep-2*time.Millisecond)
		if outcome == "" {
			leave(t, a, k, "A", "ok") // too late
			assert.Equal(t, &stores.First{ID: "B", Outcome: stores.OutcomeRunning}, enter(t, a, k, "C", time.Hour))
		}
	}
}

func leftByAnother(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	require.Nil(t, enter(t, a, k, "A", time.Hour))
	require.Nil(t, enter(t, b, key(), "B", time.Hour))
	leave(t, b, k, "B", "")
	assert.Equal(t, &stores.First{ID: "A", Outcome: stores.OutcomeRunning}, enter(t, b, k, "C", time.Hour))
	leave(t, a, k, "A", "ok")
	leave(t, b, k, "A", "") // it has ended
	assert.Equal(t, &stores.First{ID: "A", Outcome: "ok"}, enter(t, b, k, "C", time.Hour))
}

func enterRace(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	var mu sync.Mutex
	entered, observed := make(map[string]bool), make(map[string]bool)
	var all sync.WaitGroup
	for i := range 40 {
		s, own := []stores.Ledger{a, b}[i%2], id()
		all.Go(func() {
			first := enter(t, s, k, own, time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				entered[own] = true
			} else {
				observed[first.ID] = true
			}
		})
	}
	all.Wait()
	assert.Len(t, entered, 1)
	assert.Equal(t, entered, observed, "the others learn who was first")
}

// holders takes an order for a lock that many want: each holder must be alone.
func holders(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	k := key()
	var inside, rounds atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		s := []stores.Ledger{a, b}[i%2]
		all.Go(func() {
			for done := 0; done < 10; {
				own := id()
				if enter(t, s, k, own, time.Hour) != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				assert.EqualValues(t, 1, inside.Add(1))
				rounds.Add(1)
				inside.Add(-1)
				leave(t, s, k, own, "")
				done++
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 60, rounds.Load())
}

func ledgerGivenUp(t *testing.T, a, b stores.Ledger) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, reservation := key(), id()
	ok, err := a.Spend(ctx, k, reservation, amount(t, "1"), amount(t, "1"), time.Hour)
	if err != nil {
		assert.False(t, ok)
		require.Eventually(t, func() bool { _, ok := spend(t, b, k, "1", "1", time.Hour); return ok }, 10*time.Second, 10*time.Millisecond,
			"what may have been reserved is given back")
	} else {
		settle(t, a, k, reservation, true)
		mustSpend(t, b, k, "1", "1", true)
	}
	first, err := a.Enter(ctx, k+"order", reservation, time.Hour)
	if err != nil {
		assert.Nil(t, first)
		require.Eventually(t, func() bool { return enter(t, b, k+"order", "B", time.Hour) == nil }, 10*time.Second, 10*time.Millisecond)
	}
}
