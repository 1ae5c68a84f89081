package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of a look at the keys of a source.
const (
	RefreshOK      = "ok"
	RefreshUnknown = "unknown" // the reference names nothing
	RefreshError   = "error"
)

// Refreshed counts one look at the keys of a source.
func Refreshed(source, outcome string) { refreshes.WithLabelValues(source, outcome).Inc() }

// Aged is something that grows old: the keys of a source.
type Aged interface{ Age() time.Duration }

// ageCollector asks for ages at the moment of the scrape: a gauge that is set
// at each refresh would stand still just when refreshing does.
type ageCollector struct {
	desc *prometheus.Desc
	mu   sync.Mutex
	// All that is watched under one name, the newest last. There is more than
	// one while a reload is under way, and if it fails the older one goes on.
	sources map[string][]Aged
}

// WatchSource shows the age of a source's keys, in place of what was shown
// under that name before, and has its counters begin at zero.
func WatchSource(source string, aged Aged) {
	for _, outcome := range []string{RefreshOK, RefreshUnknown, RefreshError} {
		refreshes.WithLabelValues(source, outcome)
	}
	ages.mu.Lock()
	defer ages.mu.Unlock()
	others := slices.DeleteFunc(ages.sources[source], func(a Aged) bool { return a == aged })
	ages.sources[source] = append(others, aged)
}

// UnwatchSource ends WatchSource. What was shown under that name before is
// shown again if it is still watched.
func UnwatchSource(source string, aged Aged) {
	ages.mu.Lock()
	defer ages.mu.Unlock()
	others := slices.DeleteFunc(ages.sources[source], func(a Aged) bool { return a == aged })
	if len(others) == 0 {
		delete(ages.sources, source)
		return
	}
	ages.sources[source] = others
}

// Describe sends the description of the metric.
func (c *ageCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect asks each source for its age.
func (c *ageCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for source, watched := range c.sources {
		age := watched[len(watched)-1].Age()
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, age.Seconds(), source)
	}
}
