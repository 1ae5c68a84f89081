package observe_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The id of a problem's body is the id in the access log, in the audit log and
// in the log of failures: one grep finds the whole story.
func TestAccessLogHasTheIdOfTheProblem(t *testing.T) {
	s := start(t, global(auditTo(auditFile))+
		app(short("/short", provider), short("/down", "127.0.0.1:1"), long("/long", provider, ""),
			notify("/notify"),
			"handle_errors {\ncountersign_problem\n}")+
		providers())
	body := sample(t, "easypay")
	for i, test := range []struct {
		path   string
		body   []byte
		status int
	}{
		{"/short/ledger/mpos?n=%s", []byte("[]"), http.StatusBadRequest},
		{"/short/ledger/mpos?fault=tampered&n=%s", body, http.StatusBadGateway},
		{"/short/ledger/mpos?fault=reset&n=%s", body, http.StatusBadGateway},
		{"/down/ledger/mpos?n=%s", body, http.StatusBadGateway},
		{"/long/ledger/mpos?n=%s", []byte("[]"), http.StatusBadRequest},
		{"/long/ledger/mpos?fault=tampered&n=%s", body, http.StatusBadGateway},
		{"/notify?n=%s", []byte(`{"bizData":{"a":"1"},"sign":"AAAA"}`), http.StatusUnauthorized},
		{"/notify?n=%s", []byte(`[]`), http.StatusBadRequest},
	} {
		target := strings.Replace(test.path, "%s", string(rune('a'+i)), 1)
		res := s.post(target, test.body)
		require.Equal(t, test.status, res.status, target)
		var problem struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(res.body), &problem), target)
		require.Len(t, problem.ID, 26, target)

		lines := s.access("app", target)
		require.Len(t, lines, 1, target)
		assert.Equal(t, problem.ID, lines[0].ID, target)
		assert.Equal(t, test.status, lines[0].Status, target)
		entries := s.entries()
		assert.Equal(t, problem.ID, entries[len(entries)-1]["id"], target)
		assert.Contains(t, s.Read("default.log"), `"id":"`+problem.ID+`"`, target)
	}

	// An exchange that went well has one, too: that of its audit entry.
	require.Equal(t, http.StatusOK, s.post("/short/ledger/mpos?well", body).status)
	entries := s.entries()
	assert.Equal(t, entries[len(entries)-1]["id"], s.access("app", "/short/ledger/mpos?well")[0].ID)
}

// The sample of a log block, as it ships, with the quickstart's sandbox.
func TestTheSampleOfAnAuditLog(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "audit.Caddyfile"))
	require.NoError(t, err)
	const site = ":8180 {\n\tbind 127.0.0.1"
	const sandbox = ":9190 {\n\tbind 127.0.0.1"
	for _, part := range []string{site, sandbox, "admin off", "keys-dev/merchant\n", "keys-dev/provider ", "127.0.0.1:9190"} {
		require.Contains(t, string(text), part)
	}
	s := start(t, strings.NewReplacer(site, "http://:8180 {\n\tbind unix/$DIR/app",
		sandbox, "http://:9190 {\n\tbind unix/$DIR/provider",
		"admin off", "admin unix/$DIR/admin|0600", "127.0.0.1:9190", provider,
		"keys-dev/merchant\n", "$REPO/keys-dev/merchant\n", "keys-dev/provider ", "$REPO/keys-dev/provider ").Replace(string(text)),
		"COUNTERSIGN_LOGS=$DIR/logs")
	require.Equal(t, http.StatusOK, s.post("/easypay/ledger/mpos", sample(t, "easypay")).status)
	require.Equal(t, http.StatusBadGateway, s.post("/easypay/ledger/mpos?fault=unsigned", sample(t, "easypay")).status)

	audit := s.Read("logs/audit.log")
	assert.Equal(t, 2, strings.Count(audit, "\n"), "entries and nothing else")
	assert.Equal(t, 2, strings.Count(audit, `"logger":"http.countersign.audit"`))
	assert.Equal(t, 2, strings.Count(audit, `"profile":"east"`))
	output := s.Read("output.log")
	assert.NotContains(t, output, "http.countersign.audit")
	assert.Contains(t, output, "exchange failed")
	s.Await("the access log", func() bool { return strings.Count(s.Read("logs/access.log"), `"countersign_id"`) == 2 })
	assert.NotContains(t, output, "http.log.access")
	for _, name := range []string{"logs/audit.log", "logs/access.log"} {
		info, err := os.Stat(s.Path(name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}
