package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// measure drives all targets, flavour by flavour.
func (b *bench) measure(ctx context.Context) error {
	loads := []struct{ connections, kib int }{{16, 1}}
	if b.options.full {
		loads = nil
		for _, connections := range []int{1, 16, 64} {
			for _, kib := range []int{1, 16, 256} {
				loads = append(loads, struct{ connections, kib int }{connections, kib})
			}
		}
	}
	for i := range b.flavour {
		f := &b.flavour[i]
		running := len(b.stop)
		if err := b.startCaddy(ctx, f); err != nil {
			return err
		}
		for _, load := range loads {
			if err := b.rounds(ctx, f, load.connections, load.kib); err != nil {
				return err
			}
		}
		if b.options.profile != "" {
			if err := b.profiles(ctx, f); err != nil {
				return err
			}
		}
		for len(b.stop) > running { // this flavour's Caddy
			b.stop[len(b.stop)-1]()
			b.stop = b.stop[:len(b.stop)-1]
		}
	}
	return nil
}

// rounds drives every target in turn, several times, and adds the medians to
// the report.
func (b *bench) rounds(ctx context.Context, f *flavour, connections, kib int) error {
	samples := make([][]sample, len(b.targets))
	for round := range b.options.rounds + 1 {
		for i, t := range b.targets {
			span := b.options.span
			if round == 0 {
				span /= 4 // warms up, is not counted
			}
			s, err := b.drive(ctx, f, t, connections, kib, span)
			if err != nil {
				return err
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
		fmt.Fprintf(os.Stderr, "%s, %d connections, %d KiB: round %d of %d\n", f.name, connections, kib, round, b.options.rounds)
	}
	plain := samples[0]
	for i, t := range b.targets {
		r := row{
			Flavour: f.name, Target: t.name, Connections: connections, KiB: kib,
			Requests: median(samples[i], func(s sample) float64 { return float64(s.requests) / s.elapsed.Seconds() }),
			P50:      median(samples[i], func(s sample) float64 { return us(s.p50) }),
			P99:      median(samples[i], func(s sample) float64 { return us(s.p99) }),
			CPU:      median(samples[i], cpuOf),
			Allocs:   median(samples[i], func(s sample) float64 { return s.allocs }),
			Resident: memory(f.of(t)),
		}
		crypto := f.floor[t.floorOps]
		if kib > 1 {
			crypto = 0 // the bare operations are measured at 1 KiB
		}
		var toPlain, toFloor []float64
		for round := range samples[i] {
			base := cpuOf(plain[round])
			toPlain = append(toPlain, cpuOf(samples[i][round])/base)
			toFloor = append(toFloor, cpuOf(samples[i][round])/(base+crypto))
		}
		r.Crypto, r.ToPlain, r.ToFloor = crypto, middle(toPlain), middle(toFloor)
		b.report.Rows = append(b.report.Rows, r)
	}
	b.report.Floor = f.floor
	return nil
}

// cpuOf is the CPU time of a request in microseconds.
func cpuOf(s sample) float64 { return us(s.cpu) / float64(s.requests) }

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return middle(values)
}

func middle(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}
