package vaulttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// thisPackage is the import path that the server's sources lie beside.
const thisPackage = "github.com/countersign/caddy-countersign/integration/vault/vaulttest"

// built is the outcome of this process's first successful build.
var built struct {
	sync.Mutex
	binary string
}

// buildServer compiles integration/vault/server and returns the path of the
// binary.
//
// The first build on a machine takes minutes, and several test processes need
// it at the same time: a file lock lets one of them work. The binary stays in
// the user's cache directory, so that the others and later runs only ask the
// go command whether it is still up to date, which takes a second.
func buildServer(ctx context.Context) (string, error) {
	built.Lock()
	defer built.Unlock()
	if built.binary != "" {
		return built.binary, nil
	}
	source, err := serverSource(ctx)
	if err != nil {
		return "", err
	}
	dir, err := binaryDir(source)
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("waiting for another build of the Vault server: %w", err)
	}
	defer unlock()

	binary := filepath.Join(dir, "vault-server")
	if _, err := os.Stat(binary); err != nil {
		fmt.Fprintln(os.Stderr, "vaulttest: building the Vault server for tests; on a fresh machine this takes minutes, once")
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("building the Vault server took longer than there was time for: "+
				"run `go build .` in %s once, or give go test a longer -timeout: %w", source, ctx.Err())
		}
		return "", fmt.Errorf("building the Vault server in %s: %w\n%s", source, err, output.String())
	}
	built.binary = binary
	return binary, nil
}

// serverSource returns the directory of the server's module. The compiler
// knows where this file lies unless paths were trimmed; then the go command
// does, if the working directory is inside the main module.
func serverSource(ctx context.Context) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	here := filepath.Dir(file)
	if !ok || !filepath.IsAbs(file) {
		out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", thisPackage).Output()
		if err != nil {
			return "", fmt.Errorf("finding the sources of the Vault server: run this inside the repository: %w", err)
		}
		here = string(bytes.TrimSpace(out))
	}
	source := filepath.Join(filepath.Dir(here), "server")
	if _, err := os.Stat(filepath.Join(source, "go.mod")); err != nil {
		return "", fmt.Errorf("finding the sources of the Vault server: %w", err)
	}
	return source, nil
}

// binaryDir returns the directory that the binary of one checkout is kept in.
func binaryDir(source string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	checkout := sha256.Sum256([]byte(source))
	dir := filepath.Join(cache, "caddy-countersign", fmt.Sprintf("%x", checkout[:4]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", errors.Join(errors.New("making a place for the Vault server's binary"), err)
	}
	return dir, nil
}
