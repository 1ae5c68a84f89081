// Command supplychain says what is in the binary, and what it loads, from what
// the linker wrote into it and the module cache's copy of each module.
//
//	go -C integration/supplychain build -o /tmp/supplychain .
//	/tmp/supplychain [BINARY]             # CycloneDX JSON on standard output
//	/tmp/supplychain -licenses [BINARY]   # a table of the licences
//	/tmp/supplychain -reproducible        # two builds, one digest
//
// BINARY is ./caddy, or, where there is none, a build made for the occasion.
// Run it from the top of the repository. With -licenses it fails if a module
// has a licence that may not be shipped, or none that is known.
package main

import (
	"context"
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

func main() {
	var opts options
	flag.BoolVar(&opts.licenses, "licenses", false, "print the licences, fail if one may not be shipped")
	flag.BoolVar(&opts.reproducible, "reproducible", false, "build twice and compare")
	flag.Parse()
	opts.binary = flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "supplychain:", err)
		stop()
		os.Exit(1)
	}
}

// options are what the command line asks for.
type options struct {
	licenses     bool
	reproducible bool
	binary       string
}

func run(ctx context.Context, opts options, out io.Writer) error {
	if opts.reproducible {
		return reproduce(ctx, ".", out)
	}
	binary, cleanup, err := binaryOrBuild(ctx, opts.binary)
	if err != nil {
		return err
	}
	defer cleanup()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what is in %s: %w", binary, err)
	}
	modules, err := findModules(ctx, info)
	if err != nil {
		return err
	}
	libraries, err := systemLibraries(binary, info)
	if err != nil {
		return err
	}
	modules = append(modules, libraries...)
	if opts.licenses {
		return writeLicenses(out, modules)
	}
	digest, err := digestOf(binary)
	if err != nil {
		return err
	}
	return writeBOM(out, info, digest, modules)
}

// binaryOrBuild returns the binary asked for, ./caddy, or a new build, and what
// removes that again.
func binaryOrBuild(ctx context.Context, asked string) (string, func(), error) {
	const usual = "./caddy"
	if asked == "" {
		if _, err := os.Stat(usual); err == nil {
			asked = usual
		}
	}
	if asked != "" {
		return asked, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "supplychain")
	if err != nil {
		return "", nil, err
	}
	cleanup := func() { os.RemoveAll(dir) }
	binary := filepath.Join(dir, "caddy")
	if err := build(ctx, ".", binary); err != nil {
		cleanup()
		return "", nil, err
	}
	return binary, cleanup, nil
}

// build runs xcaddy.sh in the checkout, with env added to the environment.
func build(ctx context.Context, checkout, binary string, env ...string) error {
	absolute, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "./xcaddy.sh", "build", "-o", absolute)
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building in %s: %w", checkout, err)
	}
	return nil
}
