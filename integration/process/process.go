// Package process runs Caddy with the modules of this repository as a process of
// its own, for tests: the test's binary, started again as Caddy, so that a race
// detector in it looks at both.
package process

import (
	"context"
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
	_ "github.com/caddyserver/caddy/v2/modules/standard" // all of Caddy, as in a release
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module" // the modules under test
)

// asCaddy in the environment makes a test's binary Caddy.
const asCaddy = "COUNTERSIGN_TEST_AS_CADDY"

// Repository is the top of the repository, from the folder of a test in
// integration/<name>.
const Repository = "../.."

// Limit is how long Await waits.
const Limit = 30 * time.Second

// Main is what the TestMain of a package does that runs Caddy.
func Main(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main() // exits if the command fails
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Folder makes a folder with a short name, because the name of a socket in it has a
// limit. It goes with the test.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "caddy")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Caddy is one that runs, or is about to. All that it writes is in its folder.
type Caddy struct {
	T   *testing.T
	Dir string
	// Stderr is its standard error. Default: its output, the file output.log.
	Stderr *os.File

	output      *os.File
	environment []string
	cmd         *exec.Cmd
	exited      chan struct{}
	err         error // how it ended, once exited is closed
}

// New prepares a Caddy with a Caddyfile, which Run starts, and which ends with the
// test. In the Caddyfile, and in the environment, $DIR stands for the folder and
// $REPO for the repository.
func New(t *testing.T, dir, caddyfile string, environment ...string) *Caddy {
	t.Helper()
	c := &Caddy{T: t, Dir: dir, exited: make(chan struct{})}
	require.NoError(t, os.WriteFile(c.Path("Caddyfile"), []byte(c.Expand(caddyfile)), 0o600))
	output, err := os.OpenFile(c.Path("output.log"), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	c.output, c.Stderr = output, output
	for _, e := range environment {
		c.environment = append(c.environment, c.Expand(e))
	}
	t.Cleanup(func() {
		if c.cmd != nil {
			c.Stop()
		}
		_ = output.Close()
		if t.Failed() {
			t.Logf("what Caddy wrote:\n%s", tail(c.Log(), 200))
		}
	})
	return c
}

// Command returns a command of Caddy, such as "countersign", "doctor". Its environment
// holds nothing but the folder as HOME.
func Command(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(executable, args...)
	cmd.Env = []string{asCaddy + "=1", "HOME=" + home}
	return cmd
}

// Run starts the process, also one that has ended before.
func (c *Caddy) Run() {
	c.T.Helper()
	cmd := Command(c.T, c.Dir, "run", "--config", c.Path("Caddyfile"), "--adapter", "caddyfile")
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = c.output, c.Stderr
	cmd.Env = append(cmd.Env, "TMPDIR="+c.Dir, "GORACE=exitcode=66",
		"XDG_CONFIG_HOME="+c.Path("config"), "XDG_DATA_HOME="+c.Path("data"))
	cmd.Env = append(cmd.Env, c.environment...)
	require.NoError(c.T, cmd.Start())
	exited := make(chan struct{})
	c.cmd, c.exited = cmd, exited
	go func() {
		c.err = cmd.Wait()
		close(exited)
	}()
}

// Signal sends a signal to the process.
func (c *Caddy) Signal(signal os.Signal) error { return c.cmd.Process.Signal(signal) }

// Exited is closed when the process has ended.
func (c *Caddy) Exited() <-chan struct{} { return c.exited }

// Stop ends the process as an init system does, and fails the test where it takes
// long or had a race.
func (c *Caddy) Stop() {
	c.T.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.exited:
	case <-time.After(20 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.exited
		assert.Fail(c.T, "Caddy did not end in time")
	}
	assert.False(c.T, strings.Contains(c.Log(), "DATA RACE"), "the race detector found something")
}

// Kill ends the process as a machine does that loses its power.
func (c *Caddy) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// Pid returns the number of the process.
func (c *Caddy) Pid() int { return c.cmd.Process.Pid }

// Path returns a file in the folder.
func (c *Caddy) Path(name string) string { return filepath.Join(c.Dir, name) }

// Read returns what stands in a file of the folder, or "" if there is none.
func (c *Caddy) Read(name string) string {
	text, err := os.ReadFile(c.Path(name))
	if !os.IsNotExist(err) {
		require.NoError(c.T, err)
	}
	return string(text)
}

// Log returns what Caddy has written to its output.
func (c *Caddy) Log() string { return c.Read("output.log") }

// Expand replaces $DIR and $REPO.
func (c *Caddy) Expand(text string) string {
	repository, err := filepath.Abs(Repository)
	require.NoError(c.T, err)
	return strings.NewReplacer("$DIR", c.Dir, "$REPO", repository).Replace(text)
}

// Await waits until something is so, while the process runs.
func (c *Caddy) Await(what string, so func() bool) {
	c.T.Helper()
	deadline := time.After(Limit)
	for !so() {
		select {
		case <-c.exited:
			require.FailNow(c.T, "Caddy ended", "before: %s: %v", what, c.err)
		case <-deadline:
			require.FailNow(c.T, "not in time: "+what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// AwaitAdmin waits until the admin endpoint answers, which is the socket "admin" in
// the folder: `admin unix/$DIR/admin`.
func (c *Caddy) AwaitAdmin() {
	c.T.Helper()
	client := Client("unix", c.Path("admin"))
	defer client.CloseIdleConnections()
	c.Await("the admin endpoint answers", func() bool {
		res, err := client.Get("http://admin/config/")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// Client speaks HTTP to one address, whatever the URL says, and follows no
// redirect.
func Client(network, address string) *http.Client {
	return &http.Client{
		Timeout:       Limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableCompression:  true,
			MaxIdleConnsPerHost: 32,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}
