package app

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPercent(t *testing.T) {
	for inUse, want := range map[uint64]int{
		0: 800, 3 << 20: 800, 4 << 20: 400, 5 << 20: 400, 10 << 20: 266, 28 << 20: 100, 60 << 20: 50, 1020 << 20: 3, 1 << 40: 1,
	} {
		assert.Equal(t, want, percent(inUse, 0), inUse)
		assert.Equal(t, want, percent(inUse, slack), inUse)
	}
	assert.Equal(t, 100, percent(252<<20, 256<<20), "all of it is looked at")
	assert.Equal(t, 25, percent(252<<20, 64<<20), "the rest are bodies")
}

// What a collection looks at includes the stacks: those of exchanges that wait
// are most of it.
func TestStacksAreLookedAt(t *testing.T) {
	runtime.GC()
	inUse, before := heap()
	assert.NotZero(t, inUse)
	assert.NotZero(t, before)
	const goroutines, depth = 64, 100
	ready, end := make(chan struct{}), make(chan struct{})
	var down func(n int) byte
	down = func(n int) byte { // a KiB of stack for each
		var room [1 << 10]byte
		if n == 0 {
			ready <- struct{}{}
			<-end
			return 0
		}
		room[n] = down(n - 1)
		return room[n/2]
	}
	for range goroutines {
		go down(depth)
	}
	for range goroutines {
		<-ready
	}
	runtime.GC()
	_, after := heap()
	close(end)
	assert.Greater(t, after, before+goroutines*depth<<10*3/4)
}

// collected is the percentage that stands after a collection, and what follows it.
func collected() uint64 {
	runtime.GC()
	time.Sleep(5 * time.Millisecond) // finalizers have a goroutine of their own
	return gcPercent()
}

// asGoCollects undoes what the tests are run with.
func asGoCollects(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(usualPercent)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

func TestSpendMemory(t *testing.T) {
	asGoCollects(t)
	stays := func(want int, why string) {
		t.Helper()
		for range 3 {
			assert.EqualValues(t, want, collected(), why)
		}
	}
	grows := func() {
		t.Helper()
		require.Eventually(t, func() bool { return collected() > usualPercent }, 10*time.Second, time.Millisecond)
	}
	first := spendMemory()
	grows()
	second := spendMemory() // a reload: the next configuration starts before this one stops
	first()
	first()
	grows()
	second()
	stays(usualPercent, "nobody uses the sidecar")
	third := spendMemory()
	grows()
	third()
	fourth := spendMemory() // while the end of the next collection is still looked for
	grows()
	fourth()
	stays(usualPercent, "nobody uses the sidecar any more")
}

// Where the endpoints of a new configuration fail, Caddy cleans its apps up and
// stops none of them.
func TestCleanupStops(t *testing.T) {
	asGoCollects(t)
	require.NoError(t, new(App).Cleanup())
	a := new(App)
	require.NoError(t, a.Start())
	require.Eventually(t, func() bool { return collected() > usualPercent }, 10*time.Second, time.Millisecond)
	require.NoError(t, a.Cleanup())
	require.NoError(t, a.Stop())
	for range 3 {
		assert.EqualValues(t, usualPercent, collected())
	}
}

func TestSpendMemoryOfOthers(t *testing.T) {
	asGoCollects(t)
	t.Setenv("GOGC", "100")
	stop := spendMemory()
	for range 3 {
		assert.EqualValues(t, usualPercent, collected(), "GOGC is the operator's")
	}
	stop()
	t.Setenv("GOGC", "")
	debug.SetGCPercent(77)
	stop = spendMemory()
	for range 3 {
		assert.EqualValues(t, 77, collected(), "somebody has set it")
	}
	stop()
	assert.EqualValues(t, 77, collected())
}

func TestAfterEachCollection(t *testing.T) {
	const wanted = 3
	var calls atomic.Int32
	afterEachCollection(func() bool { return calls.Add(1) < wanted })
	require.Eventually(t, func() bool {
		runtime.GC()
		return calls.Load() == wanted
	}, 10*time.Second, time.Millisecond)
	for range 3 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	assert.EqualValues(t, wanted, calls.Load())
}
