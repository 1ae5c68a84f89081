package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// bench is a measurement under way: the processes, and what was found.
type bench struct {
	options  options
	dir      string
	flavours []*flavour
	vault    *vault // nil without one
	servers  []*server
	report   *report
	ports    *ports
	stop     []func()
}

// newBench builds what is needed and starts the upstream.
func newBench(ctx context.Context, o options) (_ *bench, err error) {
	if err := checkPort(o.port); err != nil {
		return nil, err
	}
	b := &bench{options: o, report: new(report), ports: newPorts(o.port)}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "countersign-bench-"); err != nil {
		return nil, err
	}
	b.stop = append(b.stop, func() { _ = os.RemoveAll(b.dir) })
	timing := !o.memory && !o.overload
	for i, f := range theFlavours() {
		if i > 0 && !(timing && o.fastRSA) {
			break
		}
		progress("building the flavour %s", f.name)
		if err := f.build(ctx, b.dir); err != nil && i > 0 {
			b.report.note("The flavour %s is not measured: %v", f.name, err)
			continue
		} else if err != nil {
			return nil, err
		}
		b.flavours = append(b.flavours, f)
	}
	// This process drives the load: it stays off Caddy's core, and with it
	// whatever it starts and does not move.
	if err := pin(os.Getpid(), others()...); err != nil {
		return nil, err
	}
	if !o.memory {
		b.stayAwake()
	}
	if timing && o.vault {
		b.startVault(ctx)
	}
	b.arrange()
	return b, b.startUpstream(ctx)
}

// startVault starts a Vault, or notes why there is none.
func (b *bench) startVault(ctx context.Context) {
	progress("building and starting Vault; the first time it takes minutes")
	v, err := startVault(ctx, b.dir)
	if err != nil {
		b.report.note("Nothing is measured with keys in Vault: %v", err)
		return
	}
	b.vault = v
	b.stop = append(b.stop, func() { _ = v.server.Close() })
}

func (b *bench) startUpstream(ctx context.Context) error {
	port := b.ports.upstream
	if _, err := b.start(ctx, nil, "upstream.log", b.flavours[0].self, "-role", "upstream", "-port", strconv.Itoa(port)); err != nil {
		return err
	}
	return waitFor(ctx, port)
}

// checkPort refuses to measure beside another measurement. Caddys share a port
// without a word (SO_REUSEPORT), and each would get some of the other's load.
func checkPort(port int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return fmt.Errorf("is another measurement under way? Wait for its end, or choose another -port: %w", err)
	}
	return listener.Close()
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
		return 0, fmt.Errorf("starting %s: %w", filepath.Base(name), err)
	}
	b.stop = append(b.stop, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	return cmd.Process.Pid, nil
}

// close ends what was started, the last first.
func (b *bench) close() {
	for i := len(b.stop) - 1; i >= 0; i-- {
		b.stop[i]()
	}
	b.stop = nil
}

// mark remembers what runs now; what mark returns ends all that was started
// since then.
func (b *bench) mark() (end func()) {
	running := len(b.stop)
	return func() {
		for len(b.stop) > running {
			last := b.stop[len(b.stop)-1]
			b.stop = b.stop[:len(b.stop)-1]
			last()
		}
	}
}

// progress tells what goes on, apart from the report.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
