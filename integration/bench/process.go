package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// process is a program that is measured.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser // its standard input
	out io.ReadCloser  // its standard output
	log string         // the file of its standard error
}

// cores returns the cores, as taskset(1) writes them, of what is measured and of
// the load. With n cores the measured programs have the last one and everything
// else has the others.
func cores(n int) (measured, load string) {
	if n == 1 {
		return "0", "0"
	}
	return strconv.Itoa(n - 1), "0-" + strconv.Itoa(n-2)
}

// pinSelf moves the load generator and the upstream off the measured core.
func pinSelf() error {
	_, load := cores(runtime.NumCPU())
	if runtime.NumCPU() > 1 {
		runtime.GOMAXPROCS(runtime.NumCPU() - 1)
	}
	out, err := exec.Command("taskset", "-a", "-p", "-c", load, strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running taskset (Debian: util-linux): %w: %s", err, out)
	}
	return nil
}

// start starts a program on the given cores.
func start(ctx context.Context, on, log string, env []string, name string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // the program writes to it
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", on, name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = file
	p := &process{cmd: cmd, log: log}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(name), err)
	}
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// resident returns the resident memory of the process in MiB.
func (p *process) resident() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return float64(kib) / 1024
		}
	}
	return 0
}

// freePort returns a port of 127.0.0.1 that nothing listens on.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close() //nolint:errcheck // only its number is wanted
	return listener.Addr().(*net.TCPAddr).Port, nil
}
