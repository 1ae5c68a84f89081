package proxy

import (
	"context"
	"net"
	"runtime"
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
	all := left(processors())
	for name, c := range map[string]struct {
		e     *exchange
		roles []keys.Role
		takes int
	}{"a digest": {local, digests, 0}, "a key that is elsewhere": {remote, signs, 0}, "a private key": {local, signs, 1}} {
		end, p := c.e.turn(t.Context(), c.roles)
		require.Nil(t, p, name)
		assert.Equal(t, all-c.takes, left(processors()), name)
		end()
		_, p = c.e.turn(gone, c.roles)
		require.NotNil(t, p, "%s: nobody waits for it any more", name)
		assert.Equal(t, problem.Overloaded, p.Reason, name)
		assert.Equal(t, problem.NotSent, p.Outcome(), name)
		assert.Equal(t, all, left(processors()), name)
	}
	for range all {
		require.True(t, processors().take(t.Context(), time.Second))
		t.Cleanup(processors().give)
	}
	_, p := local.turn(t.Context(), signs)
	require.NotNil(t, p, "it was nobody's turn in time")
	assert.Equal(t, problem.Overloaded, p.Reason)
	assert.NotContains(t, p.Detail, "client")
}

func TestWhoComesNext(t *testing.T) {
	for name, c := range map[string]struct {
		waited time.Duration
		order  [2]int
	}{"as they came": {0, [2]int{0, 2}}, "the latest first": {patience, [2]int{2, 0}}} {
		t.Run(name, func(t *testing.T) {
			turns := newTurns(1)
			require.True(t, turns.take(t.Context(), time.Minute))
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
				require.Eventually(t, func() bool { return inLine(turns) == n+1 }, 5*time.Second, time.Millisecond)
			}
			leave[1]()
			assert.Equal(t, -1, <-served)
			assert.Equal(t, 2, inLine(turns), "nothing is left of who went away")
			turns.mu.Lock()
			first := turns.waiting.Front().Value.(*place)
			first.since = first.since.Add(-c.waited)
			turns.mu.Unlock()
			for _, next := range c.order {
				turns.give()
				assert.Equal(t, next, <-served)
			}
			turns.give()
			assert.Equal(t, 1, left(turns))
		})
	}
}

// However clients come and go, no more than there are turns hold one, and none
// is lost.
func TestNoTurnIsLost(t *testing.T) {
	const free = 3
	turns := newTurns(free)
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
	require.Eventually(t, func() bool { return left(turns) == free }, 5*time.Second, time.Millisecond)
	assert.Zero(t, turns.waiting.Len())
}

// While one after another computes, what comes from the network is not left to
// lie: Go itself would look for it when all are done, or after 10 ms. Now and then it
// does so at the right moment, and now and then the system is late.
func TestTheNetworkComesBeforeTheNextTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	answers, provider := tcpPair(t)
	good := 0
	for range 40 {
		if turnsBeforeAnAnswer(t, answers, provider) == 1 {
			if good++; good == 15 {
				return
			}
		}
	}
	t.Fatalf("the answer came before the second turn %d times in 40", good)
}

// turnsBeforeAnAnswer is how many of six who wait for their turn have had it when an
// answer is looked at that came while the first had its own.
func turnsBeforeAnAnswer(t *testing.T, answers, provider net.Conn) int64 {
	const all = 6
	turns := newTurns(1)
	var had, before atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := answers.Read(make([]byte, 1))
		before.Store(had.Load())
		assert.NoError(t, err)
	})
	require.True(t, turns.take(t.Context(), time.Minute))
	for range all {
		wg.Go(func() {
			assert.True(t, turns.take(t.Context(), time.Minute))
			if had.Load() == 0 {
				_, err := provider.Write([]byte{1})
				assert.NoError(t, err)
			}
			for start := time.Now(); time.Since(start) < quiet*5/4; { //nolint:revive // it computes
			}
			had.Add(1)
			turns.give()
		})
	}
	require.Eventually(t, func() bool { return inLine(turns) == all }, 5*time.Second, time.Millisecond)
	turns.give()
	wg.Wait()
	return before.Load()
}

// inLine is how many wait for their turn.
func inLine(turns *turns) int {
	turns.mu.Lock()
	defer turns.mu.Unlock()
	return turns.waiting.Len()
}

// left is how many turns nobody has.
func left(turns *turns) int {
	turns.mu.Lock()
	defer turns.mu.Unlock()
	return turns.free
}

// Those who want a turn at the same time stand in line before the first of them
// computes.
func TestAllStandInLine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const all = 6
	turns := newTurns(1)
	var most atomic.Int64
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			assert.True(t, turns.take(t.Context(), time.Minute))
			if n := int64(inLine(turns)); n > most.Load() {
				most.Store(n)
			}
			turns.give()
		})
	}
	wg.Wait()
	assert.GreaterOrEqual(t, most.Load(), int64(all/2), "how many stood there, unless the system interfered")
}

func tcpPair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nobody else comes
	one, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = one.Close() })
	other, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	return one, other
}

func TestABell(t *testing.T) {
	rung := make(chan struct{}, 1)
	b := newBell(func() { rung <- struct{}{} })
	require.True(t, b.ring())
	<-rung
	b.rung = time.Now().Add(time.Minute)
	assert.False(t, b.ring(), "it was rung a moment ago")
	b.rung = time.Time{}
	require.NoError(t, b.pipe.Close())
	assert.False(t, b.ring(), "it is broken")
	assert.False(t, (*bell)(nil).ring(), "there is none")
	assert.Empty(t, rung)
}
