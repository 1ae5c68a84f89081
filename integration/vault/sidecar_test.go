// Package vault_test runs the sidecar with its keys in a real Vault, and breaks
// that Vault. The sidecar is a process of its own: this test binary, started
// again as Caddy with the modules of this repository.
package vault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	_ "github.com/countersign/caddy-countersign/module"
)

func TestMain(m *testing.M) { process.Main(m) }

// repository is the top of the repository.
const repository = process.Repository

// sidecar is a Caddy that runs.
type sidecar struct {
	*process.Caddy
	clients map[string]*http.Client
	reloads bool // connections may be cut
}

// launch runs Caddy with a Caddyfile until the test ends. Its admin endpoint is
// a socket in the folder, its sites have addresses.
func launch(t *testing.T, dir, caddyfile string, sites map[string]string, environment ...string) *sidecar {
	t.Helper()
	s := &sidecar{Caddy: process.New(t, dir, caddyfile, environment...), clients: map[string]*http.Client{}}
	connect := func(site, network, address string) {
		client := process.Client(network, address)
		t.Cleanup(client.CloseIdleConnections)
		s.clients[site] = client
	}
	connect("admin", "unix", s.Path("admin"))
	s.clients["admin"].Transport.(*http.Transport).DisableKeepAlives = true // each reload has one of its own
	for site, address := range sites {
		connect(site, "tcp", address)
	}
	s.Run()
	s.AwaitAdmin()
	return s
}

// stop ends the sidecar as an init system does.
func (s *sidecar) stop() {
	s.T.Helper()
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
	s.Stop()
}

// awaitLog waits until a text is logged.
func (s *sidecar) awaitLog(text string) {
	s.T.Helper()
	s.Await("the log has "+text, func() bool { return strings.Contains(s.Log(), text) })
}

// lacks fails the test if a text holds another one, without printing either.
func (s *sidecar) lacks(text, secret string) {
	s.T.Helper()
	assert.False(s.T, strings.Contains(text, secret), "%.40q stands where it must not", secret)
}

// answer is an answer of the sidecar, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the reason of a problem.
func (a answer) code() string {
	var problem struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal([]byte(a.body), &problem) != nil {
		return ""
	}
	return problem.Reason
}

// outcome returns what the client may conclude.
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
	s.T.Helper()
	a, err := s.try(site, method, path, body)
	for range 50 {
		if err == nil || !s.reloads {
			break
		}
		a, err = s.try(site, method, path, body)
	}
	require.NoError(s.T, err)
	return a
}

// post sends JSON as the application does.
func (s *sidecar) post(path string, body []byte) answer {
	s.T.Helper()
	return s.do("app", http.MethodPost, path, body)
}

// ready asks the readiness probe.
func (s *sidecar) ready() bool {
	s.T.Helper()
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
	s.T.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://admin/load", strings.NewReader(caddyfile))
	require.NoError(s.T, err)
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := s.clients["admin"].Do(req)
	require.NoError(s.T, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.T, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// metric returns the value of a metric, given with its labels, or 0.
func (s *sidecar) metric(name string) float64 {
	s.T.Helper()
	for line := range strings.Lines(s.do("watch", http.MethodGet, "/metrics", nil).body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(s.T, err)
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
	s.T.Helper()
	a := s.do("admin", http.MethodGet, "/countersign/keys", nil)
	require.Equal(s.T, http.StatusOK, a.status, a.body)
	var all []keySet
	require.NoError(s.T, json.Unmarshal([]byte(a.body), &all))
	for _, k := range all {
		if k.Reference == reference {
			return k
		}
	}
	return keySet{}
}

// goroutines returns how many run in the sidecar.
func (s *sidecar) goroutines() int {
	s.T.Helper()
	a := s.do("admin", http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
	match := regexp.MustCompile(`total (\d+)`).FindStringSubmatch(a.body)
	require.Len(s.T, match, 2, a.body)
	n, err := strconv.Atoi(match[1])
	require.NoError(s.T, err)
	return n
}

// descriptors returns how many files and sockets the sidecar has open.
func (s *sidecar) descriptors() int {
	s.T.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if os.IsNotExist(err) {
		s.T.Skip("the system has no /proc")
	}
	require.NoError(s.T, err)
	return len(entries)
}
