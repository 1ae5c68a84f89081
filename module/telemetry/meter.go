package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/countersign/caddy-countersign/module/problem"
)

// Meter counts and traces what one scheme does under one profile. Its labels
// are resolved once, and every outcome exists from the start with the value zero:
// Prometheus does not see the first increase of a counter if it creates the
// series.
type Meter struct {
	count              func(outcome string) prometheus.Counter
	outcomes           map[string]prometheus.Counter
	seal, upstream, op prometheus.Observer // nil for notifications
	attributes         trace.SpanStartEventOption
}

// Exchanges returns the meter of the exchanges of a scheme and profile.
func Exchanges(scheme, profile string) *Meter {
	m := newMeter(exchanges, scheme, profile, "ok", "unsigned")
	for _, reason := range problem.Reasons() {
		if reason.Outcome() != "" {
			m.add(string(reason))
		}
	}
	m.seal = stages.WithLabelValues(scheme, profile, "seal")
	m.upstream = stages.WithLabelValues(scheme, profile, "upstream")
	m.op = stages.WithLabelValues(scheme, profile, "open")
	return m
}

// Notifications returns the meter of the notifications of a scheme and profile.
func Notifications(scheme, profile string) *Meter {
	m := newMeter(notifications, scheme, profile, "ok", "repeated", string(problem.KeysUnavailable), string(problem.StoreUnavailable))
	for _, reason := range problem.Reasons() {
		if reason.Outcome() == "" {
			m.add(string(reason))
		}
	}
	return m
}

func newMeter(vector *prometheus.CounterVec, scheme, profile string, outcomes ...string) *Meter {
	m := &Meter{
		count:    func(outcome string) prometheus.Counter { return vector.WithLabelValues(scheme, profile, outcome) },
		outcomes: make(map[string]prometheus.Counter),
		attributes: trace.WithAttributes(
			attribute.String("countersign.scheme", scheme), attribute.String("countersign.profile", profile)),
	}
	for _, outcome := range outcomes {
		m.add(outcome)
	}
	return m
}

func (m *Meter) add(outcome string) { m.outcomes[outcome] = m.count(outcome) }

// Count counts one exchange or notification. The outcome is "ok", "unsigned",
// "repeated" or the code of the problem.
func (m *Meter) Count(outcome string) {
	counter, ok := m.outcomes[outcome]
	if !ok { // a code that this meter does not expect, such as method_not_allowed of a notification
		counter = m.count(outcome)
	}
	counter.Inc()
}

// Stages records how long the stages of an exchange took. One that was not
// reached is zero and is not recorded.
func (m *Meter) Stages(seal, upstream, open time.Duration) {
	observe(m.seal, seal)
	observe(m.upstream, upstream)
	observe(m.op, open)
}

func observe(o prometheus.Observer, d time.Duration) {
	if d > 0 && o != nil {
		o.Observe(d.Seconds())
	}
}
