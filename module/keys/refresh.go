package keys

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// run loads each reference when it is due. It goes through all references each time and
// takes together those that are due at nearly the same time: a pass for each of a
// thousand sets would cost more than the loads.
func (r *Ring) run() {
	together := min(r.options.Refresh/20, 50*time.Millisecond)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		r.due.Store(math.MaxInt64) // a load that ends now must wake run
		now := time.Now()
		next := now.Add(time.Minute)
		for _, v := range r.entries.Range {
			e := v.(*entry)
			e.mu.Lock()
			switch {
			case e.running:
			case e.pins == 0 && e.idle(now):
				r.drop(e)
			case !e.next.After(now):
				r.begin(e)
			case e.next.Before(next):
				next = e.next
			}
			e.mu.Unlock()
		}
		r.due.Store(next.UnixNano())
		timer.Reset(max(time.Until(next), together))
	}
}

// begin loads e, unless the ring is closed or was not started. It is called with e.mu
// locked.
func (r *Ring) begin(e *entry) {
	r.life.RLock()
	defer r.life.RUnlock()
	if r.started && r.ctx.Err() == nil {
		e.running = true
		r.done.Go(func() { r.load(r.ctx, e) })
	}
}

// idle reports whether no request has used e for idleFor, or for idleFirst if it never
// loaded. It is called with e.mu locked.
func (e *entry) idle(now time.Time) bool {
	unused := now.UnixNano() - e.used.Load()
	return unused > int64(idleFor) || e.first && e.waiters == 0 && unused > int64(idleFirst)
}

// load loads one reference once. The caller has set e.running.
func (r *Ring) load(ctx context.Context, e *entry) {
	release, ok := r.acquire(ctx, e)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	previous := e.set.Load()
	set, err := r.source.Load(ctx, e.reference, previous)
	cancel()
	release()
	if r.ctx.Err() == nil {
		r.settle(e, previous, set, err)
	}
}

// acquire waits until e may be loaded. It returns false where e was dropped or
// the ring closed first.
func (r *Ring) acquire(ctx context.Context, e *entry) (release func(), ok bool) {
	e.mu.Lock()
	first := e.first
	e.queued = true
	e.mu.Unlock()
	slots := r.slots
	if first {
		slots = r.first.slots
	}
	select {
	case slots <- struct{}{}:
	case <-e.gone:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
	release = func() { <-slots }
	if first && !r.first.wait(ctx, e.gone) {
		release()
		return nil, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queued = false
	if e.dropped {
		release()
		return nil, false
	}
	return release, true
}

// settle records what a load brought and wakes those who wait for it.
func (r *Ring) settle(e *entry, previous, set *Set, err error) {
	now := time.Now()
	if err == nil || errors.Is(err, ErrUnknown) {
		r.answered.Store(now.UnixNano())
	}
	e.mu.Lock()
	e.err = err
	forget := false
	switch {
	case err == nil:
		e.failures, e.missing = 0, 0
		r.known(e)
		e.confirmed.Store(now.UnixNano())
		e.set.Store(set)
		e.next = now.Add(Jitter(r.options.Refresh))
	case errors.Is(err, ErrUnknown) && previous == nil:
		e.next = now.Add(Jitter(min(r.options.Refresh, unknownFor)))
		forget = e.pins == 0
	case errors.Is(err, ErrUnknown) && e.missing > 0:
		// Twice in a row: the set was taken away, not just replaced.
		e.set.Store(nil)
		e.next = now.Add(Jitter(min(r.options.Refresh, unknownFor)))
		forget = e.pins == 0
	default:
		if errors.Is(err, ErrUnknown) {
			e.missing++
		}
		backoff := min(minBackoff<<min(e.failures, 10), maxBackoff, max(r.options.Refresh, minBackoff))
		e.failures++
		e.next = now.Add(Jitter(backoff))
	}
	e.running = false
	waiting := e.attempt
	e.attempt = make(chan struct{})
	if e.next.UnixNano() < r.due.Load() {
		r.nudge()
	}
	e.mu.Unlock()
	if forget {
		r.forget(e)
	}
	close(waiting)
	if r.options.Refreshed != nil {
		r.options.Refreshed(e.reference, err)
	}
	if err == nil && set != previous && r.options.Loaded != nil {
		r.options.Loaded(set)
	}
	if used := e.set.Load(); used != nil && r.options.Looked != nil {
		r.options.Looked(used)
	}
}

// Refresh loads every reference now. It returns the errors of references that the
// configuration names or that have loaded before, and not of those that only a request
// has named and that never loaded.
func (r *Ring) Refresh(ctx context.Context) error {
	var (
		mu     sync.Mutex
		failed []error
		group  sync.WaitGroup
	)
	for _, v := range r.entries.Range {
		e := v.(*entry)
		group.Go(func() {
			if err := r.refreshOne(ctx, e); err != nil && e.matters() {
				mu.Lock()
				failed = append(failed, i18n.Errorf("refreshing %q from source %q: %w", e.reference, r.options.Name, err))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.SortFunc(failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(failed...)
}

func (e *entry) matters() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pins > 0 || e.set.Load() != nil
}

// refreshOne waits for a load of e that began after it was called. An entry that is
// dropped meanwhile has nothing to be refreshed.
func (r *Ring) refreshOne(ctx context.Context, e *entry) error {
	e.mu.Lock()
	if e.running {
		attempt := e.attempt
		e.mu.Unlock()
		if err := r.await(ctx, e, attempt); err != nil {
			return err
		}
		e.mu.Lock()
	}
	if !e.running && !e.dropped {
		r.begin(e)
	}
	attempt := e.attempt
	e.mu.Unlock()
	if err := r.await(ctx, e, attempt); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// await waits for the end of a load, or of the entry: a load of one that was
// dropped while it waits for a slot never ends. A closed ring ends no load.
func (r *Ring) await(ctx context.Context, e *entry, attempt <-chan struct{}) error {
	select {
	case <-attempt:
		return nil
	case <-e.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.ctx.Done():
		return i18n.Errorf("%w: source %q is closed", ErrNotLoaded, r.options.Name)
	}
}
