package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

func TestTurn(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	transport := &Transport{Timeout: caddy.Duration(10 * time.Millisecond)}
	local := &exchange{t: transport, keys: &keys.Set{Sign: new(keys.PrivateKey), Secret: new(keys.Secret)}}
	remote := &exchange{t: transport, keys: &keys.Set{Sign: &keys.PrivateKey{Remote: true}}}
	signs, digests := []keys.Role{keys.Sign, keys.Verify}, []keys.Role{keys.SharedSecret}
	all := processors().free
	for name, c := range map[string]struct {
		e     *exchange
		roles []keys.Role
		takes int
	}{"a digest": {local, digests, 0}, "a key that is elsewhere": {remote, signs, 0}, "a private key": {local, signs, 1}} {
		end, p := c.e.turn(t.Context(), c.roles)
		require.Nil(t, p, name)
		assert.Equal(t, all-c.takes, processors().free, name)
		end()
		_, p = c.e.turn(gone, c.roles)
		require.NotNil(t, p, "%s: nobody waits for it any more", name)
		assert.Equal(t, problem.Overloaded, p.Code, name)
		assert.Equal(t, problem.NotSent, p.Outcome(), name)
		assert.Equal(t, all, processors().free, name)
	}
	for range all {
		require.True(t, processors().take(t.Context(), time.Second))
		t.Cleanup(processors().give)
	}
	_, p := local.turn(t.Context(), signs)
	require.NotNil(t, p, "it was nobody's turn in time")
	assert.Equal(t, problem.Overloaded, p.Code)
	assert.NotContains(t, p.Detail, "client")
}

func TestWhoComesNext(t *testing.T) {
	for name, c := range map[string]struct {
		waited time.Duration
		order  [2]int
	}{"as they came": {0, [2]int{0, 2}}, "the latest first": {patience, [2]int{2, 0}}} {
		t.Run(name, func(t *testing.T) {
			turns := &turns{free: 1}
			require.True(t, turns.take(t.Context(), time.Minute))
			waiting := func() int {
				turns.mu.Lock()
				defer turns.mu.Unlock()
				return turns.waiting.Len()
			}
			served := make(chan int, 3)
			var leave [3]context.CancelFunc
			for n := range 3 {
				var ctx context.Context
				ctx, leave[n] = context.WithCancel(t.Context())
				defer leave[n]()
				go func() {
					if turns.take(ctx, time.Minute) {
						served <- n
					} else {
						served <- -1
					}
				}()
				require.Eventually(t, func() bool { return waiting() == n+1 }, 5*time.Second, time.Millisecond)
			}
			leave[1]()
			assert.Equal(t, -1, <-served)
			assert.Equal(t, 2, waiting(), "nothing is left of who went away")
			turns.mu.Lock()
			first := turns.waiting.Front().Value.(*place)
			first.since = first.since.Add(-c.waited)
			turns.mu.Unlock()
			for _, next := range c.order {
				turns.give()
				assert.Equal(t, next, <-served)
			}
			turns.give()
			assert.Equal(t, 1, turns.free)
		})
	}
}

// However clients come and go, no more than there are turns hold one, and none
// is lost.
func TestNoTurnIsLost(t *testing.T) {
	const free = 3
	turns := &turns{free: free}
	var holding, most atomic.Int64
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration((n*i)%7)*10*time.Microsecond)
				if turns.take(ctx, time.Minute) {
					if now := holding.Add(1); now > most.Load() {
						most.Store(now)
					}
					time.Sleep(time.Duration(i%3) * 10 * time.Microsecond)
					holding.Add(-1)
					turns.give()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(free))
	assert.Equal(t, free, turns.free)
	assert.Zero(t, turns.waiting.Len())
}
