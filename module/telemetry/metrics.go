// Package telemetry has what operators see of the sidecar: metrics, the audit
// log, spans and events. Nothing in it ever holds a value of a body or a key.
package telemetry

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Caddy makes a new registry at every reload. The vectors live as long as the
// process and are registered with each new registry, so that counters go on.
var (
	exchanges = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_countersign_exchanges_total",
		Help: "Exchanges by outcome: ok, unsigned, or the code of the problem.",
	}, []string{"scheme", "profile", "outcome"})
	notifications = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_countersign_notifications_total",
		Help: "Notifications by outcome: ok, repeated, or the code of the problem.",
	}, []string{"scheme", "profile", "outcome"})
	stages = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "caddy_countersign_stage_duration_seconds",
		Help:    "Duration of the stages of an exchange: seal, upstream, open.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"scheme", "profile", "stage"})
	refreshes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_countersign_key_refreshes_total",
		Help: "Looks at the keys of a source by outcome: ok, unknown or error.",
	}, []string{"source", "outcome"})
	ages = &ageCollector{
		desc: prometheus.NewDesc("caddy_countersign_key_age_seconds",
			"Time since the source last confirmed its keys; the oldest of its configured sets counts.", []string{"source"}, nil),
		sources: make(map[string]Aged),
	}
)

// Register adds the metrics to a registry that may have them already.
func Register(registry prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{exchanges, notifications, stages, refreshes, ages} {
		if err := registry.Register(c); err != nil {
			if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); !ok {
				return err
			}
		}
	}
	return nil
}

// Meter counts for one scheme and profile. Its labels are resolved once.
type Meter struct {
	scheme, profile    string
	ok                 prometheus.Counter
	seal, upstream, op prometheus.Observer
}

// NewMeter makes the meter of a scheme and profile.
func NewMeter(scheme, profile string) *Meter {
	return &Meter{
		scheme: scheme, profile: profile,
		ok:       exchanges.WithLabelValues(scheme, profile, "ok"),
		seal:     stages.WithLabelValues(scheme, profile, "seal"),
		upstream: stages.WithLabelValues(scheme, profile, "upstream"),
		op:       stages.WithLabelValues(scheme, profile, "open"),
	}
}

// Exchange counts one exchange.
func (m *Meter) Exchange(outcome string) {
	if outcome == "ok" {
		m.ok.Inc()
		return
	}
	exchanges.WithLabelValues(m.scheme, m.profile, outcome).Inc()
}

// Notification counts one notification.
func (m *Meter) Notification(outcome string) {
	notifications.WithLabelValues(m.scheme, m.profile, outcome).Inc()
}

// Stages records how long the stages took. One that was not reached is zero
// and is not recorded.
func (m *Meter) Stages(seal, upstream, open time.Duration) {
	observe(m.seal, seal)
	observe(m.upstream, upstream)
	observe(m.op, open)
}

func observe(o prometheus.Observer, d time.Duration) {
	if d > 0 {
		o.Observe(d.Seconds())
	}
}

// Refreshed counts one look at the keys of a source: "ok", "unknown" for a
// reference that names nothing, or "error".
func Refreshed(source, outcome string) {
	refreshes.WithLabelValues(source, outcome).Inc()
}

// Aged is something that grows old: the keys of a source.
type Aged interface{ Age() time.Duration }

// ageCollector asks for ages at the moment of the scrape: a gauge that is set
// at each refresh would stand still just when refreshing does.
type ageCollector struct {
	desc    *prometheus.Desc
	mu      sync.Mutex
	sources map[string]Aged
}

// WatchAge shows the age of a source's keys, in place of what was shown under
// that name before.
func WatchAge(source string, aged Aged) {
	ages.mu.Lock()
	defer ages.mu.Unlock()
	ages.sources[source] = aged
}

// UnwatchAge ends WatchAge, unless something else has taken the name since.
func UnwatchAge(source string, aged Aged) {
	ages.mu.Lock()
	defer ages.mu.Unlock()
	if ages.sources[source] == aged {
		delete(ages.sources, source)
	}
}

// Describe sends the description of the metric.
func (c *ageCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect asks each source for its age.
func (c *ageCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for source, aged := range c.sources {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, aged.Age().Seconds(), source)
	}
}
