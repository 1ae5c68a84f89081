package proxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// startWithSite runs a sidecar of which more stands in the site and beside it.
func startWithSite(t *testing.T, upstream, site, beside string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	text := sidecarText(address, upstream, "")
	text = strings.TrimSuffix(strings.TrimSpace(text), "}") + site + "\n}\n" + beside
	return &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}

// Where the site's handle_errors answers, that answer is sent; where it does
// not, the problem is.
func TestHandleErrors(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "error.html"), []byte("<h1>"+strings.Repeat("from a file ", 100)+"</h1>"), 0o600))
	for name, c := range map[string]struct {
		site, beside string
		status       int    // 0: the problem
		body         string // a part of it
		bare         bool   // no body at all
	}{
		"none":                          {"", "", 0, "", false},
		"answering":                     {"handle_errors {\nrespond \"ours {http.countersign.reason} {http.countersign.outcome}\" 418\n}", "", 418, "ours invalid_request not_sent", false},
		"answering with the status":     {"handle_errors {\nrespond \"ours {err.status_code}\"\n}", "", 400, "ours 400", false},
		"answering with 200":            {"handle_errors {\nrespond \"fine\" 200\n}", "", 200, "fine", false},
		"answering with the problem":    {"handle_errors {\nheader Content-Type application/problem+json\nrespond `{http.countersign.problem}` 400\n}", "", 400, `"reason":"invalid_request"`, false},
		"answering from a file":         {"handle_errors {\nroot * " + dir + "\nrewrite * /error.html\nfile_server\n}", "", 400, "from a file", false},
		"answering for this code":       {"handle_errors 400 {\nrespond \"ours\" 400\n}", "", 400, "ours", false},
		"answering for these codes":     {"handle_errors 4xx {\nrespond \"ours\" 400\n}", "", 400, "ours", false},
		"answering for another code":    {"handle_errors 502 {\nrespond \"ours\" 502\n}", "", 0, "", false},
		"answering for other codes":     {"handle_errors 5xx {\nrespond \"ours\" 502\n}", "", 0, "", false},
		"answering for another path":    {"handle_errors {\n@other path /other/*\nrespond @other \"ours\" 400\n}", "", 0, "", false},
		"answering for this path":       {"handle_errors {\n@this path /easypay/*\nrespond @this \"ours {http.request.uri}\" 400\n}", "", 400, "ours /easypay/ledger/mpos", false},
		"not answering":                 {"handle_errors {\nheader X-Ours 1\n}", "", 0, "", false},
		"the bare status":               {"handle_errors {\nrespond 400\n}", "", 0, "", false},
		"the bare status by its name":   {"handle_errors {\nrespond \"\" {err.status_code}\n}", "", 0, "", false},
		"another bare status":           {"handle_errors {\nrespond 503\n}", "", 503, "", true},
		"failing itself":                {"handle_errors {\nerror \"worse\" 500\n}", "", 0, "", false},
		"a file that is not there":      {"handle_errors {\nroot * " + dir + "\nrewrite * /none.html\nfile_server\n}", "", 0, "", false},
		"countersign_problem":           {"handle_errors {\ncountersign_problem\n}", "", 0, "", false},
		"countersign_problem and more":  {"handle_errors {\ncountersign_problem\nrespond \"ours\" 500\n}", "", 0, "", false},
		"countersign_problem, a reason": {"handle_errors {\ncountersign_problem unknown_route\n}", "", 0, "", false},
		"a sibling site":                {"", "http://127.0.0.2:1 {\nbind 127.0.0.1\nhandle_errors {\nrespond \"theirs\" 500\n}\n}", 0, "", false},
		"a sibling site, same listener": {"", "http://other.example:PORT {\nbind 127.0.0.1\nhandle_errors {\nrespond \"theirs\" 500\n}\n}", 0, "", false},
		"the message":                   {"handle_errors {\nrespond \"{err.message}\" 400\n}", "", 400, "invalid_request: the request body is refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			address := testcaddy.FreeAddress(t)
			_, port, _ := strings.Cut(address, ":")
			text := sidecarText(address, testcaddy.FreeAddress(t), "")
			text = strings.TrimSuffix(strings.TrimSpace(text), "}") + c.site + "\n}\n" + strings.ReplaceAll(c.beside, "PORT", port)
			s := &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
			answer := s.post([]byte("x"))
			if c.status == 0 {
				s.problem(t, answer, notSent("invalid_request", 400, ""))
				assert.Empty(t, answer.Header.Get("X-Ours"))
				return
			}
			assert.Equal(t, c.status, answer.Status)
			assert.Contains(t, string(answer.Body), c.body)
			if c.bare {
				assert.Empty(t, answer.Body)
			}
			entry := s.Logs.Audit(t, 1)
			assert.Equal(t, "invalid_request", entry.String("outcome"))
			access := s.Logs.Access(t, 1)
			assert.Equal(t, entry.String("id"), access.String("countersign_id"))
			assert.InDelta(t, c.status, access.Number("status"), 0)
		})
	}
}

// An error of Caddy's own becomes the problem that is asked for, once.
func TestProblemWithReasonInHandleErrors(t *testing.T) {
	s := startWithSite(t, testcaddy.FreeAddress(t), "handle /own {\nerror 403\n}\nhandle_errors {\ncountersign_problem unknown_route\n}", "")
	own := *s
	own.url = strings.Replace(s.url, "/easypay/ledger/mpos", "/own", 1)
	answer := own.post(nil)
	assert.Equal(t, 404, answer.Status)
	assert.Contains(t, string(answer.Body), `"reason":"unknown_route"`)
}

// A handler of ours that stands in handle_errors answers its own error itself, and
// does not come back to where it stands.
func TestCountersignInHandleErrors(t *testing.T) {
	s := startWithSite(t, testcaddy.FreeAddress(t), "handle_errors {\ncountersign easypay 127.0.0.1:1 {\nkeys easypay/ORG000000000007\n}\n}", "")
	answer := s.post([]byte("x"))
	assert.Equal(t, 400, answer.Status)
	assert.Contains(t, string(answer.Body), `"reason":"invalid_request"`)
}

// The placeholders hold what the problem holds, and the same id.
func TestPlaceholders(t *testing.T) {
	d := newDouble(t)
	s := startWithSite(t, d.Address, "handle_errors {\nrespond \"{http.countersign.reason}|{http.countersign.outcome}|{http.countersign.id}\" 500\n}", "")
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, []byte(`{"sysRetCode":"1"}`)) }))
	answer := s.post(sample(t))
	code, rest, _ := strings.Cut(string(answer.Body), "|")
	outcome, id, _ := strings.Cut(rest, "|")
	assert.Equal(t, "response_unsigned", code)
	assert.Equal(t, "unverified", outcome)
	assert.Equal(t, s.Logs.Audit(t, 1).String("id"), id)
}
