package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// module is one module that the binary holds code of, or a library of the system
// that it loads.
type module struct {
	path     string
	version  string
	system   bool     // a library of the system, no Go module
	sum      string   // as in go.sum; empty for the standard library
	licenses []string // SPDX identifiers; empty where none is known
}

// findModules returns the modules in the binary, the toolchain's own first,
// with the licences that their copies in the module cache bear. It fails if a
// copy is not the one that the binary was built from.
func findModules(ctx context.Context, info *buildinfo.BuildInfo) ([]module, error) {
	classifier, err := newClassifier()
	if err != nil {
		return nil, err
	}
	modules := []module{standardLibrary(info)}
	dirs, err := moduleDirs(ctx, info.Deps)
	if err != nil {
		return nil, err
	}
	for _, dep := range info.Deps {
		source := effective(dep)
		found := module{path: source.Path, version: source.Version, sum: source.Sum}
		dir := dirs[source.Path+"@"+source.Version]
		if source.Version == "" || source.Version == "(devel)" {
			// A checkout stands in for it, as xcaddy --replace does: it
			// keeps its name, and no sum vouches for it. xcaddy.sh builds in
			// a directory of this repository, which is the current one.
			found = module{path: dep.Path, version: dep.Version}
			dir = downloaded{Dir: source.Path}
			if source.Path == ".." {
				dir.Dir = "."
			}
		}
		if dir.Sum != found.sum {
			return nil, fmt.Errorf("the module cache's %s@%s is not what the binary was built from: %q there, %q in the binary", found.path, found.version, dir.Sum, found.sum)
		}
		if found.licenses, err = classifier.licensesIn(dir.Dir); err != nil {
			return nil, err
		}
		modules = append(modules, found)
	}
	return modules, nil
}

// effective returns what stands in for a module that is replaced.
func effective(m *debug.Module) *debug.Module {
	for m.Replace != nil {
		m = m.Replace
	}
	return m
}

// standardLibrary returns Go's own library, whose text not every distribution
// keeps.
func standardLibrary(info *buildinfo.BuildInfo) module {
	version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), "-X:")
	return module{path: "std", version: version, licenses: []string{"BSD-3-Clause"}}
}

// downloaded is what `go mod download -json` says of a module.
type downloaded struct {
	Path, Version, Dir, Sum, Error string
}

// moduleDirs returns where the module cache has each module. Missing ones are
// fetched, and checked as go always checks them.
func moduleDirs(ctx context.Context, deps []*debug.Module) (map[string]downloaded, error) {
	args := []string{"mod", "download", "-json"}
	for _, dep := range deps {
		dep = effective(dep)
		if dep.Version != "" && dep.Version != "(devel)" {
			args = append(args, dep.Path+"@"+dep.Version)
		}
	}
	dirs := make(map[string]downloaded, len(deps))
	if len(args) == 3 {
		return dirs, nil
	}
	// Outside any module, so that only the versions asked for count.
	outside, err := os.MkdirTemp("", "supplychain")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(outside)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = outside
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, runErr := cmd.Output()
	for decoder := json.NewDecoder(bytes.NewReader(stdout)); ; {
		var d downloaded
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the list of modules: %w", err)
		}
		if d.Error != "" {
			return nil, fmt.Errorf("getting %s@%s: %s", d.Path, d.Version, d.Error)
		}
		dirs[d.Path+"@"+d.Version] = d
	}
	if runErr != nil {
		return nil, fmt.Errorf("getting the modules: %w: %s", runErr, strings.TrimSpace(stderr.String()))
	}
	return dirs, nil
}

// licenseFiles returns the files at the top of a module that may hold its licence.
func licenseFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for the licence: %w", err)
	}
	var files []string
	for _, entry := range entries {
		name := strings.ToLower(entry.Name())
		for _, prefix := range []string{"license", "licence", "copying", "unlicense"} {
			if strings.HasPrefix(name, prefix) && !entry.IsDir() {
				files = append(files, filepath.Join(dir, entry.Name()))
				break
			}
		}
	}
	return files, nil
}
