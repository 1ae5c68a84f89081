package keys

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Source is where key sets come from.
type Source interface {
	// Load reads the set that a reference names. Previous is the last good set
	// of that reference or nil; a source that finds nothing changed returns it.
	// An error that wraps ErrUnknown says that there is no such set.
	Load(ctx context.Context, reference string, previous *Set) (*Set, error)
}

// Waiting is a source that can say why a load is slow, before the load fails.
type Waiting interface {
	// Waiting returns the cause for which loads wait now, or nil.
	Waiting() error
}

// The bounds of a Ring.
const (
	MaxSets     = 4096             // sets kept at once; beyond it the least recently used one is evicted
	maxUnknown  = 4096             // references remembered as unknown
	unknownFor  = 5 * time.Second  // how long one is remembered
	idleFor     = 30 * time.Minute // a set that no request has used for this long is dropped
	WaitForLoad = 5 * time.Second  // how long a request waits for a first load
	loadTimeout = 20 * time.Second // of one load
	idleFirst   = time.Minute      // the same for a set that never loaded
	parallel    = 8                // loads at once of sets that the configuration names or that have loaded
	minBackoff  = 250 * time.Millisecond
	maxBackoff  = 15 * time.Second
)

// ErrStale says that a set is too old to be used.
var ErrStale = i18n.Errorf("the keys are too old")

// ErrNotLoaded says that a set could not be loaded yet.
var ErrNotLoaded = i18n.Errorf("the keys are not loaded")

// Options of a Ring.
type Options struct {
	// Name is the source's name, for errors.
	Name string
	// Refresh is how often each set is looked at. Required.
	Refresh time.Duration
	// MaxStale is how long a set is used after the source has last confirmed it; 0
	// means no limit.
	MaxStale time.Duration
	// Loaded is called when a set was loaded that is not the one before.
	Loaded func(*Set)
	// Refreshed is called after every load, with its error or nil.
	Refreshed func(reference string, err error)
	// Looked is called after every load with the set that is in use then, also
	// where the load failed or found nothing new.
	Looked func(*Set)
}

// Ring keeps the key sets of one source in memory and fresh. A set that loaded
// once serves on while the source is away, up to MaxStale. Each reference is
// loaded once for all who wait for it, failures are tried again with back-off
// and jitter, and nothing is written anywhere.
type Ring struct {
	source  Source
	options Options

	entries sync.Map     // reference -> *entry
	count   atomic.Int64 // of entries
	mu      sync.Mutex
	unknown map[string]time.Time // reference -> until when
	first   *admission           // of references that only a request has named

	answered atomic.Int64 // when the source last answered, in Unix nanoseconds
	wake     chan struct{}
	due      atomic.Int64 // when run looks at the entries next, in Unix nanoseconds
	slots    chan struct{}
	life     sync.RWMutex // over started and the end of ctx
	started  bool
	ctx      context.Context
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// entry is what a Ring knows of one reference.
type entry struct {
	reference string
	set       atomic.Pointer[Set]
	confirmed atomic.Int64 // when the source last confirmed set, in Unix nanoseconds
	used      atomic.Int64 // when a request last asked, in Unix nanoseconds

	mu       sync.Mutex
	pins     int
	waiters  int  // requests that wait for the first load
	first    bool // only requests have named it, and it never loaded
	queued   bool // its load waits for a slot
	dropped  bool // it is no longer in the ring
	born     time.Time
	next     time.Time     // when to load again
	attempt  chan struct{} // closed when the load that runs, or the next one, ends
	running  bool
	failures int
	missing  int           // consecutive loads that failed with ErrUnknown while set was loaded
	gone     chan struct{} // closed when it is dropped
	err      error
}

// NewRing makes a ring. It does not use the source before Start.
func NewRing(source Source, options Options) *Ring {
	ctx, cancel := context.WithCancel(context.Background())
	return &Ring{
		source: source, options: options,
		unknown: make(map[string]time.Time), first: newAdmission(),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, parallel),
		ctx: ctx, stop: cancel,
	}
}

// Start begins to load and refresh. Calling it again does nothing.
func (r *Ring) Start() {
	r.life.Lock()
	defer r.life.Unlock()
	if !r.started && r.ctx.Err() == nil {
		r.started = true
		r.done.Go(r.run)
	}
}

// Close ends all loads. Sets that Get has returned stay usable.
func (r *Ring) Close() {
	r.life.Lock() // nothing begins between the end and the wait for it
	r.stop()
	r.life.Unlock()
	r.done.Wait()
}

// Pin keeps a reference loaded until Unpin, even if no request uses it. The empty
// reference stands for the source itself: the source is probed, and no set is kept.
func (r *Ring) Pin(reference string) {
	for {
		e, _ := r.entry(reference, true) // a pin is always admitted
		e.mu.Lock()
		if e.dropped { // since it was found
			e.mu.Unlock()
			continue
		}
		e.pins++
		r.known(e)
		e.mu.Unlock()
		return
	}
}

// Unpin undoes one Pin. The set is then kept as long as requests use it.
func (r *Ring) Unpin(reference string) {
	if v, ok := r.entries.Load(reference); ok {
		e := v.(*entry)
		e.mu.Lock()
		e.pins--
		e.mu.Unlock()
	}
}

// Get returns the set that a reference names. It waits up to WaitForLoad for the first
// load, and not at all for a set that the source has found broken. Its errors wrap
// ErrUnknown, ErrNotLoaded, ErrStale or ErrBroken.
func (r *Ring) Get(ctx context.Context, reference string) (*Set, error) {
	now := time.Now()
	e := r.lookup(reference)
	if e == nil {
		if r.isUnknown(reference, now) {
			return nil, i18n.Errorf("%w: %q in source %q", ErrUnknown, reference, r.options.Name)
		}
		var err error
		if e, err = r.entry(reference, false); err != nil {
			return nil, err
		}
	}
	e.used.Store(now.UnixNano())
	if set := e.set.Load(); set != nil {
		if age := now.UnixNano() - e.confirmed.Load(); r.options.MaxStale > 0 && age > int64(r.options.MaxStale) {
			return nil, i18n.Errorf("%w: %q was last confirmed by source %q %s ago", ErrStale, reference, r.options.Name, time.Duration(age).Round(time.Second))
		}
		return set, nil
	}
	return r.wait(ctx, e)
}

// Newer returns the set of a reference if it is another one than set, without
// waiting; otherwise nil.
func (r *Ring) Newer(set *Set) *Set {
	if e := r.lookup(set.Reference); e != nil {
		if now := e.set.Load(); now != nil && now != set {
			return now
		}
	}
	return nil
}

func (r *Ring) wait(ctx context.Context, e *entry) (*Set, error) {
	e.mu.Lock()
	if e.dropped { // since it was found
		e.mu.Unlock()
		return r.Get(ctx, e.reference)
	}
	e.waiters++
	deadline := e.born.Add(WaitForLoad)
	e.mu.Unlock()
	defer r.leave(e)
	timer := time.NewTimer(max(0, time.Until(deadline)))
	defer timer.Stop()
	for {
		e.mu.Lock()
		attempt, err := e.attempt, e.err
		e.mu.Unlock()
		if set := e.set.Load(); set != nil {
			return set, nil
		}
		if errors.Is(err, ErrUnknown) {
			return nil, i18n.Errorf("%w: %q in source %q", ErrUnknown, e.reference, r.options.Name)
		}
		if errors.Is(err, ErrBroken) {
			return nil, i18n.Errorf("%w: %w", ErrNotLoaded, err)
		}
		select {
		case <-attempt:
		case <-timer.C:
			if err != nil {
				return nil, i18n.Errorf("%w: %w", ErrNotLoaded, err)
			}
			if w, ok := r.source.(Waiting); ok && w.Waiting() != nil {
				return nil, i18n.Errorf("%w: source %q has not answered for %q: %w", ErrNotLoaded, r.options.Name, e.reference, w.Waiting())
			}
			return nil, i18n.Errorf("%w: source %q has not answered for %q", ErrNotLoaded, r.options.Name, e.reference)
		case <-ctx.Done():
			return nil, i18n.Errorf("%w: %w", ErrNotLoaded, context.Cause(ctx))
		case <-r.ctx.Done():
			return nil, i18n.Errorf("%w: source %q is closed", ErrNotLoaded, r.options.Name)
		}
	}
}

func (r *Ring) lookup(reference string) *entry {
	if v, ok := r.entries.Load(reference); ok {
		return v.(*entry)
	}
	return nil
}

// leave ends a wait. A load that has not begun and that nobody waits for any
// more is dropped: the client may have gone, and anybody can name a reference.
func (r *Ring) leave(e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiters--; e.waiters == 0 && e.queued && e.first {
		r.drop(e)
	}
}

// entry returns the entry of a reference. It makes it if need be, and then
// begins to load it. Of references that only requests have named and that never
// loaded there is a bounded number; beyond it the error wraps ErrNotLoaded.
func (r *Ring) entry(reference string, pin bool) (*entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.lookup(reference); e != nil {
		return e, nil
	}
	if !pin && r.first.full() && !r.evict(func(e *entry) bool { return e.first && e.waiters == 0 && !e.running }) {
		return nil, i18n.Errorf("%w: requests name too many references at once that source %q has not loaded yet", ErrNotLoaded, r.options.Name)
	}
	if r.count.Load() >= MaxSets {
		r.evict(func(e *entry) bool { return e.pins == 0 && e.waiters == 0 })
	}
	now := time.Now()
	e := &entry{reference: reference, born: now, attempt: make(chan struct{}), gone: make(chan struct{}), first: !pin}
	e.used.Store(now.UnixNano())
	delete(r.unknown, reference)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first {
		r.first.count.Add(1)
	}
	r.entries.Store(reference, e)
	r.count.Add(1)
	r.begin(e)
	return e, nil
}

// known ends the special treatment of a reference that only requests have
// named. It is called with e.mu locked.
func (r *Ring) known(e *entry) {
	if e.first {
		e.first = false
		r.first.count.Add(-1)
	}
}

// evict drops the entry that was not used for the longest time, of those that
// may be dropped, and reports whether there was one. It is called with r.mu locked.
func (r *Ring) evict(may func(*entry) bool) bool {
	var oldest *entry
	for _, v := range r.entries.Range {
		e := v.(*entry)
		e.mu.Lock()
		if may(e) && (oldest == nil || e.used.Load() < oldest.used.Load()) {
			oldest = e
		}
		e.mu.Unlock()
	}
	if oldest == nil {
		return false
	}
	oldest.mu.Lock()
	defer oldest.mu.Unlock()
	if !may(oldest) { // since it was looked at
		return false
	}
	r.drop(oldest)
	return true
}

// drop takes an entry out of the ring. It is called with e.mu locked.
func (r *Ring) drop(e *entry) {
	if e.dropped {
		return
	}
	e.dropped = true
	close(e.gone)
	r.known(e)
	r.entries.CompareAndDelete(e.reference, e)
	r.count.Add(-1)
}

func (r *Ring) isUnknown(reference string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.unknown[reference]
	return ok && now.Before(until)
}

// forget drops an entry that names nothing and remembers that for a while.
func (r *Ring) forget(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if len(r.unknown) >= maxUnknown {
		for ref, until := range r.unknown {
			if now.After(until) {
				delete(r.unknown, ref)
			}
		}
		for ref := range r.unknown {
			if len(r.unknown) < maxUnknown {
				break
			}
			delete(r.unknown, ref)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pins > 0 { // since it was settled: it stays, and is asked for again
		return
	}
	r.unknown[e.reference] = now.Add(unknownFor)
	r.drop(e)
}

func (r *Ring) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Jitter shortens a pause at random by up to a tenth, so that many who wait do
// not ask at the same moment. It never makes a pause longer: what is new is taken
// up within Refresh.
func Jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.1*rand.Float64())) //nolint:gosec // spreads load, hides nothing
}
