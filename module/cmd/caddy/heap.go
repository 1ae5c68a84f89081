package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// slack is how many bytes the heap grows at least between two collections. With
// Go's default, which is 100 percent of what is in use, a sidecar whose heap is
// a few MiB collects hundreds of times a second, and a fifth of the CPU time of
// a request goes there. What this costs is at most so much memory, whatever the
// load: above slack in use the default holds again.
const slack = 32 << 20

// spendMemory keeps the percentage at which Go collects garbage where slack has
// it, looking once after each collection. GOGC, where it is set, stays as it is,
// and a memory limit (GOMEMLIMIT, or the cgroup's, which Caddy finds) goes before
// both.
func spendMemory() {
	if os.Getenv("GOGC") == "" {
		set := 100
		afterEachCollection(func() {
			if want := percent(inUse()); want != set {
				set = want
				debug.SetGCPercent(want)
			}
		})
	}
}

// percent is the percentage of a heap in use, in bytes, that is slack, at least
// Go's default. It moves in steps, because each change of it stops the program
// for a moment.
func percent(inUse uint64) int {
	const step = 4 << 20
	return max(100, int(100*slack/(inUse/step*step+step)))
}

// inUse is how many bytes the last collection found in use.
func inUse() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return slack
	}
	return live[0].Value.Uint64()
}

// sentinel is garbage from the start: it is found at the next collection.
type sentinel struct{ _ *sentinel }

func afterEachCollection(do func()) {
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		do()
		afterEachCollection(do)
	})
}
