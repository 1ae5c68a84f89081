// Package observe_test looks at the sidecar from where operators do: its logs,
// metrics, traces and admin endpoint. The sidecar is a process of its own with
// the modules of this repository: this test binary, started again.
package observe_test

import (
	"bytes"
	"context"
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
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
)

// asSidecar in the environment makes this test binary Caddy.
const asSidecar = "COUNTERSIGN_OBSERVE_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		caddycmd.Main() // exits if the command fails
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// repository is the top of the repository, where keys-dev is.
const repository = "../.."

// sidecar is a Caddy that runs. All that it listens on is in its folder, as
// Unix sockets, and so is all that it writes.
type sidecar struct {
	t           *testing.T
	dir         string
	output      *os.File // what it writes to standard output and error
	stderr      *os.File // standard error, if it is not output
	environment []string
	cmd         *exec.Cmd
	exited      chan struct{}
	err         error // how it ended, once exited is closed
}

// start runs Caddy with a Caddyfile until the test ends. In the Caddyfile, and
// in the environment, $DIR stands for the sidecar's folder and $REPO for the
// repository.
func start(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	s := launch(t, caddyfile, environment...)
	s.ready()
	return s
}

// startWith is start with another standard error.
func startWith(t *testing.T, caddyfile string, stderr *os.File) *sidecar {
	t.Helper()
	s := prepare(t, caddyfile)
	s.stderr = stderr
	s.run()
	s.ready()
	return s
}

// again starts a sidecar that has ended.
func (s *sidecar) again() {
	s.t.Helper()
	s.exited = make(chan struct{})
	s.run()
	s.ready()
}

func (s *sidecar) ready() {
	s.t.Helper()
	s.await("the admin endpoint answers", func() bool {
		res, err := s.client("admin").Get("http://admin/config/")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// launch is start without waiting.
func launch(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	s := prepare(t, caddyfile, environment...)
	s.run()
	return s
}

// prepare makes the folder of a sidecar.
func prepare(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	dir, err := os.MkdirTemp("", "observe") //nolint:usetesting // the name of a socket has a limit, and a test's folder a long one
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &sidecar{t: t, dir: dir, exited: make(chan struct{})}
	require.NoError(t, os.WriteFile(s.path("Caddyfile"), []byte(s.expand(caddyfile)), 0o600))
	s.output, err = os.Create(s.path("output.log"))
	require.NoError(t, err)
	s.stderr = s.output
	for _, e := range environment {
		s.environment = append(s.environment, s.expand(e))
	}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.stop()
		}
		s.output.Close()
		if t.Failed() {
			t.Logf("what the sidecar wrote:\n%s", s.read("output.log"))
		}
	})
	return s
}

// run starts the process.
func (s *sidecar) run() {
	s.t.Helper()
	executable, err := os.Executable()
	require.NoError(s.t, err)
	s.cmd = exec.Command(executable, "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.stderr
	s.cmd.Env = append([]string{asSidecar + "=1", "HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.path("config"), "XDG_DATA_HOME=" + s.path("data")}, s.environment...)
	require.NoError(s.t, s.cmd.Start())
	cmd, exited := s.cmd, s.exited
	go func() {
		s.err = cmd.Wait()
		close(exited)
	}()
}

// stop ends the sidecar as an init system does.
func (s *sidecar) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		assert.Fail(s.t, "the sidecar did not end in time")
	}
	assert.NotContains(s.t, s.read("output.log"), "DATA RACE")
}

func (s *sidecar) expand(text string) string {
	repo, err := filepath.Abs(repository)
	require.NoError(s.t, err)
	return strings.NewReplacer("$DIR", s.dir, "$REPO", repo).Replace(text)
}

func (s *sidecar) path(name string) string { return filepath.Join(s.dir, name) }

// read is what stands in a file of the sidecar, or "" if there is none.
func (s *sidecar) read(name string) string {
	text, err := os.ReadFile(s.path(name))
	if !os.IsNotExist(err) {
		require.NoError(s.t, err)
	}
	return string(text)
}

// await waits until something is so, while the sidecar runs.
func (s *sidecar) await(what string, so func() bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for !so() {
		select {
		case <-s.exited:
			require.FailNow(s.t, "the sidecar ended", "before: %s: %v", what, s.err)
		case <-deadline:
			require.FailNow(s.t, "not in time: "+what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// client speaks HTTP to one of the sidecar's sockets. It is for one request, and
// keeps the connection: a server that is to close it need not read a body.
func (s *sidecar) client(socket string) *http.Client {
	never := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Timeout: 30 * time.Second, CheckRedirect: never, Transport: &http.Transport{
		DisableCompression: true, IdleConnTimeout: time.Millisecond,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path(socket))
		},
	}}
}

// answer is an answer of the sidecar, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request to a socket.
func (s *sidecar) do(socket string, req *http.Request) answer {
	s.t.Helper()
	got, err := s.try(socket, req)
	require.NoError(s.t, err)
	return got
}

func (s *sidecar) try(socket string, req *http.Request) (answer, error) {
	res, err := s.client(socket).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// get reads from a socket.
func (s *sidecar) get(socket, path string) answer {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://sidecar"+path, nil)
	require.NoError(s.t, err)
	got, err := s.try(socket, req)
	for n := 1; err != nil && n < 5; n++ { // at a reload Caddy may drop a connection that it has just taken
		got, err = s.try(socket, req)
	}
	require.NoError(s.t, err)
	return got
}

// post sends JSON to the socket "app". Headers are pairs of a name and a value.
func (s *sidecar) post(path string, body []byte, headers ...string) answer {
	s.t.Helper()
	return s.do("app", s.toPost(path, body, headers...))
}

// postAcrossReload is post shortly after a reload. A server that is going away
// closes a connection that it has just taken without a word: the application's,
// or the one to a provider in the same Caddy. Then it is sent again, as money
// must not be.
func (s *sidecar) postAcrossReload(path string, body []byte) (got answer) {
	s.t.Helper()
	s.await("an answer", func() (answered bool) {
		var err error
		got, err = s.try("app", s.toPost(path, body))
		return err == nil && !strings.Contains(got.body, `"reason":"upstream_failed"`)
	})
	return got
}

func (s *sidecar) toPost(path string, body []byte, headers ...string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://sidecar"+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// reload loads another Caddyfile through the admin endpoint. A reload replaces
// the endpoint itself, which can lose the next request to it: that one is sent
// again.
func (s *sidecar) reload(caddyfile string) (loaded answer) {
	s.t.Helper()
	s.await("the admin endpoint takes a configuration", func() bool {
		res, err := s.client("admin").Post("http://admin/load", "text/caddyfile", strings.NewReader(s.expand(caddyfile)))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		loaded = answer{res.StatusCode, res.Header, string(text)}
		return err == nil
	})
	return loaded
}

// sample is a request body of the repository, such as "easypay".
func sample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "samples", name+".json"))
	require.NoError(t, err)
	return text
}
