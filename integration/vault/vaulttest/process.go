package vaulttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// process is one life of a Vault server: from exec to exit.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{}
}

// layout is where a server's files lie, and how it is to listen.
type layout struct {
	dir      string // of everything below
	address  string // host and port
	certFile string // empty: plain HTTP
	keyFile  string
}

func (l layout) storage() string { return filepath.Join(l.dir, "storage") }
func (l layout) logFile() string { return filepath.Join(l.dir, "vault.log") }

// launch starts a server that is sealed, or not even initialised. A vault on
// PATH is used as it is; otherwise the repository's own is built.
func launch(ctx context.Context, l layout) (*process, error) {
	var cmd *exec.Cmd
	if installed, err := exec.LookPath("vault"); err == nil {
		config, err := l.writeConfig()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(installed, "server", "-config="+config)
	} else {
		binary, err := buildServer(ctx)
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(binary, "-sealed", "-until-eof", "-listen", l.address, "-storage", l.storage())
		if l.certFile != "" {
			cmd.Args = append(cmd.Args, "-tls-cert", l.certFile, "-tls-key", l.keyFile)
		}
	}

	log, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the Vault server's log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment()
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making the Vault server's standard input: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the Vault server: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(p.exited)
	}()
	return p, nil
}

// await waits until the process answers on its address.
func (p *process) await(ctx context.Context, l layout) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("the Vault server ended before it answered; its log ends with:\n%s", tail(l.logFile()))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the Vault server to answer: %w; its log ends with:\n%s", ctx.Err(), tail(l.logFile()))
		case <-ticker.C:
		}
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing the Vault server: %w", err)
	}
	<-p.exited
	_ = p.stdin.Close() // its reader is gone
	return nil
}

// writeConfig writes the configuration that `vault server` takes, with the
// storage and the listener that the own server has as flags.
func (l layout) writeConfig() (string, error) {
	listener := map[string]any{"address": l.address}
	scheme := "http"
	if l.certFile != "" {
		scheme = "https"
		listener["tls_cert_file"], listener["tls_key_file"] = l.certFile, l.keyFile
	} else {
		listener["tls_disable"] = true
	}
	config, err := json.MarshalIndent(map[string]any{
		"storage":       map[string]any{"file": map[string]any{"path": l.storage()}},
		"listener":      map[string]any{"tcp": listener},
		"api_addr":      scheme + "://" + l.address,
		"disable_mlock": true,
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding Vault's configuration: %w", err)
	}
	path := filepath.Join(l.dir, "vault.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return "", fmt.Errorf("writing Vault's configuration: %w", err)
	}
	return path, nil
}

// environment is this process's without Vault's variables, several of which
// change what a server does.
func environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VAULT_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// freeAddress returns a loopback address that nobody listens on. It stays
// below the ports that systems hand out by themselves: a server that was
// killed must find its port free when it is started again.
func freeAddress() (string, error) {
	var last error
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return address, listener.Close()
		}
		last = err
	}
	return "", fmt.Errorf("finding a free port: %w", last)
}

// tail returns the last lines of a log file.
func tail(path string) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
