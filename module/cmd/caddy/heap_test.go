package main

import (
	"runtime"
	"runtime/debug"
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

func TestSpendMemory(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	current := func() int {
		runtime.GC()
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	t.Setenv("GOGC", "100")
	spendMemory()
	for range 3 {
		assert.Equal(t, 100, current(), "GOGC is the operator's")
		time.Sleep(5 * time.Millisecond) // finalizers have a goroutine of their own
	}
	t.Setenv("GOGC", "")
	spendMemory()
	require.Eventually(t, func() bool { return current() > 100 }, 10*time.Second, 5*time.Millisecond)
}

func TestAfterEachCollection(t *testing.T) {
	collected := make(chan struct{}, 100)
	afterEachCollection(func() { collected <- struct{}{} })
	for range 3 {
		runtime.GC()
		select {
		case <-collected:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was called after a collection")
		}
	}
}
