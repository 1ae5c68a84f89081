package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of a refresh of the keys of a source.
const (
	RefreshOK      = "ok"
	RefreshUnknown = "unknown" // the reference names nothing
	RefreshError   = "error"
)

// Refreshed counts one refresh of the keys of a source.
func Refreshed(source, outcome string) { refreshes.WithLabelValues(source, outcome).Inc() }

// Aged is a source whose keys have an age.
type Aged interface{ Age() time.Duration }

// ageCollector computes ages when metrics are scraped: a gauge that is set at each
// refresh would not change while refreshes fail.
type ageCollector struct {
	desc *prometheus.Desc
	// expiry describes a second metric: when certificates expire.
	expiry *prometheus.Desc
	mu     sync.Mutex
	// The sources by name, the newest last. There is more than one during a
	// reload; if the reload fails, the older one stays.
	sources map[string][]Aged
}

// WatchSource makes the age of a source's keys the value of the metric for that
// name, and creates its counters with the value zero.
func WatchSource(source string, aged Aged) {
	for _, outcome := range []string{RefreshOK, RefreshUnknown, RefreshError} {
		refreshes.WithLabelValues(source, outcome)
	}
	ages.mu.Lock()
	defer ages.mu.Unlock()
	others := slices.DeleteFunc(ages.sources[source], func(a Aged) bool { return a == aged })
	ages.sources[source] = append(others, aged)
}

// UnwatchSource undoes WatchSource. The metric then has the age of the source
// that was watched under that name before, if it still is.
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

// expiring is a source whose configured sets have certificates.
type expiring interface {
	Expiries(report func(reference, role string, expires time.Time))
}

// Describe sends the descriptions of the metrics.
func (c *ageCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.desc
	ch <- c.expiry
}

// Collect asks each source for its age, and for when its certificates expire.
func (c *ageCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for source, watched := range c.sources {
		newest := watched[len(watched)-1]
		age := newest.Age()
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, age.Seconds(), source)
		if e, ok := newest.(expiring); ok {
			e.Expiries(func(reference, role string, expires time.Time) {
				ch <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(expires.Unix()), source, reference, role)
			})
		}
	}
}
