package main

import (
	"context"
	"errors"
	"time"
)

// overload is what twice the load that a sidecar carries does to it. Times are in
// microseconds.
type overload struct {
	Carried    float64 `json:"carried_per_second"` // in a closed loop
	Offered    float64 `json:"offered_per_second"`
	Answered   float64 `json:"answered_per_second"`
	Share      float64 `json:"answered_of_carried"`
	P50        float64 `json:"answered_p50_us"`
	P99        float64 `json:"answered_p99_us"`
	Refused    float64 `json:"refused_per_second"` // 503 overloaded, not_sent
	RefusedP50 float64 `json:"refused_p50_us"`
	RefusedP99 float64 `json:"refused_p99_us"`
	GaveUp     int     `json:"gave_up"` // clients that waited longer than their patience
	Failed     int     `json:"failed"`  // anything else
	Example    string  `json:"failed_example,omitempty"`
	Resident   float64 `json:"resident_mib"`
	Pass       bool    `json:"pass"`
}

const (
	overloadSpan = 15 * time.Second
	patience     = 2 * time.Second
)

// measureOverload finds the rate that the sidecar carries with hongwen, whose
// RSA-2048 brings it to its limit long before the load generator, and then sends
// twice that rate.
func (b *bench) measureOverload(ctx context.Context) error {
	t := b.newSidecar("hongwen")
	stop, err := b.start(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	client := newClient(typical.connections)
	defer client.CloseIdleConnections()
	b.progress("measuring what it carries")
	span := 4 * time.Second
	took, err := t.drive(ctx, client, typical, "", span)
	if err != nil {
		return err
	}
	carried := float64(len(took)) / span.Seconds()
	b.progress("it carries %.0f exchanges a second; sending twice that", carried)
	o := judge(carried, t.openLoop(ctx, typical, 2*carried, overloadSpan), overloadSpan)
	o.Resident = t.resident()
	b.report.Overload = &o
	return nil
}

// judge counts what became of requests that were sent at twice the carried rate.
// It passes if four fifths of that rate are answered and a refusal takes
// milliseconds: less than 10 at the median, less than 100 at p99.
func judge(carried float64, shots []shot, span time.Duration) overload {
	o := overload{Carried: carried, Offered: float64(len(shots)) / span.Seconds()}
	var answered, refused []time.Duration
	for _, s := range shots {
		r, isRefusal := errors.AsType[*refusal](s.err)
		switch {
		case s.err == nil:
			answered = append(answered, s.took)
		case isRefusal && r.overloaded():
			refused = append(refused, s.took)
		case errors.Is(s.err, context.DeadlineExceeded):
			o.GaveUp++
		default:
			o.Failed++
			o.Example = s.err.Error()
		}
	}
	o.Answered, o.Refused = float64(len(answered))/span.Seconds(), float64(len(refused))/span.Seconds()
	o.Share = o.Answered / carried
	o.P50, o.P99 = percentile(answered, 50), percentile(answered, 99)
	o.RefusedP50, o.RefusedP99 = percentile(refused, 50), percentile(refused, 99)
	o.Pass = o.Share >= 0.8 && o.Failed == 0 && o.RefusedP50 < 10_000 && o.RefusedP99 < 100_000
	return o
}
