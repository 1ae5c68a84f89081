package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// The phases of -overload.
const (
	capacitySpan = 4 * time.Second
	calmSpan     = 5 * time.Second
	overSpan     = 20 * time.Second
	recoverySpan = 15 * time.Second
	window       = 500 * time.Millisecond // over which a p99 is taken while it recovers
)

// overloadScheme is what is driven: with RSA-2048 the sidecar is at its end long
// before the load generator is.
const overloadScheme = "hongwen"

// overloadLimits are the values of max_in_flight; 0 is none.
var overloadLimits = []int{0, 16, 64}

// overloadCase is what twice the load that can be carried does to the sidecar.
type overloadCase struct {
	MaxInFlight      int         `json:"max_in_flight"` // 0: no limit
	Capacity         float64     `json:"capacity_per_second"`
	Calm             phaseReport `json:"at_half_capacity"`
	Over             phaseReport `json:"at_twice_capacity"`
	After            phaseReport `json:"at_half_capacity_after"`
	RecoveredSeconds float64     `json:"recovered_seconds"` // until the p99 is back; negative if it is not
	Resident         struct {
		Before float64 `json:"before_mib"`
		Peak   float64 `json:"peak_mib"`
		After  float64 `json:"after_mib"`
	} `json:"resident"`
}

// measureOverload finds out what one Caddy can carry, and drives it with twice
// as much.
func (b *bench) measureOverload(ctx context.Context) error {
	for _, limit := range overloadLimits {
		c, err := b.overload(ctx, limit)
		if err != nil {
			return fmt.Errorf("driving twice the load, max_in_flight %d: %w", limit, err)
		}
		b.report.Overload = append(b.report.Overload, c)
	}
	return nil
}

func (b *bench) overload(ctx context.Context, limit int) (overloadCase, error) {
	end := b.mark()
	defer end()
	c := overloadCase{MaxInFlight: limit}
	s := b.serverFor(overloadScheme)
	t := s.targets[0]
	if limit > 0 {
		t.options += fmt.Sprintf("\nmax_in_flight %d", limit)
	}
	if err := b.startServer(ctx, s); err != nil {
		return c, err
	}
	closed, err := drive(ctx, t, load{16, 1}, capacitySpan)
	if err != nil {
		return c, err
	}
	c.Capacity = float64(closed.requests) / closed.elapsed.Seconds()
	progress("max_in_flight %d: it carries %.0f requests a second; now twice that", limit, c.Capacity)

	before, err := memoryOf(s.pid)
	if err != nil {
		return c, err
	}
	if err := resetPeak(s.pid); err != nil {
		return c, err
	}
	client := newClient(maxWaiting)
	defer client.CloseIdleConnections()
	address, body := t.address(1), []byte(t.request(padOf(1)))
	phases := []phase{{c.Capacity / 2, calmSpan}, {c.Capacity * 2, overSpan}, {c.Capacity / 2, recoverySpan}}
	caddy, self := make([]time.Duration, len(phases)+1), make([]time.Duration, len(phases)+1)
	var failure error
	edge := func(i int) {
		var caddyErr, selfErr error
		caddy[i], caddyErr = processCPU(s.pid)
		self[i], selfErr = processCPU(os.Getpid())
		failure = errors.Join(failure, caddyErr, selfErr)
	}
	shots := openLoop(ctx, phases, edge, func(ctx context.Context) error { return t.post(ctx, client, address, body) })
	after, err := memoryOf(s.pid)
	if err := errors.Join(failure, err); err != nil {
		return c, err
	}
	for i, r := range []*phaseReport{&c.Calm, &c.Over, &c.After} {
		span := phases[i].span
		*r = newPhaseReport(shots, i, span)
		r.CaddyCPU, r.LoadCPU = ratio(us(caddy[i+1]-caddy[i]), us(span)), ratio(us(self[i+1]-self[i]), us(span))
	}
	c.RecoveredSeconds = recovered(shots, 2, c.Calm.P99)
	c.Resident.Before, c.Resident.Peak, c.Resident.After = mib(before.Resident), mib(after.Peak), mib(after.Resident)
	return c, nil
}

// serverFor is a new Caddy for one scheme, with keys from files.
func (b *bench) serverFor(scheme string) *server {
	all := providers()
	i := slices.IndexFunc(all, func(p provider) bool { return p.name == scheme })
	s := &server{flavour: b.flavours[0], arrangement: files, upstream: b.ports.upstream, metrics: b.ports.next()}
	s.targets = []*target{newTarget(s, all[i], b.ports.next())}
	return s
}

// recovered is how many seconds into a phase the p99 is back: for two windows in
// a row everything is answered, and within one and a half times the p99 of
// before, or 5 ms of it. It is negative if that does not happen.
func recovered(shots []shot, phase int, before float64) float64 {
	good := max(before*1.5, before+5000)
	windows := make(map[int][]time.Duration)
	bad := make(map[int]bool)
	last := 0
	for _, s := range shots {
		if s.phase != phase {
			continue
		}
		at := int(s.due / window)
		windows[at] = append(windows[at], s.latency)
		bad[at] = bad[at] || s.kind != answered
		last = max(last, at)
	}
	row := 0
	for at := 0; at <= last; at++ {
		some := slices.Sorted(slices.Values(windows[at]))
		if len(some) == 0 || bad[at] || us(percentile(some, 99)) > good {
			row = 0
			continue
		}
		if row++; row == 2 {
			return float64(at-1) * window.Seconds()
		}
	}
	return -1
}

func (p *printer) overload(all []overloadCase) {
	p.title(fmt.Sprintf("Overload: %s, open loop at half, at twice for %s, and at half of what is carried", overloadScheme, overSpan),
		"max_in_flight", "load", "offered req/s", "answered req/s", "p50 µs", "p99 µs", "overloaded %", "its p50 µs", "its p99 µs",
		"gave up %", "unsent", "failed", "Caddy CPU %", "load CPU %")
	for _, c := range all {
		limit := "none"
		if c.MaxInFlight > 0 {
			limit = fmt.Sprint(c.MaxInFlight)
		}
		p.line("%s\tcapacity\t-\t%.0f\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t", limit, c.Capacity)
		for _, part := range []struct {
			name string
			phaseReport
		}{{"half", c.Calm}, {"twice", c.Over}, {"half again", c.After}} {
			r := part.phaseReport
			p.line("%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.0f\t%.1f\t%d\t%d\t%.0f\t%.0f\t", limit, part.name, r.Offered, r.Answered, r.P50, r.P99,
				r.Share*100, r.RejectP50, r.RejectP99, r.GaveUp*100, r.Unsent, r.Failed,
				r.CaddyCPU*100, r.LoadCPU*100)
		}
	}
	p.explain(fmt.Sprintf("Clients wait %s at most. A refusal counts as overloaded only if its outcome is not_sent; unsent is what the load\n"+
		"generator could not send because %d clients waited; failed is anything else.\n"+
		"CPU is of one core: the figures hold as long as the load generator is far from 100 %%.", patience, maxWaiting))
	p.title("Overload: memory, and how soon it is over", "max_in_flight", "RSS before MiB", "RSS peak MiB", "RSS after MiB", "p99 back after s")
	for _, c := range all {
		p.line("%d\t%.1f\t%.1f\t%.1f\t%.1f\t", c.MaxInFlight, c.Resident.Before, c.Resident.Peak, c.Resident.After, c.RecoveredSeconds)
	}
	p.explain("A negative time: it was not back within the phase.")
}
