package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// series is how exchanges change as one thing grows.
type series struct {
	Title  string  `json:"title"`
	Points []point `json:"points"`
}

// point is one size of the thing that grows.
type point struct {
	X    int   `json:"x"`
	Rows []row `json:"rows"`
}

// growth measures what -full adds.
func (b *bench) growth(ctx context.Context) error {
	three := func(l load) ([]*target, load) {
		all := []*target{b.newPlain(), b.newSidecar("jeepay"), b.newSidecar("hongwen")}
		for _, t := range all {
			t.options = "max_request_body 8MiB\n max_response_body 8MiB"
		}
		return all, l
	}
	return errors.Join(
		b.grow(ctx, "Connections", func(x int) ([]*target, load) { return three(load{x, 1}) }, 1, 4, 16, 64, 256, 1000),
		b.grow(ctx, "KiB of a body", func(x int) ([]*target, load) { return three(load{16, x}) }, 1, 16, 64, 256, 1024, 4096),
		b.grow(ctx, "Key sets", b.withSets, 1, 100, 1000, 5000),
		b.grow(ctx, "Lines of a recipe", b.withLines, 10, 100),
		b.grow(ctx, "Cores", b.withCores, 1, min(2, runtime.NumCPU())),
		b.measureLimit(ctx),
		b.measureReload(ctx),
	)
}

// grow measures one series.
func (b *bench) grow(ctx context.Context, title string, at func(x int) ([]*target, load), xs ...int) error {
	s := series{Title: title}
	for _, x := range xs {
		b.progress("%s: %d", title, x)
		targets, l := at(x)
		stop, err := b.start(ctx, targets...)
		if err != nil {
			return err
		}
		rows, err := b.drive(ctx, targets, l, 3)
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
	dir := filepath.Join(b.dir, fmt.Sprint("sets", n))
	secret, _ := os.ReadFile("keys-dev/merchant/jeepay/M1623997351/secret")
	for i := range n {
		set := filepath.Join(dir, "jeepay", setName(i))
		_ = os.MkdirAll(set, 0o700)
		_ = os.WriteFile(filepath.Join(set, "secret"), secret, 0o600)
	}
	t.sets, t.keys, t.reference = n, "keys file "+dir, "jeepay/{body.mchNo}"
	return []*target{b.newPlain(), t}, typical
}

// withLines returns a recipe of n lines that signs as jeepay does. Each line that it has more
// than the shortest adds a member, which is signed.
func (b *bench) withLines(n int) ([]*target, load) {
	const begin = "recipe lines {\n text all {\n sorted body except sign nested json after &\n append \"key={secret}\"\n }\n request {\n"
	const end = " sign body.sign md5 hex-upper all\n }\n answer {\n verify body.sign md5 hex-upper data\n }\n" +
		" text data {\n sorted body.data except sign after &\n append \"key={secret}\"\n }\n}\n"
	var added strings.Builder
	for i := range n - strings.Count(begin+end, "\n") {
		fmt.Fprintf(&added, " default body.added%d 1\n", i)
	}
	t := b.newSidecar("jeepay")
	t.provider.scheme, t.recipe = "lines", begin+added.String()+end
	return []*target{b.newPlain(), t}, typical
}

// withCores is hongwen on n cores. RSA leaves the load generator, which shares
// them, little to do.
func (b *bench) withCores(n int) ([]*target, load) {
	all := []*target{b.newPlain(), b.newSidecar("hongwen")}
	for _, t := range all {
		t.env = []string{fmt.Sprint("GOMAXPROCS=", n)}
		t.cores = fmt.Sprintf("%d-%d", runtime.NumCPU()-n, runtime.NumCPU()-1)
	}
	return all, typical
}

// measureLimit sends 500 requests of 64 KiB a second, in turn with and without
// GOMEMLIMIT=64MiB.
func (b *bench) measureLimit(ctx context.Context) error {
	const turns, span = 5, 4 * time.Second
	limits := []string{"off", "64MiB"}
	targets := make([]*target, len(limits))
	for i, limit := range limits {
		targets[i] = b.newSidecar("jeepay")
		targets[i].name += ", GOMEMLIMIT " + limit
		targets[i].env = []string{"GOMEMLIMIT=" + limit}
	}
	stop, err := b.start(ctx, targets...)
	if err != nil {
		return err
	}
	defer stop()
	p99, failed := make([][]float64, len(targets)), make([]int, len(targets))
	for range turns {
		for i, t := range targets {
			var took []time.Duration
			for _, s := range t.openLoop(ctx, load{16, 64}, 500, span) {
				if s.err != nil {
					failed[i]++
				}
				took = append(took, s.took)
			}
			p99[i] = append(p99[i], percentile(took, 99)/1000)
		}
	}
	for i, t := range targets {
		b.note("jeepay, 500 requests of 64 KiB a second, GOMEMLIMIT=%s: p99 %.1f ms, %.0f MiB resident, %d failed.", limits[i], median(p99[i]), t.resident(), failed[i])
	}
	return nil
}
