// Package inspector drives the inspector's page in a real browser: Debian's
// chromium, with the quickstart behind it.
package inspector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// Root returns the top of the repository: the folder with xcaddy.sh, above the
// working directory, or "" where there is none.
func Root() string {
	dir, _ := os.Getwd()
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "xcaddy.sh")); err == nil {
			return dir
		}
	}
	return ""
}

// Desk is the quickstart on free ports.
type Desk struct {
	Sidecar, Page string // addresses

	dir    string
	cmd    *exec.Cmd
	output *os.File
}

var port = regexp.MustCompile(`\b(8080|8081|9090)\b`)

// Binary in the environment names a Caddy that is built already.
const Binary = "COUNTERSIGN_CADDY"

// StartDesk builds Caddy and runs the quickstart.
func StartDesk(ctx context.Context) (*Desk, error) {
	dir, err := os.MkdirTemp("", "inspector")
	if err != nil {
		return nil, err
	}
	d := &Desk{dir: dir}
	binary := os.Getenv(Binary)
	if binary == "" {
		binary = filepath.Join(dir, "caddy")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./module/cmd/caddy")
		build.Dir = Root()
		build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			d.Stop()
			return nil, fmt.Errorf("building Caddy: %w\n%s", err, text)
		}
	}
	text, err := os.ReadFile(filepath.Join(Root(), "caddyfiles", "quickstart.Caddyfile"))
	if err != nil {
		d.Stop()
		return nil, err
	}
	ports := make(map[string]string)
	for _, known := range []string{"8080", "8081", "9090"} {
		if ports[known], err = freePort(); err != nil {
			d.Stop()
			return nil, err
		}
	}
	text = port.ReplaceAllFunc(text, func(p []byte) []byte { return []byte(ports[string(p)]) })
	caddyfile := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(caddyfile, text, 0o600); err != nil {
		d.Stop()
		return nil, err
	}
	if d.output, err = os.Create(filepath.Join(dir, "output")); err != nil {
		d.Stop()
		return nil, err
	}
	d.Sidecar, d.Page = "127.0.0.1:"+ports["8080"], "127.0.0.1:"+ports["9090"]
	d.cmd = exec.Command(binary, "run", "--config", caddyfile, "--adapter", "caddyfile")
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = Root(), d.output, d.output
	d.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := d.cmd.Start(); err != nil {
		d.cmd = nil
		d.Stop()
		return nil, err
	}
	for {
		if res, err := http.Get("http://" + d.Page + "/records"); err == nil {
			_ = res.Body.Close()
			return d, nil
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(d.output.Name())
			d.Stop()
			return nil, fmt.Errorf("the quickstart does not serve: %s", text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the quickstart.
func (d *Desk) Stop() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
	if d.output != nil {
		_ = d.output.Close()
	}
	_ = os.RemoveAll(d.dir)
}

// Pay posts a sample through the sidecar.
func (d *Desk) Pay(path, sample string) (status int, err error) {
	text, err := os.ReadFile(filepath.Join(Root(), "caddyfiles", "samples", sample+".json"))
	if err != nil {
		return 0, err
	}
	res, err := http.Post("http://"+d.Sidecar+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Body.Close()
}

// freePort returns a port on which nobody listens.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return "", errors.New("no TCP address")
	}
	return strconv.Itoa(addr.Port), ln.Close()
}
