package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// started returns a ring that refreshes each ten seconds.
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
