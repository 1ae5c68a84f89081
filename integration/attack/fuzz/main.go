// Command fuzz runs every fuzz target of this module, as many at once as there are
// processors, and prints a line for each:
//
//	go run ./integration/attack/fuzz -for 10m
//
// With -save it keeps, beside each target, the smallest inputs that reached new
// code, so that they are tried again by every "go test". It ends with status 1
// if a target found something.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// kept is how many inputs of a target -save keeps at most, and keptSize how
// large one may be, in bytes.
const (
	kept     = 40
	keptSize = 4 << 10
)

// target is a fuzz target and the package that it is in.
type target struct{ directory, importPath, name string }

func (t target) String() string { return filepath.Base(t.directory) + "." + t.name }

func main() {
	each := flag.Duration("for", 10*time.Minute, "how long each target runs")
	only := flag.String("only", "", "a regular expression that the targets must match, as in body.FuzzParse")
	skip := flag.String("skip", "^$", "a regular expression of targets that do not run")
	save := flag.Bool("save", false, "keep inputs that reached new code in testdata/fuzz")
	flag.Parse()
	ok, err := run(context.Background(), *each, *only, *skip, *save)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, each time.Duration, only, skip string, save bool) (ok bool, err error) {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return false, fmt.Errorf("reading -only: %w", err)
	}
	unwanted, err := regexp.Compile(skip)
	if err != nil {
		return false, fmt.Errorf("reading -skip: %w", err)
	}
	targets, err := list(ctx)
	if err != nil {
		return false, err
	}
	fmt.Printf("%-44s %10s %12s %8s  %s\n", "target", "time", "execs", "new", "result")
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var failed atomic.Bool
	for _, t := range targets {
		if name := t.String(); !wanted.MatchString(name) || unwanted.MatchString(name) {
			continue
		}
		group.Go(func() error {
			if !t.run(ctx, each) {
				failed.Store(true)
				return nil
			}
			if save {
				return keep(ctx, t)
			}
			return nil
		})
	}
	err = group.Wait()
	return !failed.Load(), err
}

// run runs a target, prints its line and reports whether it found nothing.
func (t target) run(ctx context.Context, each time.Duration) bool {
	start := time.Now()
	out, err := exec.CommandContext(ctx, "go", "test", "-vet=off", "-run", "^$", "-fuzz", "^"+t.name+"$", //nolint:gosec // our own targets
		"-fuzztime", each.String(), "-timeout", "0", "-fuzzminimizetime", "2s", "-parallel", "1", "./"+t.directory).CombinedOutput()
	execs, fresh := progress(out)
	result := "ok"
	switch {
	case err != nil && endedByClock(out):
		err, result = nil, "ok, ended by the clock"
	case err != nil:
		result = "FAILED\n" + string(out)
	}
	fmt.Printf("%-44s %10s %12s %8s  %s\n", t, time.Since(start).Round(time.Second), execs, fresh, result)
	return err == nil
}

// endedByClock reports whether a run failed for no other reason than that its
// time was up, which the fuzzer of Go before 1.27 now and then takes for a
// failure (https://go.dev/issue/75804). A finding is written to a file.
func endedByClock(out []byte) bool {
	return bytes.Contains(out, []byte("context deadline exceeded")) && !bytes.Contains(out, []byte("Failing input written"))
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(`)

// list finds the targets in the sources.
func list(ctx context.Context) ([]target, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for the module, in its top folder: %w", err)
	}
	var out []target
	for _, top := range []string{"module", "integration/attack"} {
		err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			directory := filepath.ToSlash(filepath.Dir(path))
			for _, found := range declaration.FindAllSubmatch(text, -1) {
				out = append(out, target{directory, string(bytes.TrimSpace(module)) + "/" + directory, string(found[1])})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking for targets: %w", err)
		}
	}
	return out, nil
}

var counts = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+)`)

// progress returns the numbers in the last line that has them.
func progress(out []byte) (execs, fresh string) {
	all := counts.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return "-", "-"
	}
	last := all[len(all)-1]
	return string(last[1]), string(last[2])
}

// keep copies inputs from Go's cache into testdata/fuzz, the smallest first.
func keep(ctx context.Context, t target) error {
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("asking for Go's cache: %w", err)
	}
	from := filepath.Join(string(bytes.TrimSpace(cache)), "fuzz", filepath.FromSlash(t.importPath), t.name)
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the inputs: %w", err)
	}
	type input struct {
		name string
		text []byte
	}
	var inputs []input
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return fmt.Errorf("reading an input: %w", err)
		}
		if len(text) <= keptSize {
			inputs = append(inputs, input{entry.Name(), text})
		}
	}
	slices.SortFunc(inputs, func(a, b input) int {
		return cmp.Or(cmp.Compare(len(a.text), len(b.text)), cmp.Compare(a.name, b.name))
	})
	to := filepath.Join(t.directory, "testdata", "fuzz", t.name)
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // it is part of the repository
		return fmt.Errorf("making the folder of the inputs: %w", err)
	}
	for _, in := range inputs[:min(kept, len(inputs))] {
		if err := os.WriteFile(filepath.Join(to, in.name), in.text, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("keeping an input: %w", err)
		}
	}
	return nil
}
