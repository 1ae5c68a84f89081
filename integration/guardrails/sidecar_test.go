// Package guardrails_test runs sidecars as processes of their own, kills them in
// the middle of payments, and looks at what reached the provider, at what the audit
// chain says, and at what is left in memory.
package guardrails_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(scanSocket); socket != "" { // it is a sidecar
		serveScans(socket)
	}
	process.Main(m)
}

// repository returns the top of the repository.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs(process.Repository)
	require.NoError(t, err)
	return root
}

// sidecar is a Caddy that runs.
type sidecar struct {
	*process.Caddy
	network, address string // at which it serves
}

// start runs Caddy with a Caddyfile until the test ends, and waits until it serves
// at an address. $DIR stands for its folder and $REPO for the repository.
func start(t *testing.T, caddyfile, network, address string, environment ...string) *sidecar {
	t.Helper()
	s := &sidecar{process.New(t, process.Folder(t), caddyfile, environment...), network, address}
	s.again()
	return s
}

// again starts a sidecar that has ended, or was never there.
func (s *sidecar) again() {
	s.T.Helper()
	s.Run()
	s.Await("it serves", func() bool {
		conn, err := net.Dial(s.network, s.address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// answer is an answer of a sidecar, read whole.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// reason returns the reason of a problem, or "".
func (a answer) reason() string {
	var p struct{ Reason string }
	_ = json.Unmarshal([]byte(a.Body), &p)
	return p.Reason
}

// client connects to an address, anew for each request, whatever the URL says.
func client(network, address string) *http.Client {
	c := process.Client(network, address)
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c
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
