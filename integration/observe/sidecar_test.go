// Package observe_test looks at the sidecar from where operators do: its logs,
// metrics, traces and admin endpoint. The sidecar is a process of its own with
// the modules of this repository: this test binary, started again.
package observe_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	_ "github.com/countersign/caddy-countersign/module"
)

func TestMain(m *testing.M) { process.Main(m) }

// repository is the top of the repository, where keys-dev is.
const repository = process.Repository

// sidecar is a Caddy that runs. All that it listens on is in its folder, as
// Unix sockets.
type sidecar struct{ *process.Caddy }

// start runs Caddy with a Caddyfile until the test ends.
func start(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	s := launch(t, caddyfile, environment...)
	s.AwaitAdmin()
	return s
}

// startWith is start with another standard error.
func startWith(t *testing.T, caddyfile string, stderr *os.File) *sidecar {
	t.Helper()
	s := prepare(t, caddyfile)
	s.Stderr = stderr
	s.Run()
	s.AwaitAdmin()
	return s
}

// again starts a sidecar that has ended.
func (s *sidecar) again() {
	s.T.Helper()
	s.Run()
	s.AwaitAdmin()
}

// launch is start without waiting.
func launch(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	s := prepare(t, caddyfile, environment...)
	s.Run()
	return s
}

// prepare makes a sidecar that does not run yet.
func prepare(t *testing.T, caddyfile string, environment ...string) *sidecar {
	t.Helper()
	return &sidecar{process.New(t, process.Folder(t), caddyfile, environment...)}
}

// client speaks HTTP to one of the sidecar's sockets. It is for one request, and
// keeps the connection: a server that is to close it need not read a body.
func (s *sidecar) client(socket string) *http.Client {
	client := process.Client("unix", s.Path(socket))
	client.Transport.(*http.Transport).IdleConnTimeout = time.Millisecond
	return client
}

// answer is an answer of the sidecar, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request to a socket.
func (s *sidecar) do(socket string, req *http.Request) answer {
	s.T.Helper()
	got, err := s.try(socket, req)
	require.NoError(s.T, err)
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
	s.T.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://sidecar"+path, nil)
	require.NoError(s.T, err)
	got, err := s.try(socket, req)
	for n := 1; err != nil && n < 5; n++ { // at a reload Caddy may drop a connection that it has just taken
		got, err = s.try(socket, req)
	}
	require.NoError(s.T, err)
	return got
}

// post sends JSON to the socket "app". Headers are pairs of a name and a value.
func (s *sidecar) post(path string, body []byte, headers ...string) answer {
	s.T.Helper()
	return s.do("app", s.toPost(path, body, headers...))
}

// postAcrossReload is post shortly after a reload. A server that is going away
// closes a connection that it has just taken without a word: the application's,
// or the one to a provider in the same Caddy. Then it is sent again, as money
// must not be.
func (s *sidecar) postAcrossReload(path string, body []byte) (got answer) {
	s.T.Helper()
	s.Await("an answer", func() (answered bool) {
		var err error
		got, err = s.try("app", s.toPost(path, body))
		return err == nil && !strings.Contains(got.body, `"reason":"upstream_failed"`)
	})
	return got
}

func (s *sidecar) toPost(path string, body []byte, headers ...string) *http.Request {
	s.T.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://sidecar"+path, bytes.NewReader(body))
	require.NoError(s.T, err)
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
	s.T.Helper()
	s.Await("the admin endpoint takes a configuration", func() bool {
		res, err := s.client("admin").Post("http://admin/load", "text/caddyfile", strings.NewReader(s.Expand(caddyfile)))
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

// sample returns a request body of the repository, such as "easypay".
func sample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "samples", name+".json"))
	require.NoError(t, err)
	return text
}
