package app

import (
	"sync"
	"time"
)

const (
	repeatAfter = time.Minute // after which a failure that goes on is logged again
	maxRepeats  = 1024        // references remembered of a source: requests can name any number
)

// repeats suppresses repeated log lines about one source. A reference is loaded every
// second, and a lasting failure would fill the log: it is logged when it begins, when
// it changes, and then once in repeatAfter.
type repeats struct {
	mu     sync.Mutex
	logged map[string]entry
}

// entry is the last line about a reference.
type entry struct {
	text string
	when time.Time
}

// admit reports whether a failure is to be logged now.
func (r *repeats) admit(reference, text string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, found := r.logged[reference]; found && last.text == text && now.Sub(last.when) < repeatAfter {
		return false
	}
	if r.logged == nil || len(r.logged) >= maxRepeats {
		r.logged = make(map[string]entry)
	}
	r.logged[reference] = entry{text, now}
	return true
}

// clear ensures that the next failure of a reference is logged.
func (r *repeats) clear(reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.logged, reference)
}
