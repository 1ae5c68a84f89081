package telemetry

import (
	"sync"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/i18n"
)

const (
	// DefaultQueue is the number of log entries that wait at most to be written.
	DefaultQueue = 10000

	// patience is how long an exchange waits until its entry is written. A log that
	// works takes microseconds, so that the entry is written before the answer is
	// released; an exchange does not wait for a log that has stalled for longer.
	patience = 50 * time.Millisecond
)

// The reasons for which an entry is lost.
var (
	errQueueFull = i18n.Errorf("the queue is full")
	errStalled   = i18n.Errorf("the log does not take entries")
	errEnded     = i18n.Errorf("the log did not take it before the process ended")
)

// queue holds log entries until they are written. Writing may block without
// end, on a full pipe or a connection whose peer does not read; adding to the
// queue never does.
//
// The goroutine that writes ends when the queue is empty. So a queue needs no Close,
// and an exchange that outlives its configuration is still logged.
type queue struct {
	size  int                 // entries that wait at most, besides the one that is written
	write func(*record) error // writes one entry; may block
	lost  func(*record, error)

	mu      sync.Mutex
	waiting []*record
	writing bool          // the goroutine runs
	current *record       // what it writes
	began   time.Time     // of the write that is under way; zero if none is
	empty   chan struct{} // closed when all is written; nil if nobody waits for it
}

// record is one log entry in a queue.
type record struct {
	entry   zapcore.Entry
	fields  []zapcore.Field
	core    zapcore.Core
	audit   *Entry     // for entries of the audit log, or nil
	written chan error // takes the result of the write; nil if nobody waits for it
}

// add appends a record. It reports false if the queue is full.
func (q *queue) add(r *record) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.size {
		return false
	}
	q.waiting = append(q.waiting, r)
	if !q.writing {
		q.writing = true
		go q.run()
	}
	return true
}

// put adds a record, counts it as lost if the queue is full, and waits for at
// most the given time until it is written. Where the log has stalled already it
// does not wait. It returns nil if the record was written.
func (q *queue) put(r *record, wait time.Duration) error {
	stalled := q.stalled(wait)
	if wait > 0 && !stalled {
		r.written = make(chan error, 1)
	}
	if !q.add(r) {
		q.lost(r, errQueueFull)
		return errQueueFull
	}
	if r.written == nil {
		return errStalled
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-r.written:
		return err
	case <-timer.C:
		return errStalled
	}
}

// stalled reports whether the write that is under way has taken longer than d.
func (q *queue) stalled(d time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.began.IsZero() && time.Since(q.began) > d
}

// run writes until the queue is empty.
func (q *queue) run() {
	for r := q.next(); r != nil; r = q.next() {
		err := q.write(r)
		if err != nil {
			q.lost(r, err)
		}
		if r.written != nil {
			r.written <- err
		}
	}
}

// next takes the first record off the queue, or ends the writing.
func (q *queue) next() *record {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting, q.writing, q.current, q.began = nil, false, nil, time.Time{}
		if q.empty != nil {
			close(q.empty)
			q.empty = nil
		}
		return nil
	}
	r := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.current = r
	q.began = time.Now()
	return r
}

// abandon gives up the records that are not written, each counted and reported, when
// the process ends.
func (q *queue) abandon() {
	q.mu.Lock()
	left := q.waiting
	q.waiting = nil
	if q.current != nil {
		left = append([]*record{q.current}, left...)
	}
	q.mu.Unlock()
	for _, r := range left {
		q.lost(r, errEnded)
	}
}

// drain waits until all is written, for at most the given time.
func (q *queue) drain(wait time.Duration) {
	q.mu.Lock()
	if !q.writing {
		q.mu.Unlock()
		return
	}
	if q.empty == nil {
		q.empty = make(chan struct{})
	}
	empty := q.empty
	q.mu.Unlock()
	select {
	case <-empty:
	case <-time.After(wait):
	}
}
