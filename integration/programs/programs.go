// Package programs builds the programs that tests run: Caddy itself, and the servers
// that are in separate Go modules.
//
// To build a Vault server on an empty cache takes minutes, which no test's time
// limit allows for. `./xcaddy.sh test` therefore builds everything before the
// first test; a test that finds its program up to date waits for a second.
package programs

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Program is something that tests run.
type Program struct {
	// Name is the name of the file, without a suffix.
	Name string
	// Module is the directory of its Go module, below the top of the repository.
	Module string
	// Package is what is built, as the go command takes it in that directory.
	Package string
}

// The programs.
var (
	Caddy     = Program{"caddy", ".", "./module/cmd/caddy"}
	Vault     = Program{"vault", "integration/vault/server", "."}
	PromQL    = Program{"promql", "integration/observe/promql", "."}
	APIServer = Program{"kube-apiserver", "integration/kubernetes/cluster/server", "k8s.io/kubernetes/cmd/kube-apiserver"}
	Etcd      = Program{"etcd", "integration/kubernetes/cluster/server", "go.etcd.io/etcd/server/v3"}
)

// Path builds a program unless it is up to date, and returns the path of its
// binary. Several processes may ask at the same time: one of them builds.
//
// The binary is in the user's cache directory, in a folder for this checkout.
func Path(ctx context.Context, p Program) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	dir, err := cacheDir(root)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, p.Name)
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	unlock, err := lock(ctx, binary+".lock")
	if err != nil {
		return "", fmt.Errorf("waiting for another build of %s: %w", p.Name, err)
	}
	defer unlock()
	patience := time.AfterFunc(15*time.Second, func() {
		fmt.Fprintf(os.Stderr, "building %s for tests; the first time this takes minutes\n", p.Name)
	})
	defer patience.Stop()
	// The go command leaves a binary alone that is up to date.
	if err := goCommand(ctx, filepath.Join(root, p.Module), "build", "-o", binary, p.Package); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	return binary, nil
}

// Warm compiles the tests of the Go module in a directory below the top of the
// repository, and runs none of them.
func Warm(ctx context.Context, module string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	return goCommand(ctx, filepath.Join(root, module), "test", "-run=^$", "./...")
}

// goCommand runs the go command in the directory of a module. An error holds
// what it printed.
func goCommand(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("not in time: run `./xcaddy.sh test`, which builds before it tests, or give go test a longer -timeout: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, output)
	}
	return nil
}

// Root returns the top of the repository. The compiler knows where this file
// lies unless paths were trimmed; then the go command does, if the working
// directory is in the repository.
func Root(ctx context.Context) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if !ok || !filepath.IsAbs(file) {
		const module = "github.com/countersign/caddy-countersign"
		out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			return "", fmt.Errorf("finding the repository: run this inside of it: %w", err)
		}
		root = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(filepath.Join(root, "xcaddy.sh")); err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	return root, nil
}

// cacheDir returns the directory of the binaries of one checkout, and makes it.
func cacheDir(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	sum := fnv.New64a()
	sum.Write([]byte(root))
	dir := filepath.Join(cache, "caddy-countersign", fmt.Sprintf("%016x", sum.Sum64()))
	return dir, os.MkdirAll(dir, 0o755)
}

// errLocked is returned by tryLock while another process holds the lock.
var errLocked = errors.New("locked by another process")

// lock takes an exclusive lock on the file at path, which it makes. The system
// releases it if the process ends. It polls, because a lock that blocks does not
// give up when ctx is done.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(file)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
