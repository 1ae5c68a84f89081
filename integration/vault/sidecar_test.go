// Package vault_test runs the sidecar with its keys in a real Vault, and breaks
// that Vault. The sidecar is a process of its own: this test binary, started
// again as Caddy with the modules of this repository.
package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
const asSidecar = "COUNTERSIGN_VAULT_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// repository is the top of the repository.
const repository = "../.."

// sidecar is a Caddy that runs. All that it writes is in its folder.
type sidecar struct {
	t       *testing.T
	dir     string
	cmd     *exec.Cmd
	exited  chan struct{}
	clients map[string]*http.Client
	reloads bool // connections may be cut
}

// folder makes a folder for a sidecar, with a short name: that of a socket has
// a limit.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vault")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// launch runs Caddy with a Caddyfile until the test ends. Its admin endpoint is
// a socket in the folder, its sites have addresses.
func launch(t *testing.T, dir, caddyfile string, sites map[string]string, environment ...string) *sidecar {
	t.Helper()
	s := &sidecar{t: t, dir: dir, exited: make(chan struct{}), clients: map[string]*http.Client{}}
	connect := func(site, network, address string) {
		transport := &http.Transport{
			MaxIdleConnsPerHost: 32,
			DisableKeepAlives:   site == "admin", // each reload has one of its own
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		s.clients[site] = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	}
	connect("admin", "unix", s.path("admin"))
	for site, address := range sites {
		connect(site, "tcp", address)
	}
	require.NoError(t, os.WriteFile(s.path("Caddyfile"), []byte(caddyfile), 0o600))
	output, err := os.OpenFile(s.path("output.log"), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	executable, err := os.Executable()
	require.NoError(t, err)
	s.cmd = exec.Command(executable, "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = output, output
	s.cmd.Env = append([]string{
		asSidecar + "=1", "HOME=" + dir, "TMPDIR=" + dir, "GORACE=exitcode=66",
		"XDG_CONFIG_HOME=" + s.path("config"), "XDG_DATA_HOME=" + s.path("data"),
	}, environment...)
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // how it ended stands in its output
		output.Close()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.stop()
		s.lacks(s.log(), "DATA RACE")
		if t.Failed() {
			t.Logf("what the sidecar wrote:\n%s", tail(s.read("output.log"), 60))
		}
	})
	s.await("the admin endpoint answers", func() bool {
		res, err := s.clients["admin"].Get("http://admin/config/")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return s
}

// stop ends the sidecar as an init system does.
func (s *sidecar) stop() {
	s.t.Helper()
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		assert.Fail(s.t, "the sidecar did not end in time")
	}
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

// log is what the sidecar has logged so far.
func (s *sidecar) log() string { return s.read("output.log") }

// await waits until something is so, while the sidecar runs.
func (s *sidecar) await(what string, so func() bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for !so() {
		select {
		case <-s.exited:
			require.FailNow(s.t, "the sidecar ended", "before: %s", what)
		case <-deadline:
			require.FailNow(s.t, "not in time: "+what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// awaitLog waits until a text is logged.
func (s *sidecar) awaitLog(text string) {
	s.t.Helper()
	s.await("the log has "+text, func() bool { return strings.Contains(s.log(), text) })
}

// lacks fails the test if a text holds another one, without printing either.
func (s *sidecar) lacks(text, secret string) {
	s.t.Helper()
	assert.False(s.t, strings.Contains(text, secret), "%.40q stands where it must not", secret)
}

// answer is an answer of the sidecar, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the reason of a problem.
func (a answer) code() string {
	var problem struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal([]byte(a.body), &problem) != nil {
		return ""
	}
	return problem.Reason
}

// outcome is what the client may conclude.
func (a answer) outcome() string { return a.header.Get("Countersign-Outcome") }

// accepted is how easypay and jeepay say that they took a request. What they
// refuse they may sign as well.
var accepted = regexp.MustCompile(`"sysRetCode":"000000"|"code":0\b`)

// ok reports whether it is a verified answer to a request that the provider took.
func (a answer) ok() bool {
	return a.status == http.StatusOK && a.header.Get("Countersign-Verified") == "true" && accepted.MatchString(a.body)
}

// try sends a request to a site.
func (s *sidecar) try(site, method, path string, body []byte) (answer, error) {
	req, err := http.NewRequest(method, "http://"+site+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.clients[site].Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// do is try, which must succeed.
func (s *sidecar) do(site, method, path string, body []byte) answer {
	s.t.Helper()
	a, err := s.try(site, method, path, body)
	for range 50 {
		if err == nil || !s.reloads {
			break
		}
		a, err = s.try(site, method, path, body)
	}
	require.NoError(s.t, err)
	return a
}

// post sends JSON as the application does.
func (s *sidecar) post(path string, body []byte) answer {
	s.t.Helper()
	return s.do("app", http.MethodPost, path, body)
}

// ready asks the readiness probe.
func (s *sidecar) ready() bool {
	s.t.Helper()
	return s.do("watch", http.MethodGet, "/readyz", nil).status == http.StatusOK
}

// expectReloads makes the clients use a connection for each request, because a
// reload closes idle ones, and try again where one is cut: Caddy, without our
// modules as well, cuts some while it changes listeners.
func (s *sidecar) expectReloads() {
	s.reloads = true
	for _, c := range s.clients {
		c.Transport.(*http.Transport).DisableKeepAlives = true
	}
}

// reload loads another Caddyfile through the admin endpoint.
func (s *sidecar) reload(caddyfile string) answer {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://admin/load", strings.NewReader(caddyfile))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := s.clients["admin"].Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// metric is the value of a metric, given with its labels, or 0.
func (s *sidecar) metric(name string) float64 {
	s.t.Helper()
	for line := range strings.Lines(s.do("watch", http.MethodGet, "/metrics", nil).body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(s.t, err)
			return f
		}
	}
	return 0
}

// keySet is what the admin endpoint tells of a key set.
type keySet struct {
	Source, Reference, Version, Error string
	Configured, Usable                bool
	Roles                             []string
	Fingerprints                      map[string][]string
	Age                               float64 `json:"age_seconds"`
}

// keys asks the admin endpoint for the key set of a reference.
func (s *sidecar) keys(reference string) keySet {
	s.t.Helper()
	a := s.do("admin", http.MethodGet, "/countersign/keys", nil)
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	var all []keySet
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &all))
	for _, k := range all {
		if k.Reference == reference {
			return k
		}
	}
	return keySet{}
}

// goroutines is how many run in the sidecar.
func (s *sidecar) goroutines() int {
	s.t.Helper()
	a := s.do("admin", http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
	match := regexp.MustCompile(`total (\d+)`).FindStringSubmatch(a.body)
	require.Len(s.t, match, 2, a.body)
	n, err := strconv.Atoi(match[1])
	require.NoError(s.t, err)
	return n
}

// descriptors is how many files and sockets the sidecar has open.
func (s *sidecar) descriptors() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if os.IsNotExist(err) {
		s.t.Skip("the system has no /proc")
	}
	require.NoError(s.t, err)
	return len(entries)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
