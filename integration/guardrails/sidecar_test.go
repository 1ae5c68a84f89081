// Package guardrails_test runs sidecars as processes of their own, kills them in
// the middle of payments, and looks at what reached the provider, at what the audit
// chain says, and at what is left in memory. The sidecar is this test binary,
// started again as Caddy with the modules of this repository.
package guardrails_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
)

// asSidecar in the environment makes this test binary Caddy.
const asSidecar = "COUNTERSIGN_GUARDRAILS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		if socket := os.Getenv(scanSocket); socket != "" {
			serveScans(socket)
		}
		caddycmd.Main() // exits if the command fails
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// repository is the top of the repository.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return root
}

// folder makes a folder with a short name: that of a socket has a limit.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guards") //nolint:usetesting // its name would be too long
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// command is this test binary as Caddy.
func command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(executable, args...)
	cmd.Dir = repository(t) // where paths in examples begin
	cmd.Env = append(os.Environ(), asSidecar+"=1", "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_DATA_HOME="+filepath.Join(dir, "data"))
	return cmd
}

// sidecar is a Caddy that runs.
type sidecar struct {
	t       testing.TB
	dir     string // with all that it writes
	network string // of the address that says whether it serves
	address string
	env     []string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// start runs Caddy with a Caddyfile until the test ends, and waits until it serves
// at an address. $DIR stands for its folder.
func start(t testing.TB, caddyfile, network, address string, env ...string) *sidecar {
	t.Helper()
	s := &sidecar{t: t, dir: folder(t), network: network, address: address, env: env}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "Caddyfile"), []byte(strings.ReplaceAll(caddyfile, "$DIR", s.dir)), 0o600))
	s.address = strings.ReplaceAll(address, "$DIR", s.dir)
	for i, value := range env {
		s.env[i] = strings.ReplaceAll(value, "$DIR", s.dir)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(s.dir, "output.log"))
			t.Logf("what the sidecar wrote:\n%s", text[max(0, len(text)-8000):])
		}
	})
	s.again()
	return s
}

// again starts a sidecar that has ended.
func (s *sidecar) again() {
	s.t.Helper()
	output, err := os.OpenFile(filepath.Join(s.dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(s.t, err)
	s.cmd = command(s.t, s.dir, "run", "--config", filepath.Join(s.dir, "Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.cmd.Stdout, s.cmd.Stderr = output, output
	require.NoError(s.t, s.cmd.Start())
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		_ = cmd.Wait() // how it ended stands in its output
		output.Close()
		close(exited)
	}()
	require.Eventually(s.t, func() bool {
		conn, err := net.Dial(s.network, s.address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}, time.Minute, 10*time.Millisecond, "the sidecar does not serve")
}

// kill ends the sidecar as a crash does.
func (s *sidecar) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// stop ends the sidecar as an init system does.
func (s *sidecar) stop() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		s.t.Fatal("the sidecar does not stop")
	}
}

// answer is an answer of a sidecar, read whole.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// reason is the reason of a problem, or "".
func (a answer) reason() string {
	var p struct{ Reason string }
	_ = json.Unmarshal([]byte(a.Body), &p)
	return p.Reason
}

// client connects to an address, whatever the URL says.
func client(network, address string) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}

// post posts JSON.
func post(c *http.Client, url, body string, change ...func(*http.Request)) (answer, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	res, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}
