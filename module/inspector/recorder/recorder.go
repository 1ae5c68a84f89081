package recorder

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
)

// The bounds of a recorder.
const (
	DefaultKeep = 200
	MaxKeep     = 10_000

	maxBytes    = 32 << 20 // of all bodies
	maxWatchers = 32
)

// Options set what a recorder keeps.
type Options struct {
	Keep   int
	Bodies bool
}

// Recorder keeps the last records.
type Recorder struct {
	options Options

	mu       sync.Mutex
	epoch    string    // changes when the records are forgotten
	records  []*Record // the oldest first
	bytes    int
	seq      uint64
	watchers map[chan struct{}]bool
}

// New makes a recorder.
func New(o Options) *Recorder {
	return &Recorder{options: o, epoch: rand.Text(), watchers: make(map[chan struct{}]bool)}
}

// Bodies reports whether messages are kept.
func (r *Recorder) Bodies() bool { return r.options.Bodies }

// Keep returns the number of records that are kept.
func (r *Recorder) Keep() int { return r.options.Keep }

// Add adds a record. The secrets of the key sets are masked in its messages, which
// may be used elsewhere and are not changed. A recorder without bodies drops them.
func (r *Recorder) Add(rec *Record, sets ...*keys.Set) {
	if !r.options.Bodies {
		rec.Bodies = nil
		rec.Path = Words(rec.Path)
	}
	if b := rec.Bodies; b != nil {
		for _, p := range b.parts() {
			p.Wire, p.Cut = cut(p.Wire)
		}
		newMask(sets).bodies(rec)
	}
	size := rec.Bodies.size()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	rec.Seq, rec.Time = r.seq, time.Now()
	r.records = append(r.records, rec)
	r.bytes += size
	for len(r.records) > r.options.Keep || r.bytes > maxBytes && len(r.records) > 1 {
		r.bytes -= r.records[0].Bodies.size()
		r.records[0] = nil // the slice keeps its memory for a while
		r.records = r.records[1:]
	}
	r.wake()
}

func (r *Recorder) wake() {
	for w := range r.watchers {
		select {
		case w <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// After returns the records that came after a number, the oldest first. A number
// belongs to an epoch: for another epoch than the recorder's, After returns all
// records.
func (r *Recorder) After(epoch string, seq uint64) (now string, records []*Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.epoch {
		seq = 0
	}
	from, _ := slices.BinarySearchFunc(r.records, seq+1, func(rec *Record, want uint64) int {
		switch {
		case rec.Seq < want:
			return -1
		case rec.Seq > want:
			return 1
		}
		return 0
	})
	return r.epoch, slices.Clone(r.records[from:])
}

// Find returns the record of an id, or nil.
func (r *Recorder) Find(id string) *Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range slices.Backward(r.records) {
		if rec.Entry.ID == id {
			return rec
		}
	}
	return nil
}

// Clear forgets all records.
func (r *Recorder) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records, r.bytes, r.epoch = nil, 0, rand.Text()
	r.wake()
}

// Watch returns a channel on which something is received after records were
// added, until stop is called. It returns nil where too many watch.
func (r *Recorder) Watch() (added <-chan struct{}, stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.watchers) >= maxWatchers {
		return nil, func() {}
	}
	w := make(chan struct{}, 1)
	r.watchers[w] = true
	return w, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, w)
	}
}
