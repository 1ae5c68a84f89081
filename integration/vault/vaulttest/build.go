package vaulttest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// thisPackage is the import path that the server's sources lie beside.
	thisPackage = "github.com/countersign/caddy-countersign/integration/vault/vaulttest"

	// serverTool is the server as a tool of its own module.
	serverTool = "github.com/countersign/caddy-countersign/integration/vault/server"
)

// built is the outcome of this process's first successful build.
var built struct {
	sync.Mutex
	binary string
}

// buildServer compiles integration/vault/server and returns the path of the
// binary.
//
// The server is a tool of its module, so that the go command keeps the binary in
// its own cache: the first build on a machine takes minutes, and afterwards the
// go command only looks whether it is up to date. Several test processes need
// it at the same time; a file lock lets one of them work.
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
	unlock, err := lockFile(ctx, filepath.Join(source, "main.go"))
	if err != nil {
		return "", fmt.Errorf("waiting for another build of the Vault server: %w", err)
	}
	defer unlock()

	patience := time.AfterFunc(15*time.Second, func() {
		fmt.Fprintln(os.Stderr, "vaulttest: building the Vault server for tests; on a fresh machine this takes minutes, once")
	})
	defer patience.Stop()
	var output, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", serverTool) // builds, and prints what it would run
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &output, &complaints
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("building the Vault server took longer than there was time for: "+
				"run `go tool -n server` in %s once, or give go test a longer -timeout: %w", source, ctx.Err())
		}
		return "", fmt.Errorf("building the Vault server in %s: %w\n%s", source, err, complaints.String())
	}
	built.binary = strings.TrimSpace(output.String())
	return built.binary, nil
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
