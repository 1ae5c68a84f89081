package main

import (
	"context"
	"fmt"
)

// The second part of -memory: bodies nearly as large as the defaults of
// max_request_body and max_response_body allow, in KiB. The rest is for what
// the bodies have besides their filler.
const (
	requestLimit = 1 << 10
	answerLimit  = 4 << 10
	largeSpare   = 2
	largeBursts  = 3
)

// largeInFlight is how many such exchanges are in flight at once.
var largeInFlight = []int{4, 16, 64}

// largeReport is the memory of exchanges with large bodies.
type largeReport struct {
	Target   string  `json:"target"`
	InFlight int     `json:"in_flight"`
	Before   float64 `json:"resident_before_mib"`
	Peak     float64 `json:"resident_peak_mib"`
	Growth   float64 `json:"growth_mib"`
	Bound    float64 `json:"bound_mib"` // both limits, for each exchange in flight
	ToBound  float64 `json:"growth_to_bound"`
	Slope    float64 `json:"mib_per_exchange"` // beyond the fewest in flight; 0 for those
}

// measureLarge sends large bodies and has the upstream hold its answers until
// all of a burst are in flight.
func (b *bench) measureLarge(ctx context.Context) error {
	for _, t := range b.serverOf(files).targets {
		var fewest largeReport
		for _, n := range largeInFlight {
			r, err := b.large(ctx, t, n)
			if err != nil {
				return fmt.Errorf("driving %s with large bodies: %w", t.name, err)
			}
			if fewest.InFlight == 0 {
				fewest = r
			} else {
				r.Slope = (r.Growth - fewest.Growth) / float64(n-fewest.InFlight)
			}
			b.report.Memory.Large = append(b.report.Memory.Large, r)
			progress("%s, %d large exchanges in flight: %.1f MiB more", t.name, n, r.Growth)
		}
	}
	return nil
}

// large measures one burst after another of n exchanges in a Caddy of their
// own.
func (b *bench) large(ctx context.Context, t *target, n int) (largeReport, error) {
	end := b.mark()
	defer end()
	s := &server{flavour: t.server.flavour, arrangement: files, upstream: b.ports.upstream, metrics: t.server.metrics, targets: []*target{t}}
	if err := b.startServer(ctx, s); err != nil {
		return largeReport{}, err
	}
	client := newClient(n)
	defer client.CloseIdleConnections()
	small := []byte(t.request(padOf(1)))
	if _, err := closedLoop(n, func(i int) bool { return i < 50*n }, func(int) error {
		return t.post(ctx, client, t.address(1), small)
	}); err != nil {
		return largeReport{}, err
	}
	before, err := memoryOf(s.pid)
	if err != nil {
		return largeReport{}, err
	}
	if err := resetPeak(s.pid); err != nil {
		return largeReport{}, err
	}
	body := []byte(t.request(padOf(requestLimit - largeSpare)))
	address := fmt.Sprintf("%s&hold=%d", t.address(answerLimit-largeSpare), n)
	for range largeBursts {
		if _, err := closedLoop(n, func(i int) bool { return i < n }, func(int) error {
			return t.post(ctx, client, address, body)
		}); err != nil {
			return largeReport{}, err
		}
	}
	after, err := memoryOf(s.pid)
	r := largeReport{
		Target: t.name, InFlight: n,
		Before: mib(before.Resident), Peak: mib(after.Peak), Growth: mib(after.Peak - before.Resident),
		Bound: mib(requestLimit+answerLimit) * float64(n),
	}
	r.ToBound = ratio(r.Growth, r.Bound)
	return r, err
}

func (p *printer) large(all []largeReport) {
	p.title(fmt.Sprintf("Memory with large bodies: requests of %d KiB and answers of %d KiB, all in flight at once, %d bursts",
		requestLimit-largeSpare, answerLimit-largeSpare, largeBursts),
		"target", "in flight", "RSS before MiB", "RSS peak MiB", "growth MiB", "limits MiB", "growth x limits", "MiB/exchange more")
	for _, r := range all {
		slope := "-"
		if r.Slope != 0 {
			slope = fmt.Sprintf("%.1f", r.Slope)
		}
		p.line("%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%s\t", r.Target, r.InFlight, r.Before, r.Peak, r.Growth, r.Bound, r.ToBound, slope)
	}
	p.explain(fmt.Sprintf("Limits: (request limit + response limit) x the exchanges in flight. The last column is what one more exchange in\n"+
		"flight costs; both limits together are %d MiB.", (requestLimit+answerLimit)>>10))
}
