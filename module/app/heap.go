package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// usualPercent is the percentage at which Go collects garbage by default.
const usualPercent = 100

// slack is how many bytes the heap grows at most between two collections. With Go's
// default, which is 100 percent of what is in use, a sidecar whose heap is a few
// MiB collects dozens of times a second, and a seventh of the CPU time of a request
// goes there; and one whose heap is bodies, each some MiB, needs twice
// their memory, although there is nothing in a body for a collection to look
// at. What this costs is so much memory, whatever the load.
const slack = 32 << 20

// spending is who has the heap grow by slack: the configurations that run. A
// Caddy that only has the modules in its binary collects as any other.
var spending struct {
	sync.Mutex
	configurations int
	watching       bool // for the end of each collection
	percent        int
}

// spendMemory keeps the percentage at which Go collects garbage where slack has
// it, looking once after each collection, until stop is called. GOGC, where it is
// set, stays as it is, and so does a percentage that somebody has set before; a memory
// limit (GOMEMLIMIT, or the cgroup's, which Caddy finds) goes before all of them.
func spendMemory() (stop func()) {
	s := &spending
	s.Lock()
	defer s.Unlock()
	if s.configurations == 0 {
		if os.Getenv("GOGC") != "" || gcPercent() != usualPercent {
			return func() {}
		}
		s.percent = usualPercent
	}
	s.configurations++
	if !s.watching {
		s.watching = true
		afterEachCollection(adjust)
	}
	return sync.OnceFunc(stopSpending)
}

func stopSpending() {
	s := &spending
	s.Lock()
	defer s.Unlock()
	if s.configurations--; s.configurations == 0 && s.percent != usualPercent {
		debug.SetGCPercent(usualPercent)
	}
}

// adjust sets the percentage, and reports whether it is wanted after the next
// collection too.
func adjust() (again bool) {
	s := &spending
	s.Lock()
	defer s.Unlock()
	if s.watching = s.configurations > 0; !s.watching {
		return false
	}
	if want := percent(heap()); want != s.percent {
		s.percent = want
		debug.SetGCPercent(want)
	}
	return true
}

// gcPercent is the percentage that is set.
func gcPercent() uint64 {
	set := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(set)
	if set[0].Value.Kind() != metrics.KindUint64 {
		return 0 // a Go that tells otherwise
	}
	return set[0].Value.Uint64()
}

// percent is the percentage of what is in use, in bytes, that is slack; or that
// is looked at in a collection, if that is more, so that collecting takes no more
// of the time than by default. It moves in steps, so that it is not another one after
// each collection.
func percent(inUse, lookedAt uint64) int {
	const step = 4 << 20
	return max(1, int(100*max(slack, lookedAt)/(inUse/step*step+step)))
}

// heap is how many bytes the last collection found in use, and how many it looked
// at, those of stacks among them.
func heap() (inUse, lookedAt uint64) {
	found := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/total:bytes"}}
	metrics.Read(found)
	for _, f := range found {
		if f.Value.Kind() != metrics.KindUint64 {
			return slack, 0 // a Go that tells otherwise: its default
		}
	}
	return found[0].Value.Uint64(), found[1].Value.Uint64()
}

// sentinel is garbage from the start: it is found at the next collection.
type sentinel struct{ _ *sentinel }

// afterEachCollection calls do after each collection, in the goroutine that the
// runtime has for finalizers, until it returns false.
func afterEachCollection(do func() (again bool)) {
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		if do() {
			afterEachCollection(do)
		}
	})
}
