package keys

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of the ring run in a bubble with a clock of its own: what takes
// minutes takes no time, and a goroutine that is left over fails the test.

func TestOneLoadForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.delay = 3 * time.Second
		r := started(f)
		defer r.Close()
		var group sync.WaitGroup
		sets := make([]*Set, 100)
		for i := range sets {
			group.Go(func() { sets[i], _ = r.Get(t.Context(), "a") })
		}
		start := time.Now()
		group.Wait()
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, 1, f.count())
		for _, set := range sets {
			require.NotNil(t, set)
			assert.Same(t, sets[0], set)
		}
		set, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Same(t, sets[0], set)
		assert.Equal(t, 1, f.count(), "a set that is there is not asked for")
	})
}

func TestWaitEndsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.delay = 8 * time.Second
		r := started(f)
		defer r.Close()
		start := time.Now()
		_, err := r.Get(t.Context(), "a")
		require.ErrorIs(t, err, ErrNotLoaded)
		assert.ErrorContains(t, err, `source "test"`)
		assert.Equal(t, WaitForLoad, time.Since(start))
		_, err = r.Get(t.Context(), "a")
		require.ErrorIs(t, err, ErrNotLoaded, "nobody waits anew for a source that does not answer")
		assert.Equal(t, WaitForLoad, time.Since(start))
		time.Sleep(4 * time.Second)
		assert.Equal(t, "1", version(t, r, "a"), "it heals by itself")
	})
}

func TestWaitOutlastsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.err = errAway
		r := started(f)
		defer r.Close()
		time.AfterFunc(3*time.Second, func() { f.change(func() { f.err = nil }) })
		assert.Equal(t, "1", version(t, r, "a"))
		assert.Greater(t, f.count(), 2)

		f.change(func() { f.err = errAway })
		_, err := r.Get(t.Context(), "b")
		require.ErrorIs(t, err, ErrNotLoaded)
		assert.ErrorIs(t, err, errAway, "the error says why")
	})
}

func TestWaitEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.delay = time.Hour
		r := started(f)
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.Get(ctx, "a")
		require.ErrorIs(t, err, ErrNotLoaded)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestGetWaitsForStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := NewRing(f, Options{Name: "test", Refresh: 10 * time.Second})
		defer r.Close()
		time.AfterFunc(2*time.Second, func() {
			assert.Zero(t, f.count(), "nothing is asked before Start")
			r.Start()
			r.Start()
		})
		assert.Equal(t, "1", version(t, r, "a"))
		assert.Equal(t, 1, f.count())
	})
}

func TestUnknownIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := started(f)
		defer r.Close()
		start := time.Now()
		for range 100 {
			_, err := r.Get(t.Context(), "nobody")
			require.ErrorIs(t, err, ErrUnknown)
			assert.ErrorContains(t, err, `"nobody" in source "test"`)
		}
		assert.Zero(t, time.Since(start), "nobody waits for a set that is not there")
		assert.Equal(t, 1, f.count())
		assert.Zero(t, r.count.Load())

		time.Sleep(unknownFor - time.Millisecond)
		_, err := r.Get(t.Context(), "nobody")
		require.ErrorIs(t, err, ErrUnknown)
		assert.Equal(t, 1, f.count(), "it is not looked for in the meantime")

		f.change(func() { f.sets["nobody"] = "1" })
		time.Sleep(2 * time.Millisecond)
		assert.Equal(t, "1", version(t, r, "nobody"), "it was added since")
	})
}

func TestUnknownMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := started(newFake())
		defer r.Close()
		r.first.every = 0
		for i := range maxUnknown + 500 {
			_, err := r.Get(t.Context(), strconv.Itoa(i))
			require.ErrorIs(t, err, ErrUnknown)
		}
		synctest.Wait() // it is remembered after the one who waits has its answer
		assert.Len(t, r.unknown, maxUnknown)
		assert.Zero(t, r.count.Load())
		time.Sleep(time.Minute)
		_, err := r.Get(t.Context(), "one more")
		require.ErrorIs(t, err, ErrUnknown)
		synctest.Wait()
		assert.Len(t, r.unknown, 1, "what was remembered long enough is let go")
	})
}

func TestSetsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("pinned")
		for i := range MaxSets + 10 {
			f.sets[strconv.Itoa(i)] = "1"
		}
		r := started(f, func(o *Options) { o.Refresh = time.Hour })
		defer r.Close()
		r.first.every = 0
		r.Pin("pinned")
		for i := range MaxSets - 1 {
			require.Equal(t, "1", version(t, r, strconv.Itoa(i)))
			time.Sleep(time.Microsecond)
		}
		assert.EqualValues(t, MaxSets, r.count.Load())
		require.Equal(t, "1", version(t, r, "0")) // no longer the one unused for longest
		time.Sleep(time.Microsecond)
		asked := f.count()
		for i := MaxSets - 1; i < MaxSets+9; i++ {
			require.Equal(t, "1", version(t, r, strconv.Itoa(i)))
		}
		assert.EqualValues(t, MaxSets, r.count.Load())
		assert.Len(t, slices.Collect(maps.Keys(maps.Collect(r.entries.Range))), MaxSets)
		assert.NotNil(t, r.lookup("pinned"), "what the configuration names stays")
		assert.NotNil(t, r.lookup("0"))
		for i := 1; i <= 10; i++ {
			assert.Nil(t, r.lookup(strconv.Itoa(i)), "%d was unused for longest", i)
		}
		assert.NotNil(t, r.lookup("11"))
		assert.Equal(t, asked+10, f.count())
		assert.Equal(t, "1", version(t, r, "1"), "it comes back when it is asked for")
	})
}

func TestIdleSetsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("pinned", "used", "idle")
		r := started(f, func(o *Options) { o.Refresh = time.Minute })
		defer r.Close()
		r.Pin("pinned")
		version(t, r, "idle")
		for range 35 {
			version(t, r, "used")
			time.Sleep(time.Minute)
		}
		assert.Nil(t, r.lookup("idle"))
		assert.NotNil(t, r.lookup("used"))
		assert.True(t, r.Usable("pinned"))
		r.Unpin("pinned")
		time.Sleep(2 * time.Minute)
		assert.Nil(t, r.lookup("pinned"), "nobody needs it any more")
		assert.EqualValues(t, 1, r.count.Load())
	})
}

// Two configurations that overlap in a reload pin the same reference.
func TestPinsOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := started(f, func(o *Options) { o.Refresh = time.Minute })
		defer r.Close()
		r.Pin("a")
		version(t, r, "a")
		r.Pin("a")
		r.Unpin("a")
		r.Unpin("never pinned")
		time.Sleep(2 * time.Hour)
		assert.True(t, r.Usable("a"))
		assert.True(t, r.Status()[0].Configured)
		r.Unpin("a")
		assert.False(t, r.Status()[0].Configured)
		assert.True(t, r.Usable("a"), "it is let go when it was idle for long, not at once")
	})
}

// After Close nothing runs, and those who wait get an error. The bubble fails if a
// goroutine is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a", "slow")
		r := started(f)
		held, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		f.change(func() { f.delay = time.Hour })
		r.Pin("slow")
		var group sync.WaitGroup
		group.Go(func() {
			_, err := r.Get(t.Context(), "slow")
			assert.ErrorIs(t, err, ErrNotLoaded)
			assert.ErrorContains(t, err, "closed")
		})
		group.Go(func() {
			assert.Error(t, r.Refresh(t.Context()), "it ends, and says that nothing was refreshed")
		})
		synctest.Wait()
		r.Close()
		group.Wait()
		assert.Equal(t, "1", held.Version)
		asked := f.count()
		_, err = r.Get(t.Context(), "never asked for")
		require.ErrorIs(t, err, ErrNotLoaded)
		require.Error(t, r.Refresh(t.Context()))
		r.Start()
		r.Close()
		time.Sleep(time.Hour)
		assert.Equal(t, asked, f.count())
	})
}

func TestCloseBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(newFake("a"), Options{Refresh: time.Second})
		r.Pin("a")
		r.Close()
	})
}

// All at once, for the race detector.
func TestConcurrency(t *testing.T) {
	f := newFake()
	for i := range 20 {
		f.sets[strconv.Itoa(i)] = "1"
	}
	r := started(f, func(o *Options) { o.Refresh = time.Millisecond; o.MaxStale = time.Minute })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				reference := strconv.Itoa((i + g) % 25)
				set, err := r.Get(t.Context(), reference)
				switch {
				case err == nil:
					assert.Equal(t, reference, set.Reference)
					_ = r.Newer(set)
				case (i+g)%25 < 20:
					assert.NoError(t, err)
				default:
					assert.ErrorIs(t, err, ErrUnknown)
				}
				switch i % 50 {
				case 0:
					r.Pin(reference)
					f.change(func() { f.sets["3"] = strconv.Itoa(i) })
				case 1:
					r.Unpin(strconv.Itoa((i + g - 1) % 25))
				case 2:
					r.Status()
					r.Age()
				case 3:
					_ = r.Refresh(ctx)
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	group.Wait()
	r.Close()
}
