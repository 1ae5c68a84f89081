// Package telemetry implements the metrics, the audit log, the spans and the events of
// the sidecar. None of them holds a value of a body or a key.
//
// Loggers of this package put a queue in front of Caddy's, so that a log that stalls or
// fails delays no payment; see Audit and NewLogger.
package telemetry

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Caddy makes a new registry at every reload. The vectors live as long as the
// process and are registered with each new registry, so that counters go on.
//
// Every label value comes from the configuration or from a fixed list, never from
// a request.
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
		Help: "Refreshes of the keys of a source by outcome: ok, unknown or error.",
	}, []string{"source", "outcome"})
	auditLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_countersign_audit_lost_total",
		Help: "Audit entries that could not be written: the queue was full, or the log failed.",
	})
	guardRefusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_countersign_guard_refusals_total",
		Help: "Requests that a guardrail refused, by profile and rule.",
	}, []string{"profile", "rule"})
	arithmetic = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "caddy_countersign_rsa_arithmetic_info",
		Help: "1 for what computes with the RSA private keys that are held in memory: crypto/rsa, or a version of OpenSSL.",
	}, []string{"implementation"})
	ages = &ageCollector{
		desc: prometheus.NewDesc("caddy_countersign_key_age_seconds",
			"Time since the source last confirmed its keys; the oldest of its key sets counts.", []string{"source"}, nil),
		expiry: prometheus.NewDesc("caddy_countersign_key_expiry_timestamp_seconds",
			"When the first certificate of a role expires, of the key sets that the configuration names.",
			[]string{"source", "reference", "role"}, nil),
		sources: make(map[string][]Aged),
	}
)

// Register adds the metrics to a registry that may have them already.
func Register(registry prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{exchanges, notifications, stages, refreshes, auditLost, guardRefusals, arithmetic, ages} {
		if err := registry.Register(c); err != nil {
			if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); !ok {
				return err
			}
		}
	}
	return nil
}

// Arithmetic sets the metric that names the implementation that computes with RSA
// private keys.
func Arithmetic(implementation string) { arithmetic.WithLabelValues(implementation).Set(1) }

// GuardRule makes the counter of a rule, with the value zero.
func GuardRule(profile, rule string) { guardRefusals.WithLabelValues(profile, rule) }

// GuardRefused counts a request that a guardrail refused. The rule is the name
// of the option: allow, require, limit, budget or unique.
func GuardRefused(profile, rule string) { guardRefusals.WithLabelValues(profile, rule).Inc() }
