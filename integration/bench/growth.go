package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// series is how exchanges change as one thing grows.
type series struct {
	Title  string  `json:"title"`
	Unit   string  `json:"unit"`
	Points []point `json:"points"`
}

// point is one size of the thing that grows.
type point struct {
	X    int   `json:"x"`
	Rows []row `json:"rows"`
}

// growthRounds are enough for a curve.
const growthRounds = 3

// growth measures what -full adds.
func (b *bench) growth(ctx context.Context) error {
	large := []*target{b.newPlain(), b.newSidecar("jeepay"), b.newSidecar("hongwen")}
	for _, t := range large[1:] {
		t.options = "max_request_body 8MiB\nmax_response_body 8MiB"
	}
	connections := func(x int) ([]*target, load) { return large, load{x, 1} }
	bodies := func(x int) ([]*target, load) { return large, load{16, x} }
	return errors.Join(
		b.grow(ctx, "Connections", "connections", connections, 1, 4, 16, 64, 256, 1000),
		b.grow(ctx, "Bodies", "KiB", bodies, 1, 16, 64, 256, 1024, 4096),
		b.grow(ctx, "Key sets", "sets", b.withSets, 1, 100, 1000, 5000),
		b.grow(ctx, "Cores", "cores", b.withCores, 1, min(2, runtime.NumCPU())),
		b.measureLimit(ctx),
		b.measureReload(ctx),
	)
}

// grow measures one series.
func (b *bench) grow(ctx context.Context, title, unit string, at func(x int) ([]*target, load), xs ...int) error {
	s := series{Title: title, Unit: unit}
	for _, x := range xs {
		b.progress("%s: %d", title, x)
		targets, l := at(x)
		stop, err := b.startAll(ctx, targets)
		if err != nil {
			return err
		}
		rows, err := b.drive(ctx, targets, l, growthRounds)
		stop()
		if err != nil {
			return err
		}
		s.Points = append(s.Points, point{x, rows})
	}
	b.report.Series = append(b.report.Series, s)
	return nil
}

// withSets is jeepay with n key sets, chosen by the request's mchNo.
func (b *bench) withSets(n int) ([]*target, load) {
	t := b.newSidecar("jeepay")
	dir := filepath.Join(b.dir, fmt.Sprintf("sets-%d", n))
	for i := range n {
		set := filepath.Join(dir, "jeepay", setName(i))
		secret, _ := os.ReadFile("keys-dev/merchant/jeepay/M1623997351/secret")
		_ = os.MkdirAll(set, 0o700)
		_ = os.WriteFile(filepath.Join(set, "secret"), secret, 0o600)
	}
	t.sets, t.source, t.keys = n, "keys file "+dir, "jeepay/{body.mchNo}"
	return []*target{b.newPlain(), t}, typical
}

// withCores is hongwen on n cores. RSA leaves the load generator, which shares
// them, little to do.
func (b *bench) withCores(n int) ([]*target, load) {
	all := []*target{b.newPlain(), b.newSidecar("hongwen")}
	for _, t := range all {
		t.env = []string{fmt.Sprintf("GOMAXPROCS=%d", n)}
		t.cores = fmt.Sprintf("%d-%d", runtime.NumCPU()-n, runtime.NumCPU()-1)
	}
	return all, typical
}

// The load under which disturbances are measured: 500 requests a second.
const (
	steadyRate = 500
	steadySpan = 10 * time.Second
)

// steady returns the p99 in milliseconds of an open loop, and the memory after it.
func (b *bench) steady(ctx context.Context, t *target, l load, beside func()) (p99, resident float64, err error) {
	stop, err := b.startAll(ctx, []*target{t})
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	t.openLoop(ctx, l, steadyRate, time.Second, patience) // warms up
	if beside != nil {
		go beside()
	}
	var took []time.Duration
	for _, s := range t.openLoop(ctx, l, steadyRate, steadySpan, patience) {
		if s.err != nil {
			return 0, 0, fmt.Errorf("driving %s: %w", t.name, s.err)
		}
		took = append(took, s.took)
	}
	return percentile(took, 99) / 1000, t.process.resident(), nil
}

// measureLimit compares exchanges with and without GOMEMLIMIT=64MiB.
func (b *bench) measureLimit(ctx context.Context) error {
	bodies := load{16, 64}
	free, freeMiB, err := b.steady(ctx, b.newSidecar("jeepay"), bodies, nil)
	if err != nil {
		return err
	}
	limited := b.newSidecar("jeepay")
	limited.env = []string{"GOMEMLIMIT=64MiB"}
	p99, mib, err := b.steady(ctx, limited, bodies, nil)
	if err != nil {
		return err
	}
	b.note("GOMEMLIMIT=64MiB, jeepay, %d requests a second of 64 KiB: p99 %.1f ms and %.0f MiB resident; without the limit %.1f ms and %.0f MiB.", steadyRate, p99, mib, free, freeMiB)
	return nil
}

// measureReload compares exchanges while the configuration is loaded again each
// second with those of a quiet time.
func (b *bench) measureReload(ctx context.Context) error {
	quiet, _, err := b.steady(ctx, b.newSidecar("jeepay"), typical, nil)
	if err != nil {
		return err
	}
	t := b.newSidecar("jeepay")
	var failed error
	p99, _, err := b.steady(ctx, t, typical, func() {
		for range int(steadySpan.Seconds()) - 1 {
			failed = errors.Join(failed, t.reload(ctx, b.upstream))
			time.Sleep(time.Second)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	b.note("A reload each second, jeepay, %d requests a second: p99 %.1f ms; without reloads %.1f ms.", steadyRate, p99, quiet)
	return nil
}
