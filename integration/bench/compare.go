package main

import (
	"context"
	"os/exec"
	"slices"
	"time"
)

// typical is the load of the comparison.
var typical = load{connections: 16, kib: 1}

// row is what was measured of a target: medians over the rounds. Times are in
// microseconds.
type row struct {
	Name     string  `json:"name"`
	Scheme   string  `json:"scheme"`
	Load     load    `json:"-"`
	Requests float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_us"` // of an exchange, user and system
	ToPlain  float64 `json:"cpu_to_plain"`
	Bare     float64 `json:"bare_us,omitempty"`      // the RSA operations of an exchange by themselves
	ToFloor  float64 `json:"cpu_to_floor,omitempty"` // to the plain proxy and Bare
	Start    float64 `json:"start_ms"`               // from the start of the process to its first answer
	Idle     float64 `json:"idle_mib"`               // resident before the load
	Loaded   float64 `json:"loaded_mib"`             // resident after it
}

// newPlain is what everything is compared with.
func (b *bench) newPlain() *target {
	return &target{name: "Caddy, reverse_proxy", provider: providers[0], kind: plain, config: caddyfile, command: b.caddy("caddy")}
}

// newSidecar is the sidecar for a scheme.
func (b *bench) newSidecar(scheme string) *target {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.scheme == scheme })
	return &target{name: "sidecar, " + scheme, provider: providers[i], kind: sidecar, config: caddyfile, command: b.caddy("caddy"), bare: "go"}
}

func (b *bench) caddy(binary string) []string {
	return []string{b.binary(binary), "run", "--config", "{config}", "--adapter", "caddyfile"}
}

// targets are all that are compared, the plain proxy first.
func (b *bench) targets(ctx context.Context) []*target {
	all := []*target{b.newPlain()}
	for _, p := range providers {
		all = append(all, b.newSidecar(p.scheme))
	}
	audited := b.newSidecar("jeepay")
	audited.name, audited.audit = "sidecar, jeepay, audit to a file", true
	all = append(all, audited)
	if b.fastRSA {
		if err := b.build(ctx, "caddy-fast-rsa", "fastrsa"); err != nil {
			b.note("The build with OpenSSL is left out: %v", err)
		} else {
			for _, scheme := range []string{"easypay", "hongwen"} {
				t := b.newSidecar(scheme)
				t.name, t.command, t.bare = "sidecar, "+scheme+", fast-rsa", b.caddy("caddy-fast-rsa"), "openssl"
				all = append(all, t)
			}
		}
	}
	all = append(all, b.peers()...)
	if b.vault {
		if t, err := b.newTransit(ctx); err != nil {
			b.note("Vault is left out: %v", err)
		} else {
			all = append(all, t)
		}
	}
	return slices.DeleteFunc(all, func(t *target) bool { return t.kind != plain && !b.wants(t.provider.scheme) })
}

// peers do the work of the sidecar for hongwen by other means.
func (b *bench) peers() (all []*target) {
	hongwen := providers[len(providers)-1]
	if node, err := exec.LookPath("node"); err != nil {
		b.note("Node is left out: %v", err)
	} else {
		all = append(all,
			&target{name: "Node sidecar, hongwen", provider: hongwen, kind: peer, bare: "openssl", command: []string{node, "integration/bench/node/sidecar.mjs", "{port}", "{upstream}"}},
			&target{name: "Node in process, hongwen", provider: hongwen, kind: peer, bare: "openssl", inProcess: true, command: []string{node, "integration/bench/node/client.mjs", "{upstream}"}})
	}
	return all
}

// compare drives everything under the typical load.
func (b *bench) compare(ctx context.Context) error {
	targets := b.targets(ctx)
	stop, err := b.startAll(ctx, targets)
	if err != nil {
		return err
	}
	defer stop()
	if b.report.Rows, err = b.drive(ctx, targets, typical, b.rounds); err != nil {
		return err
	}
	if b.profile == "" {
		return nil
	}
	return b.profiles(ctx, targets)
}

// startAll starts targets; stop ends them.
func (b *bench) startAll(ctx context.Context, targets []*target) (stop func(), err error) {
	stop = func() {
		for _, t := range targets {
			if t.process != nil {
				t.process.stop()
			}
		}
	}
	for _, t := range targets {
		if err := t.run(ctx, b.dir, b.measured, b.upstream); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// sample is what one round says of a target.
type sample struct {
	took []time.Duration
	span time.Duration
	cpu  float64 // of an exchange, in µs
	bare map[string]float64
}

// drive drives started targets in turn, round after round, the first of which is
// the plain proxy. A round before the first warms up.
func (b *bench) drive(ctx context.Context, targets []*target, l load, rounds int) ([]row, error) {
	client := newClient(l.connections)
	defer client.CloseIdleConnections()
	all := make([][]sample, len(targets))
	for round := range rounds + 1 {
		bare, err := b.bareRSA(ctx, targets)
		if err != nil {
			return nil, err
		}
		for i, t := range targets {
			s, err := b.sample(t, func(span time.Duration) ([]time.Duration, error) { return t.drive(ctx, client, l, "", span) })
			if err != nil {
				return nil, err
			}
			s.bare = bare
			if round > 0 {
				all[i] = append(all[i], s)
			}
		}
		b.progress("%d connections, %d KiB: round %d of %d", l.connections, l.kib, round, rounds)
	}
	rows := make([]row, len(targets))
	for i, t := range targets {
		rows[i] = newRow(t, l, all[i], all[0])
	}
	return rows, nil
}

// sample drives a target for a while that does not count, because a process that
// was idle has to fetch its memory again, and then for the span that counts.
func (b *bench) sample(t *target, drive func(time.Duration) ([]time.Duration, error)) (s sample, err error) {
	if _, err := drive(b.span / 3); err != nil {
		return s, err
	}
	pid := t.process.cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return s, err
	}
	began := time.Now()
	if s.took, err = drive(b.span); err != nil {
		return s, err
	}
	s.span = time.Since(began)
	after, err := cpuTime(pid)
	s.cpu = us(after-before) / float64(len(s.took))
	return s, err
}

// newRow makes a row out of the samples of a target and of the plain proxy.
func newRow(t *target, l load, samples, base []sample) row {
	over := func(f func(i int, s sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = f(i, s)
		}
		return median(values)
	}
	bare := func(i int) float64 { return base[i].bare[t.operation()] }
	r := row{
		Name: t.name, Scheme: t.provider.scheme, Load: l,
		Requests: over(func(_ int, s sample) float64 { return float64(len(s.took)) / s.span.Seconds() }),
		P50:      over(func(_ int, s sample) float64 { return percentile(s.took, 50) }),
		P99:      over(func(_ int, s sample) float64 { return percentile(s.took, 99) }),
		CPU:      over(func(_ int, s sample) float64 { return s.cpu }),
		ToPlain:  over(func(i int, s sample) float64 { return s.cpu / base[i].cpu }),
		Bare:     over(func(i int, _ sample) float64 { return bare(i) }),
		Start:    us(t.start) / 1000, Idle: t.idle, Loaded: t.process.resident(),
	}
	if r.Bare > 0 {
		r.ToFloor = over(func(i int, s sample) float64 { return s.cpu / (base[i].cpu + bare(i)) })
	}
	return r
}

// median returns the middle of values, which it sorts; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
