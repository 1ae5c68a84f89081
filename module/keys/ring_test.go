package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of the ring run in a bubble with a clock of its own: what takes
// minutes takes no time, and a goroutine that is left over fails the test.

var errAway = errors.New("the source is away")

// fake is a source that a test changes while it serves.
type fake struct {
	mu    sync.Mutex
	sets  map[string]string // reference -> version
	err   error
	delay time.Duration

	calls   []string // references in the order in which they were asked for
	at      []time.Duration
	born    time.Time
	running int
	most    int
}

func newFake(references ...string) *fake {
	f := &fake{sets: make(map[string]string), born: time.Now()}
	for _, r := range references {
		f.sets[r] = "1"
	}
	return f
}

func (f *fake) Load(ctx context.Context, reference string, previous *Set) (*Set, error) {
	f.mu.Lock()
	f.calls = append(f.calls, reference)
	f.at = append(f.at, time.Since(f.born))
	f.running++
	f.most = max(f.most, f.running)
	delay := f.delay
	f.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	version, ok := f.sets[reference]
	if !ok {
		return nil, fmt.Errorf("looking for %s: %w", reference, ErrUnknown)
	}
	if previous != nil && previous.Version == version {
		return previous, nil
	}
	return &Set{Reference: reference, Version: version, Loaded: time.Now()}, nil
}

func (f *fake) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// started is a ring that refreshes each ten seconds.
func started(f *fake, change ...func(*Options)) *Ring {
	options := Options{Name: "test", Refresh: 10 * time.Second}
	for _, c := range change {
		c(&options)
	}
	r := NewRing(f, options)
	r.Start()
	return r
}

func version(t *testing.T, r *Ring, reference string) string {
	t.Helper()
	set, err := r.Get(t.Context(), reference)
	require.NoError(t, err)
	return set.Version
}

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
		for i := range maxUnknown + 500 {
			_, err := r.Get(t.Context(), strconv.Itoa(i))
			require.ErrorIs(t, err, ErrUnknown)
		}
		assert.Len(t, r.unknown, maxUnknown)
		assert.Zero(t, r.count.Load())
		time.Sleep(time.Minute)
		_, err := r.Get(t.Context(), "one more")
		require.ErrorIs(t, err, ErrUnknown)
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

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		var loads, looks atomic.Int64
		r := started(f, func(o *Options) {
			o.Loaded = func(*Set) { loads.Add(1) }
			o.Refreshed = func(_ string, err error) {
				assert.NoError(t, err)
				looks.Add(1)
			}
		})
		defer r.Close()
		old, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		assert.EqualValues(t, 1, loads.Load(), "nothing changed")
		assert.GreaterOrEqual(t, looks.Load(), int64(3), "and it was looked at")
		assert.Nil(t, r.Newer(old))

		f.change(func() { f.sets["a"] = "2" })
		time.Sleep(11*time.Second + time.Millisecond)
		assert.Equal(t, "2", version(t, r, "a"))
		assert.EqualValues(t, 2, loads.Load())
		assert.Equal(t, "1", old.Version, "a set is never changed")
		require.NotNil(t, r.Newer(old))
		assert.Equal(t, "2", r.Newer(old).Version)
		assert.Nil(t, r.Newer(&Set{Reference: "never asked for"}))
	})
}

// A source that fails keeps the last good set in use, is asked with back-off,
// and recovery is by itself.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := started(f, func(o *Options) { o.Refresh = time.Minute })
		defer r.Close()
		r.Pin("a")
		version(t, r, "a")
		f.change(func() { f.err = errAway })
		time.Sleep(10 * time.Minute)
		assert.Equal(t, "1", version(t, r, "a"), "the last good set serves on")

		f.mu.Lock()
		at := slices.Clone(f.at)
		f.mu.Unlock()
		var pauses []time.Duration
		for i := 2; i < len(at); i++ {
			pauses = append(pauses, at[i]-at[i-1])
		}
		require.Greater(t, len(pauses), 10)
		want := minBackoff
		for i, pause := range pauses {
			if i > 0 || want > 0 {
				assert.InDelta(t, want.Seconds(), pause.Seconds(), 0.11*want.Seconds(), "pause %d", i)
			}
			want = min(2*want, maxBackoff)
		}
		assert.Greater(t, len(slices.Compact(slices.Clone(pauses))), len(pauses)/2, "there is jitter in them")

		f.change(func() { f.err, f.sets["a"] = nil, "2" })
		time.Sleep(maxBackoff * 11 / 10)
		assert.Equal(t, "2", version(t, r, "a"))
	})
}

func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := started(f, func(o *Options) { o.MaxStale = time.Minute })
		defer r.Close()
		f.change(func() { f.sets[""] = "1" })
		r.Pin("a")
		r.Pin("")
		version(t, r, "a")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, "1", version(t, r, "a"), "a set that is confirmed does not grow old")
		assert.LessOrEqual(t, r.Age(), 11*time.Second)

		f.change(func() { f.err = errAway })
		time.Sleep(48 * time.Second)
		assert.Equal(t, "1", version(t, r, "a"))
		assert.True(t, r.Usable("a"))
		assert.True(t, r.Answering())
		time.Sleep(13 * time.Second)
		_, err := r.Get(t.Context(), "a")
		require.ErrorIs(t, err, ErrStale)
		assert.ErrorContains(t, err, `"a" was last confirmed by source "test"`)
		assert.False(t, r.Usable("a"))
		assert.False(t, r.Answering())
		assert.Greater(t, r.Age(), time.Minute)
		status := r.Status()
		require.Len(t, status, 1, "the source itself is no key set")
		assert.False(t, status[0].Usable)
		assert.Contains(t, status[0].Error, errAway.Error())

		f.change(func() { f.err = nil })
		time.Sleep(maxBackoff)
		assert.Equal(t, "1", version(t, r, "a"), "the same keys, confirmed again")
		assert.True(t, r.Answering())
		assert.Empty(t, r.Status()[0].Error)
	})
}

func TestWithoutMaxStaleNothingGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := started(f)
		defer r.Close()
		r.Pin("a")
		version(t, r, "a")
		f.change(func() { f.err = errAway })
		time.Sleep(100 * time.Hour)
		assert.Equal(t, "1", version(t, r, "a"))
		assert.True(t, r.Usable("a"))
	})
}

// A set that is gone at one look is being replaced; gone at two looks it was
// taken away.
func TestRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a", "pinned")
		r := started(f)
		defer r.Close()
		r.Pin("pinned")
		old, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		version(t, r, "pinned")

		for _, reference := range []string{"a", "pinned"} {
			// One look falls into the gap, the next finds the new set.
			f.change(func() { delete(f.sets, reference) })
			seen := func() (n int) {
				f.change(func() {
					for _, call := range f.calls {
						if call == reference {
							n++
						}
					}
				})
				return n
			}
			for before := seen(); seen() == before; {
				time.Sleep(10 * time.Millisecond)
			}
			assert.Equal(t, "1", version(t, r, reference), "it serves on")
			f.change(func() { f.sets[reference] = "2" })
			time.Sleep(time.Second)
			assert.Equal(t, "2", version(t, r, reference))
		}

		f.change(func() { delete(f.sets, "a"); delete(f.sets, "pinned") })
		time.Sleep(30 * time.Second)
		_, err = r.Get(t.Context(), "a")
		require.ErrorIs(t, err, ErrUnknown)
		_, err = r.Get(t.Context(), "pinned")
		require.ErrorIs(t, err, ErrUnknown)
		assert.False(t, r.Usable("pinned"))
		assert.Nil(t, r.lookup("a"))
		require.NotNil(t, r.lookup("pinned"), "the configuration still names it")
		assert.Equal(t, "1", old.Version, "what a request holds stays usable")

		f.change(func() { f.sets["pinned"] = "3" })
		time.Sleep(11 * time.Second)
		assert.Equal(t, "3", version(t, r, "pinned"))
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

func TestRefreshNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a", "b")
		r := started(f, func(o *Options) { o.Refresh = time.Hour })
		defer r.Close()
		version(t, r, "a")
		version(t, r, "b")
		f.change(func() { f.sets["a"], f.delay = "2", 3*time.Second })
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, "2", version(t, r, "a"))

		// A load that began before the call does not count.
		r.lookup("a").mu.Lock()
		r.lookup("a").next = time.Now()
		r.lookup("a").mu.Unlock()
		r.nudge()
		time.Sleep(time.Second)
		before := f.count()
		f.change(func() { f.sets["a"] = "3" })
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, before+2, f.count(), "one for each, and the one of a had begun before")
		assert.Equal(t, "3", version(t, r, "a"))

		f.change(func() { f.err, f.delay = errAway, 0 })
		err := r.Refresh(t.Context())
		require.ErrorIs(t, err, errAway)
		assert.ErrorContains(t, err, `refreshing "a" from source "test"`)
		assert.ErrorContains(t, err, `refreshing "b" from source "test"`)

		f.change(func() { f.err, f.delay = nil, time.Hour })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Refresh(ctx), context.DeadlineExceeded)
	})
}

// What a request once named, and never loaded, does not fail a refresh.
func TestRefreshNowMindsWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		r := started(f, func(o *Options) { o.Refresh = time.Hour })
		defer r.Close()
		version(t, r, "a")
		f.change(func() { f.err = errAway })
		_, err := r.Get(t.Context(), "never")
		require.ErrorIs(t, err, ErrNotLoaded)
		err = r.Refresh(t.Context())
		assert.ErrorContains(t, err, `refreshing "a" from`, "it has loaded before")
		assert.NotContains(t, err.Error(), "never")
		r.Pin("never")
		assert.ErrorContains(t, r.Refresh(t.Context()), `refreshing "never" from`, "the configuration names it")
	})
}

func TestLoadsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.delay = time.Second
		for i := range 50 {
			f.sets[strconv.Itoa(i)] = "1"
		}
		r := started(f)
		defer r.Close()
		for i := range 50 {
			r.Pin(strconv.Itoa(i))
		}
		time.Sleep(9 * time.Second)
		f.change(func() { assert.Equal(t, parallel, f.most) })
		assert.Len(t, r.Status(), 50)
		for _, s := range r.Status() {
			assert.True(t, s.Usable)
		}
	})
}

func TestOneLoadCannotTakeForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.delay = time.Hour
		r := started(f)
		defer r.Close()
		r.Pin("a")
		time.Sleep(time.Second)
		f.change(func() { f.delay = 0 })
		time.Sleep(loadTimeout + time.Second)
		assert.Equal(t, "1", version(t, r, "a"))
	})
}

// After Close nothing runs, and those who wait are told. The bubble fails if a
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

func TestAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := started(f)
		defer r.Close()
		assert.False(t, r.Answering(), "it was never asked")
		f.err = errAway
		r.Pin("")
		time.Sleep(time.Second)
		assert.False(t, r.Answering())
		assert.InDelta(t, 1, r.Age().Seconds(), 0.1, "what never loaded grows old as well")
		f.change(func() { f.err, f.sets[""] = nil, "1" })
		time.Sleep(maxBackoff)
		assert.True(t, r.Answering())
		assert.Less(t, r.Age(), 11*time.Second)
		assert.Empty(t, r.Status(), "the source itself is no key set")
	})
	synctest.Test(t, func(t *testing.T) {
		r := started(newFake())
		defer r.Close()
		_, err := r.Get(t.Context(), "nobody")
		require.ErrorIs(t, err, ErrUnknown)
		assert.True(t, r.Answering(), "saying that there is no such set is an answer")
		assert.Zero(t, r.Age())
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
