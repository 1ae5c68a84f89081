package notify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/network/networktest"
	_ "github.com/countersign/caddy-countersign/module/notify"
	"github.com/countersign/caddy-countersign/module/problem"
	_ "github.com/countersign/caddy-countersign/module/sandbox"
	_ "github.com/countersign/caddy-countersign/module/stores/memory"
	_ "github.com/countersign/caddy-countersign/module/stores/redis"
)

// running is a Caddy that runs one site.
type running struct {
	url, keys, log, address string
	recipes                 string
	loads                   int
}

// globals are the global options: %[1]s is the folder of keys, %[2]s the log,
// %[3]s recipes.
const globals = `{
	admin off
	persist_config off
	auto_https off
	countersign {
		keys file %[1]s {
			refresh 50ms
			settle 1ms
		}
	%[3]s}
	log {
		output file %[2]s
		format json
		level DEBUG
	}
}
`

// namedRoute is for the directive invoke.
const namedRoute = "&(app) {\n\trespond \"the application\"\n}\n"

// adapt makes a configuration of what stands in the site.
func adapt(c *running, site string) ([]byte, error) {
	text := fmt.Sprintf(globals, c.keys, c.log, c.recipes) + namedRoute + fmt.Sprintf("http://%s {\n\tbind 127.0.0.1\n\tlog\n%s\n}\n", c.address, site)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// serve runs a site until the test ends.
func serve(t *testing.T, site string, recipes ...string) *running {
	t.Helper()
	address := networktest.Address(t)
	keys, err := filepath.Abs("../../keys-dev/merchant")
	require.NoError(t, err)
	c := &running{url: "http://" + address, address: address, keys: keys, log: filepath.Join(t.TempDir(), "log.json"), recipes: strings.Join(recipes, "")}
	t.Cleanup(func() {
		assert.NoError(t, caddy.Stop())
		if t.Failed() && os.Getenv("SHOW_LOG") != "" {
			text, _ := os.ReadFile(c.log)
			t.Logf("Caddy's log:\n%s", text)
		}
	})
	c.load(t, site)
	return c
}

// load replaces the site.
func (c *running) load(t *testing.T, site string) {
	t.Helper()
	adapted, err := adapt(c, site)
	require.NoError(t, err)
	require.NoError(t, caddy.Load(adapted, true))
	if c.loads++; c.loads > 1 {
		time.Sleep(100 * time.Millisecond) // Caddy closes the old listeners a moment later
	}
}

// entry is an audit entry.
type entry struct {
	Logger         string   `json:"logger"`
	Message        string   `json:"msg"`
	ID             string   `json:"id"`
	Profile        string   `json:"profile"`
	Scheme         string   `json:"scheme"`
	Reference      string   `json:"reference"`
	Fingerprints   []string `json:"key_fingerprints"`
	Canonical      string   `json:"canonical_sha256"`
	RequestBytes   int      `json:"request_bytes"`
	ResponseBytes  int      `json:"response_bytes"`
	UpstreamStatus int      `json:"upstream_status"`
	Outcome        string   `json:"outcome"`
	Verdict        string   `json:"verdict"`
}

// audit returns the audit entries so far.
func (c *running) audit(t *testing.T) []entry {
	t.Helper()
	text, err := os.ReadFile(c.log)
	require.NoError(t, err)
	var out []entry
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var e entry
		require.NoError(t, json.Unmarshal(line, &e))
		if e.Logger == "http.countersign.audit" {
			out = append(out, e)
		}
	}
	return out
}

// outcomes returns the outcomes of the audit entries so far.
func (c *running) outcomes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, e := range c.audit(t) {
		assert.Equal(t, "notification", e.Message)
		out = append(out, strings.TrimSpace(e.Outcome+" "+e.Verdict))
	}
	return out
}

// logged returns the whole log so far.
func (c *running) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(c.log)
	require.NoError(t, err)
	return string(text)
}

// says waits until the log holds a text: entries are written by a queue.
func (c *running) says(t *testing.T, text string) {
	t.Helper()
	assert.Eventually(t, func() bool { return strings.Contains(c.logged(t), text) }, 10*time.Second, 5*time.Millisecond, "the log has no %s", text)
}

// arrived is a request that reached the application.
type arrived struct {
	method, target string
	header         http.Header
	body           string
	length         int64
}

// application is the merchant's application.
type application struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc
	arrived []arrived
}

// newApplication starts an application that answers with answer.
func newApplication(t *testing.T, answer http.HandlerFunc) *application {
	t.Helper()
	a := &application{answer: answer}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.arrived = append(a.arrived, arrived{r.Method, r.RequestURI, r.Header.Clone(), string(text), r.ContentLength})
		answer := a.answer
		a.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(a.Server.Close)
	return a
}

// answers makes the application answer otherwise from now on.
func (a *application) answers(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// calls returns the requests that have reached the application since the last time
// that somebody asked.
func (a *application) calls() []arrived {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.arrived
	a.arrived = nil
	return out
}

// proxy returns the site's line that puts the application behind.
func (a *application) proxy() string {
	return "\treverse_proxy " + strings.TrimPrefix(a.URL, "http://") + "\n"
}

// says answers 200 with a text.
func says(text string) http.HandlerFunc { return status(http.StatusOK, text) }

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// sent is a request of the provider.
type sent struct {
	method, target, contentType, body string
	header                            http.Header
}

// got is what the provider gets.
type got struct {
	status int
	header http.Header
	body   string
}

// code returns the reason of a problem, which must be a proper one.
func (g got) code(t *testing.T) string {
	t.Helper()
	if g.header.Get("Content-Type") != problem.ContentType {
		return ""
	}
	var p struct {
		Type, Title, Detail, Reason, ID string
		Outcome                         *string
		Status                          int
	}
	require.NoError(t, json.Unmarshal([]byte(g.body), &p), g.body)
	assert.Equal(t, g.status, p.Status)
	assert.Equal(t, problem.Reason(p.Reason).Status(), p.Status)
	assert.Equal(t, "urn:countersign:problem:"+p.Reason, p.Type)
	assert.NotEmpty(t, p.Title)
	assert.NotEmpty(t, p.Detail)
	assert.Len(t, p.ID, 26)
	assert.Nil(t, p.Outcome, "no notification has an outcome")
	assert.Empty(t, g.header.Get(problem.HeaderOutcome))
	return p.Reason
}

var provider = &http.Client{
	Timeout:       30 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post sends what the provider sends.
func (c *running) post(t *testing.T, s sent) got {
	t.Helper()
	g, err := c.try(t, s)
	require.NoError(t, err)
	return g
}

// try sends, and sends again what the listener of the configuration before a
// reload has not accepted any more.
func (c *running) try(t *testing.T, s sent) (got, error) {
	t.Helper()
	g, err := c.send(t, s)
	for i := 0; i < 3 && c.loads > 1 && g.status == 0 && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)); i++ {
		g, err = c.send(t, s)
	}
	return g, err
}

func (c *running) send(t *testing.T, s sent) (got, error) {
	t.Helper()
	method := s.method
	if method == "" {
		method = http.MethodPost
	}
	var text io.Reader
	if s.body != "" {
		text = strings.NewReader(s.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+s.target, text)
	require.NoError(t, err)
	for name, values := range s.header {
		req.Header[name] = values
	}
	if s.contentType != "" {
		req.Header.Set("Content-Type", s.contentType)
	}
	res, err := provider.Do(req)
	if err != nil {
		return got{}, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return got{res.StatusCode, res.Header, string(out)}, err
}
