package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// bench is a measurement under way: the processes and what was found.
type bench struct {
	options options
	dir     string
	targets []*target
	flavour []flavour
	report  *report
	stop    []func()
}

// flavour is a way to build the binary.
type flavour struct {
	name  string
	env   []string
	caddy string // the binary
	self  string // this command, built alike, for the floor
	pid   int    // of the Caddy that writes no audit entries
	audit int    // of the one that writes them to a file
	floor floorTimes
}

// of is the process that serves a target.
func (f *flavour) of(t *target) int {
	if t.audit {
		return f.audit
	}
	return f.pid
}

func newBench(ctx context.Context, o options) (*bench, error) {
	if _, err := os.Stat("keys-dev/merchant"); err != nil {
		return nil, errors.New("run it from the top of the repository: go run ./integration/bench")
	}
	dir, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, report: new(report)}
	b.stop = append(b.stop, func() { _ = os.RemoveAll(dir) })
	for _, t := range targets() {
		if t.plain || o.wants(t.name) || o.wants(t.scheme) {
			b.targets = append(b.targets, t)
		}
	}
	b.flavour = []flavour{{name: "go"}}
	if o.fastRSA {
		b.flavour = append(b.flavour, flavour{name: "fast-rsa", env: []string{"GOEXPERIMENT=boringcrypto", "CGO_ENABLED=1"}})
	}
	for i := range b.flavour {
		if err := b.build(ctx, &b.flavour[i]); err != nil {
			b.close()
			return nil, err
		}
	}
	// This process drives the load: it stays off Caddy's core.
	if err := pin(os.Getpid(), others()...); err != nil {
		b.close()
		return nil, err
	}
	return b, b.startUpstream(ctx)
}

// caddyCore is the core that Caddy is pinned to.
func caddyCore() int { return runtime.NumCPU() - 1 }

func others() []int {
	var cores []int
	for core := range caddyCore() {
		cores = append(cores, core)
	}
	return cores
}

func (b *bench) build(ctx context.Context, f *flavour) error {
	for _, what := range []struct {
		path   *string
		module string
	}{{&f.caddy, "./module/cmd/caddy"}, {&f.self, "./integration/bench"}} {
		*what.path = filepath.Join(b.dir, f.name+"-"+filepath.Base(what.module))
		cmd := exec.CommandContext(ctx, "go", "build", "-o", *what.path, what.module)
		cmd.Env = append(os.Environ(), f.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s (%s): %w\n%s", what.module, f.name, err, out)
		}
	}
	return nil
}

func (b *bench) startUpstream(ctx context.Context) error {
	pid, err := b.start(ctx, nil, "upstream.log", b.flavour[0].self, "-role", "upstream")
	if err != nil {
		return err
	}
	if err := waitFor(ctx, upstreamPort); err != nil {
		return err
	}
	return pin(pid, others()...)
}

// start starts a process that ends with the measurement.
func (b *bench) start(ctx context.Context, env []string, log, name string, args ...string) (int, error) {
	out, err := os.Create(filepath.Join(b.dir, log))
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.stop = append(b.stop, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	return cmd.Process.Pid, nil
}

func (b *bench) close() {
	for i := len(b.stop) - 1; i >= 0; i-- {
		b.stop[i]()
	}
	b.stop = nil
}

// startCaddy starts a flavour's two Caddys, pinned to the same core, with a site
// for each target: one writes the audit entries to a file, the other does not.
func (b *bench) startCaddy(ctx context.Context, f *flavour) error {
	for _, audit := range []bool{false, true} {
		name := f.name
		port, pid := metricsPort, &f.pid
		if audit {
			name += "-audit"
			port, pid = auditPort, &f.audit
		}
		config := filepath.Join(b.dir, name+".Caddyfile")
		if err := os.WriteFile(config, []byte(b.caddyfile(name, port, audit)), 0o600); err != nil {
			return err
		}
		started, err := b.start(ctx, []string{"GOMAXPROCS=1", "XDG_DATA_HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir},
			name+".log", f.caddy, "run", "--config", config, "--adapter", "caddyfile")
		if err != nil {
			return err
		}
		if err := waitFor(ctx, port); err != nil {
			log, _ := os.ReadFile(filepath.Join(b.dir, name+".log"))
			return fmt.Errorf("%w\n%s", err, log)
		}
		*pid = started
		if err := pin(started, caddyCore()); err != nil {
			return err
		}
	}
	return b.measureFloor(ctx, f)
}

func (b *bench) measureFloor(ctx context.Context, f *flavour) error {
	cmd := exec.CommandContext(ctx, f.self, "-role", "floor")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := pin(cmd.Process.Pid, caddyCore()); err != nil {
		return err
	}
	if err := json.NewDecoder(out).Decode(&f.floor); err != nil {
		return err
	}
	return cmd.Wait()
}

func (b *bench) caddyfile(name string, port int, audit bool) string {
	audited := ""
	if audit {
		audited = "log audited {\n\t\toutput file " + filepath.Join(b.dir, name+".audit") + "\n\t\tinclude http.countersign.audit\n\t}"
	}
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin unix//%s/%s.sock|0600
	persist_config off
	auto_https off
	log default {
		output discard
		exclude http.countersign.audit
	}
	%s
	countersign {
		keys file keys-dev/merchant
	}
}
http://127.0.0.1:%d {
	bind 127.0.0.1
	metrics
}
`, b.dir, name, audited, port)
	for _, t := range b.targets {
		if t.audit != audit {
			continue
		}
		fmt.Fprintf(&text, "http://127.0.0.1:%d {\n\tbind 127.0.0.1\n", t.port)
		if t.plain {
			fmt.Fprintf(&text, "\treverse_proxy 127.0.0.1:%d\n}\n", upstreamPort)
			continue
		}
		fmt.Fprintf(&text, "\tcountersign %s 127.0.0.1:%d {\n", t.scheme, upstreamPort)
		for line := range strings.SplitSeq(t.options, "\n") {
			fmt.Fprintf(&text, "\t\t%s\n", line)
		}
		text.WriteString("\t}\n}\n")
	}
	return text.String()
}

// waitFor waits until a port takes connections.
func waitFor(ctx context.Context, port int) error {
	address := "127.0.0.1:" + strconv.Itoa(port)
	for start := time.Now(); time.Since(start) < 30*time.Second && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nothing listens on %s", address)
}

// mallocs is how many objects Caddy has allocated, as its metrics tell.
func mallocs(ctx context.Context, t *target) (float64, error) {
	port := metricsPort
	if t.audit {
		port = auditPort
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	return metric(res.Body, "go_memstats_mallocs_total")
}
