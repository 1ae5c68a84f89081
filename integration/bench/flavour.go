package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// flavour is a way to build the binary.
type flavour struct {
	name  string
	flags []string // of ./xcaddy.sh build
	caddy string   // the binary that is measured
	self  string   // this command, built alike

	// What measures the bare operations. Two binaries of the same code were seen to
	// differ by half in RSA, presumably by where the linker puts the arithmetic: of
	// the usual flavour this very binary is asked as well, and the faster counts.
	bare []string
}

// theFlavours are all there are, the usual one first.
func theFlavours() []*flavour {
	return []*flavour{{name: "go"}, {name: "fast-rsa", flags: []string{"--fast-rsa"}}}
}

// build builds Caddy as its users do, and this command alike.
func (f *flavour) build(ctx context.Context, dir string) error {
	f.caddy = filepath.Join(dir, "caddy-"+f.name)
	f.self = filepath.Join(dir, "bench-"+f.name)
	cmd := exec.CommandContext(ctx, "./xcaddy.sh", append([]string{"build", "-o", f.caddy}, f.flags...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy in the flavour %s: %w\n%s", f.name, err, out)
	}
	args, env, err := alike(f.caddy)
	if err != nil {
		return err
	}
	cmd = exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", f.self}, args...), "./integration/bench")...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the bench in the flavour %s: %w\n%s", f.name, err, out)
	}
	f.bare = []string{f.self}
	if len(f.flags) > 0 {
		return nil
	}
	this, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this binary: %w", err)
	}
	f.bare = append(f.bare, this)
	return nil
}

// alike reads out of a binary how to build another one like it, so that what is
// called bare is done by the same code that signs in the sidecar, whatever a
// flavour is made of.
func alike(binary string) (args, env []string, err error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, nil, fmt.Errorf("reading how %s was built: %w", filepath.Base(binary), err)
	}
	env = []string{"GOEXPERIMENT="}
	for _, s := range info.Settings {
		switch {
		case s.Key == "-tags":
			args = append(args, "-tags="+s.Value)
		case s.Key == "GOEXPERIMENT", s.Key == "CGO_ENABLED", s.Key == "GOAMD64":
			env = append(env, s.Key+"="+s.Value)
		}
	}
	return args, env, nil
}
