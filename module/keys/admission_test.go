package keys

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A thousand forged notifications a second, each with a made-up reference, while
// the source takes 100 ms for each look: what the configuration names, and what
// has loaded, is refreshed as if nothing was.
func TestMadeUpReferencesDoNotDelayKnownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("pinned", "used")
		f.delay = 100 * time.Millisecond
		r := started(f, func(o *Options) { o.Refresh = time.Second; o.MaxStale = 3 * time.Second })
		defer r.Close()
		r.Pin("pinned")
		version(t, r, "used")
		var group sync.WaitGroup
		var most, waiting atomic.Int64
		for i := range 30_000 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // the client leaves
				defer cancel()
				waiting.Add(1)
				_, err := r.Get(ctx, "forged/"+strconv.Itoa(i))
				waiting.Add(-1)
				assert.Error(t, err)
			})
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
				most.Store(max(most.Load(), waiting.Load()))
				assert.Equal(t, "1", version(t, r, "pinned"))
				assert.Equal(t, "1", version(t, r, "used"))
				assert.LessOrEqual(t, r.first.count.Load(), int64(maxFirst))
			}
		}
		group.Wait()
		assert.LessOrEqual(t, most.Load(), int64(maxFirst+100))
		f.change(func() {
			forged := 0
			for _, call := range f.calls {
				if call != "pinned" && call != "used" {
					forged++
				}
			}
			assert.LessOrEqual(t, forged, firstParallel*10*31, "four at once, ten a second each")
			assert.LessOrEqual(t, f.most, firstParallel+2)
		})

		// Nothing is left behind for the source to do.
		time.Sleep(time.Second)
		assert.Zero(t, r.first.count.Load())
		assert.EqualValues(t, 2, r.count.Load())
	})
}

func TestLoadThatNobodyWaitsForIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.delay = 10 * time.Second
		r := started(f)
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() { _, _ = r.Get(ctx, strconv.Itoa(i)) })
		}
		synctest.Wait()
		cancel()
		group.Wait()
		time.Sleep(time.Minute)
		assert.Equal(t, firstParallel, f.count(), "those that had begun")
		assert.Zero(t, r.count.Load())
	})
}

func TestFirstLoadsAreBoundedInRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := started(f)
		defer r.Close()
		start := time.Now()
		for i := range firstBurst + 2*firstRate {
			_, err := r.Get(t.Context(), strconv.Itoa(i))
			require.ErrorIs(t, err, ErrUnknown)
		}
		assert.InDelta(t, 2, time.Since(start).Seconds(), 0.1)
	})
}

// A pin is always admitted, also while requests name more than is allowed.
func TestPinIsAdmittedBesideMadeUpReferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("pinned")
		f.delay = time.Second
		r := started(f)
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range maxFirst {
			group.Go(func() { _, _ = r.Get(ctx, strconv.Itoa(i)) })
		}
		synctest.Wait()
		_, err := r.Get(ctx, "one more")
		require.ErrorIs(t, err, ErrNotLoaded)
		assert.ErrorContains(t, err, "too many references")
		r.Pin("pinned")
		time.Sleep(time.Second + time.Millisecond)
		assert.True(t, r.Usable("pinned"))
		cancel()
		group.Wait()
	})
}

// A set that cannot be read answers at once, until somebody has changed it.
func TestBrokenSetAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("a")
		f.err = fmt.Errorf("looking: %w", &BrokenError{errAway})
		r := started(f)
		defer r.Close()
		r.Pin("a")
		start := time.Now()
		for range 10 {
			_, err := r.Get(t.Context(), "a")
			require.ErrorIs(t, err, ErrNotLoaded)
			require.ErrorIs(t, err, errAway, "the error says why")
		}
		assert.Zero(t, time.Since(start))
		f.change(func() { f.err = nil })
		time.Sleep(minBackoff)
		assert.Equal(t, "1", version(t, r, "a"))
	})
}
