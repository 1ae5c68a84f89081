package app

import (
	"sync"
	"time"
)

const (
	reciteAgain = time.Minute // after which the log is told again of what goes on
	maxRecited  = 1024        // references remembered by a source: requests can name any number
)

// recital is what the log was told of the references of one source. A reference
// is looked at every second, and a failure that goes on would fill the log: it is
// told when it begins, when it changes, and then once in reciteAgain.
type recital struct {
	mu   sync.Mutex
	told map[string]told
}

type told struct {
	what string
	when time.Time
}

// isNews reports whether the log is to be told of a failure now.
func (r *recital) isNews(reference, what string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, found := r.told[reference]; found && last.what == what && now.Sub(last.when) < reciteAgain {
		return false
	}
	if r.told == nil || len(r.told) >= maxRecited {
		r.told = make(map[string]told)
	}
	r.told[reference] = told{what, now}
	return true
}

// over forgets what failed: the next failure is news.
func (r *recital) over(reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, reference)
}
