package keys

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
