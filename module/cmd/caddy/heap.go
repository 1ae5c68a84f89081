package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// slack is how many bytes the heap grows at most between two collections. With Go's
// default, which is 100 percent of what is in use, a sidecar whose heap is a few
// MiB collects dozens of times a second, and a sixth of the CPU time of a request
// goes there; and one whose heap is bodies, each some MiB, needs twice
// their memory, although there is nothing in a body for a collection to look
// at. What this costs is so much memory, whatever the load.
const slack = 32 << 20

// spendMemory keeps the percentage at which Go collects garbage where slack has
// it, looking once after each collection. GOGC, where it is set, stays as it is,
// and a memory limit (GOMEMLIMIT, or the cgroup's, which Caddy finds) goes before
// both.
func spendMemory() {
	if os.Getenv("GOGC") == "" {
		set := 100
		afterEachCollection(func() {
			if want := percent(heap()); want != set {
				set = want
				debug.SetGCPercent(want)
			}
		})
	}
}

// percent is the percentage of what is in use, in bytes, that is slack; or that
// is looked at in a collection, if that is more, so that collecting takes no more
// of the time than by default. It moves in steps, because each change of it stops
// the program for a moment.
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

func afterEachCollection(do func()) {
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		do()
		afterEachCollection(do)
	})
}
