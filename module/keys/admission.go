package keys

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of first loads. A notification names its reference before anything
// of it is verified, so that anybody can have made-up references looked for.
const (
	maxFirst      = 512 // references at once that only requests have named and that never loaded
	firstParallel = 4   // loads of them at once
	firstRate     = 100 // loads of them a second
	firstBurst    = 100 // loads of them that may come at once
)

// admission bounds the loads of references that only requests have named and that never
// loaded. Known sets have separate slots, which these loads cannot use.
type admission struct {
	count atomic.Int64
	slots chan struct{}
	every time.Duration // between two loads, on average

	mu   sync.Mutex
	next time.Time // when the next load would begin without a burst
}

func newAdmission() *admission {
	return &admission{slots: make(chan struct{}, firstParallel), every: time.Second / firstRate}
}

func (a *admission) full() bool { return a.count.Load() >= maxFirst }

// wait waits until firstRate allows one more load. It returns false where gone
// is closed or ctx ends first.
func (a *admission) wait(ctx context.Context, gone <-chan struct{}) bool {
	a.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-firstBurst * a.every); a.next.Before(earliest) {
		a.next = earliest
	}
	a.next = a.next.Add(a.every)
	pause := a.next.Sub(now)
	a.mu.Unlock()
	if pause <= 0 {
		return true
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	case <-ctx.Done():
		return false
	}
}
