// Command bench measures what the sidecar costs.
//
// It starts an upstream that answers with answers that were signed beforehand, a
// Caddy with a plain reverse_proxy, one with the sidecar for each scheme, and
// programs that do the same work by other means. It drives them one after another,
// round after round, with the same load, so that what else the machine does falls
// on all of them; what counts are the ratios.
//
//	go run ./integration/bench            the short form, under five minutes
//	go run ./integration/bench -full      also growth: connections, bodies, key sets, cores, memory
//	go run ./integration/bench -overload  twice the load that the sidecar carries
//	go run ./integration/bench -recipes   recipes beside the same schemes written in Go
//
// README.md has the method and the figures of a run.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// bench is a measurement under way.
type bench struct {
	full, overload, recipes, json, fastRSA bool
	only, svg                              string
	rounds                                 int
	span                                   time.Duration

	dir      string // of binaries, configurations and logs
	upstream string // host:port
	measured string // the core of the measured programs
	report   report
}

func main() {
	b := new(bench)
	flag.BoolVar(&b.full, "full", false, "measure growth too")
	flag.BoolVar(&b.overload, "overload", false, "measure twice the load that the sidecar carries, and nothing else; exit 1 unless it holds")
	flag.BoolVar(&b.recipes, "recipes", false, "measure recipes beside the same schemes written in Go, and nothing else")
	flag.BoolVar(&b.json, "json", false, "print JSON")
	flag.BoolVar(&b.fastRSA, "fast-rsa", true, "measure the build in which OpenSSL computes with private keys too")
	flag.StringVar(&b.only, "only", "", "schemes to measure, separated by commas (default all)")
	flag.StringVar(&b.svg, "svg", "", "draw the figures into this `file`")
	flag.IntVar(&b.rounds, "rounds", 8, "interleaved rounds")
	flag.DurationVar(&b.span, "span", 500*time.Millisecond, "how long each program is driven in a round")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if _, err := os.Stat("keys-dev/merchant"); err != nil {
		return fmt.Errorf("run it from the top of the repository, go run ./integration/bench: %w", err)
	}
	if b.dir, err = os.MkdirTemp("", "countersign-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir) //nolint:errcheck // a temporary folder
	if err := b.build(ctx, "caddy", caddy, "CGO_ENABLED=0", ""); err != nil {
		return err
	}
	debug.SetGCPercent(400)      // of the load generator
	if os.Getenv("GOGC") == "" { // all programs collect garbage alike
		_ = os.Setenv("GOGC", "100")
	}
	if err := b.pin(); err != nil {
		return err
	}
	release, err := stayAwake()
	if err != nil {
		b.note("Idle cores may halt, which counts against what is slower than the plain proxy: %v", err)
	}
	defer release()
	u, err := startUpstream()
	if err != nil {
		return err
	}
	b.upstream = u.address
	b.report.Machine = b.machine(ctx)

	steps := []func(context.Context) error{b.compare, b.signatures}
	if b.full {
		steps = append(steps, b.growth)
	}
	if b.overload {
		steps = []func(context.Context) error{b.measureOverload}
	}
	if b.recipes {
		steps = []func(context.Context) error{b.compareRecipes}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if b.svg != "" {
		if err := os.WriteFile(b.svg, []byte(b.report.draw()), 0o600); err != nil {
			return err
		}
	}
	write := b.report.print
	if b.json {
		write = func(w io.Writer) error { return json.NewEncoder(w).Encode(b.report) }
	}
	err = write(os.Stdout)
	if o := b.report.Overload; err == nil && o != nil && !o.Pass {
		err = fmt.Errorf("under twice its load the sidecar does not answer four fifths of it, or refuses slowly")
	}
	return err
}

// caddy is the program that is measured.
const caddy = "./module/cmd/caddy"

// build builds a Caddy as xcaddy.sh does, with tags beside those of Caddy's releases.
func (b *bench) build(ctx context.Context, name, source, cgo, tags string) error {
	b.progress("building %s", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags=nobadger,nomysql,nopgx"+tags, "-o", filepath.Join(b.dir, name), source)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

// pin gives the measured programs the last core, and this process, which drives
// them and plays the provider, the others.
func (b *bench) pin() error {
	last := runtime.NumCPU() - 1
	b.measured = fmt.Sprint(last)
	if last > 0 {
		runtime.GOMAXPROCS(last)
	}
	out, err := exec.Command("taskset", "-a", "-p", "-c", fmt.Sprintf("0-%d", max(last-1, 0)), fmt.Sprint(os.Getpid())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running taskset (Debian: util-linux): %w: %s", err, out)
	}
	return nil
}

// note adds a line to the report.
func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
}

// progress says on standard error what is being done.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// machine says what is measured on, and with which versions.
func (b *bench) machine(ctx context.Context) string {
	parts := []string{fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), runtime.Version()}
	for _, command := range [][]string{{"node", "--version"}, {"openssl", "version"}} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output(); err == nil {
			parts = append(parts, strings.TrimPrefix(command[0]+" "+strings.TrimSpace(string(out)), "openssl "))
		}
	}
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		parts = append(parts, name+"="+cmp.Or(os.Getenv(name), "(default)"))
	}
	return strings.Join(parts, "; ")
}
