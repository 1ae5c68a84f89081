package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// typical is the load of the comparison.
var typical = load{connections: 16, kib: 1}

// row is what was measured of a target: medians over the rounds.
type row struct {
	Name     string  `json:"name"`
	Requests float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_us"` // of an exchange, user and system
	ToPlain  float64 `json:"cpu_to_plain"`
	Bare     float64 `json:"bare_us,omitempty"`      // the RSA operations of an exchange alone
	ToFloor  float64 `json:"cpu_to_floor,omitempty"` // to the plain proxy and Bare
	Start    float64 `json:"start_ms"`               // from the start of the process to its first answer
	Idle     float64 `json:"idle_mib"`               // resident before the load
	Loaded   float64 `json:"loaded_mib"`             // resident after it
}

// newPlain returns what everything is compared with.
func (b *bench) newPlain() *target {
	return &target{name: "Caddy, reverse_proxy", provider: providers[0], kind: plain, command: b.caddy("caddy")}
}

// newSidecar returns the sidecar for a scheme.
func (b *bench) newSidecar(scheme string) *target {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.scheme == scheme })
	return &target{name: "sidecar, " + scheme, provider: providers[i], kind: sidecar, command: b.caddy("caddy"), bare: "go"}
}

func (b *bench) caddy(binary string) []string {
	return []string{filepath.Join(b.dir, binary), "run", "--config", "{config}", "--adapter", "caddyfile"}
}

// njs is the module with which nginx runs JavaScript, where Debian has it.
const njs = "/usr/lib/nginx/modules/ngx_http_js_module.so"

// targets returns all that are compared, the plain proxy first.
func (b *bench) targets(ctx context.Context) []*target {
	all := []*target{b.newPlain()}
	for _, p := range providers {
		all = append(all, b.newSidecar(p.scheme))
	}
	audited := b.newSidecar("jeepay")
	audited.name, audited.audit = "sidecar, jeepay, audit to a file", true
	all = append(all, audited)
	if b.fastRSA {
		if err := b.build(ctx, "caddy-fast-rsa", caddy, "CGO_ENABLED=1", ",fastrsa"); err != nil {
			b.note("The build with OpenSSL is left out: %v", err)
		} else {
			for _, scheme := range []string{"easypay", "hongwen"} {
				t := b.newSidecar(scheme)
				t.name, t.command, t.bare = t.name+", fast-rsa", b.caddy("caddy-fast-rsa"), "openssl"
				all = append(all, t)
			}
		}
	}
	hongwen := providers[len(providers)-1]
	if node, err := exec.LookPath("node"); err != nil {
		b.note("Node is left out: %v", err)
	} else {
		all = append(all,
			&target{name: "Node sidecar, hongwen", provider: hongwen, kind: peer, bare: "openssl", command: []string{node, "integration/bench/node/sidecar.mjs", "{port}", "{upstream}"}},
			&target{name: "Node in process, hongwen", provider: hongwen, kind: peer, bare: "openssl", inProcess: true, command: []string{node, "integration/bench/node/client.mjs", "{upstream}"}})
	}
	if _, err := os.Stat(njs); err != nil {
		b.note("nginx is left out (Debian: nginx-light libnginx-mod-http-js): %v", err)
	} else {
		all = append(all, &target{name: "nginx with njs, hongwen", provider: hongwen, kind: peer, bare: "openssl",
			conf: "integration/bench/nginx/nginx.conf", command: []string{"nginx", "-c", "{config}", "-p", "."}})
	}
	return slices.DeleteFunc(all, func(t *target) bool {
		return t.kind != plain && b.only != "" && !slices.Contains(strings.Split(b.only, ","), t.provider.scheme)
	})
}

// compare drives everything under the typical load.
func (b *bench) compare(ctx context.Context) error {
	targets := b.targets(ctx)
	stop, err := b.start(ctx, targets...)
	if err != nil {
		return err
	}
	defer stop()
	b.report.Rows, err = b.drive(ctx, targets, typical, b.rounds)
	return err
}

// start starts targets; stop ends them.
func (b *bench) start(ctx context.Context, targets ...*target) (stop func(), err error) {
	stop = func() {
		for _, t := range targets {
			t.stop()
		}
	}
	for _, t := range targets {
		if err := t.run(ctx, b); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// sample is one round of a target, in the units of row.
type sample struct{ requests, p50, p99, cpu, bare float64 }

// drive drives started targets in turn, round after round, the first of which is
// the plain proxy. A round before the first warms up.
func (b *bench) drive(ctx context.Context, targets []*target, l load, rounds int) ([]row, error) {
	client := newClient(l.connections)
	defer client.CloseIdleConnections()
	samples := make([][]sample, len(targets))
	for round := range rounds + 1 {
		bare, err := b.bareRSA(ctx, targets)
		if err != nil {
			return nil, err
		}
		for i, t := range targets {
			s, err := t.sample(b.span, func(span time.Duration) ([]time.Duration, error) { return t.drive(ctx, client, l, "", span) })
			if err != nil {
				return nil, err
			}
			s.bare = bare[t.operation()]
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
		b.progress("%d connections, %d KiB: round %d of %d", l.connections, l.kib, round, rounds)
	}
	rows := make([]row, len(targets))
	for i, t := range targets {
		rows[i] = newRow(t, samples[i], samples[0])
	}
	return rows, nil
}

// sample drives a target for a while that does not count, because a process that
// was idle has to fetch its memory again, and then for the span that counts.
func (t *target) sample(span time.Duration, drive func(time.Duration) ([]time.Duration, error)) (s sample, err error) {
	if _, err := drive(span / 3); err != nil {
		return s, err
	}
	before, err := cpuTime(t.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	began := time.Now()
	took, err := drive(span)
	if err != nil {
		return s, err
	}
	elapsed := time.Since(began)
	after, err := cpuTime(t.cmd.Process.Pid)
	n := float64(len(took))
	return sample{requests: n / elapsed.Seconds(), p50: percentile(took, 50), p99: percentile(took, 99), cpu: us(after-before) / n}, err
}

// newRow makes a row of the samples of a target and, in the same rounds, of the
// plain proxy.
func newRow(t *target, samples, base []sample) row {
	over := func(f func(s, base sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = f(s, base[i])
		}
		return median(values)
	}
	r := row{
		Name:     t.name,
		Requests: over(func(s, _ sample) float64 { return s.requests }),
		P50:      over(func(s, _ sample) float64 { return s.p50 }),
		P99:      over(func(s, _ sample) float64 { return s.p99 }),
		CPU:      over(func(s, _ sample) float64 { return s.cpu }),
		ToPlain:  over(func(s, base sample) float64 { return s.cpu / base.cpu }),
		Bare:     over(func(s, _ sample) float64 { return s.bare }),
		Start:    us(t.start) / 1000, Idle: t.idle, Loaded: t.resident(),
	}
	if r.Bare > 0 {
		r.ToFloor = over(func(s, base sample) float64 { return s.cpu / (base.cpu + s.bare) })
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

// percentile returns the p-th percentile of durations, which it sorts, in
// microseconds; 0 of none.
func percentile(all []time.Duration, p int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return us(all[(len(all)-1)*p/100])
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// operation names the bare RSA operations of an exchange, in what bareRSA returns.
func (t *target) operation() string { return fmt.Sprint(t.bare, t.provider.rsaBits) }
