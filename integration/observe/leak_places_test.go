package observe_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/problem"
)

// caddyfiles are configurations that are refused.
func (l *leakTest) caddyfiles() {
	_, own := encodeKey(l.hoard.wrong)
	quoted := "`" + string(own) + "`"
	at := func(options string) string {
		return "{\nadmin unix/$DIR/admin|0600\npersist_config off\ndebug\ncountersign {\nkeys file " + l.hoard.dir + "/merchant\n}\n}\n" +
			"http://:8080 {\nbind unix/$DIR/app\ncountersign easypay 127.0.0.1:1 {\n" + options + "\n}\n}\n"
	}
	for name, caddyfile := range map[string]string{
		"a key for a reference":             at("keys " + quoted),
		"a secret in the environment":       at("keys {env.CANARY}"),
		"a secret in a file":                at("keys {file." + l.hoard.dir + "/merchant/jeepay/M/sign.pem}"),
		"a secret for a source":             at("keys {env.CANARY} easypay/M"),
		"nothing in the environment":        at("keys {env.NOTHING}"),
		"a notification's key":              strings.Replace(strings.Replace(at("keys {env.CANARY}"), "countersign easypay 127.0.0.1:1", "countersign_notify easypay", 1), "unknown", "", 1),
		"a sandbox's key":                   strings.Replace(at("keys {env.CANARY}"), "countersign easypay 127.0.0.1:1", "countersign_sandbox easypay", 1),
		"a password for redis, not to URLs": strings.Replace(at("keys easypay/M\nonce 1m redis redis://user:{env.CANARY}@127.0.0.1:1x"), "countersign easypay 127.0.0.1:1", "countersign_notify easypay", 1),
	} {
		res := l.reload(caddyfile)
		assert.Equal(l.T, http.StatusBadRequest, res.status, name)
		l.look("refused configuration: "+name, res.body)
	}
}

// admin reads all that the admin endpoint shows.
func (l *leakTest) admin() {
	for _, path := range []string{"/config/", "/countersign/keys", "/metrics", "/reverse_proxy/upstreams", "/debug/vars", "/debug/pprof/goroutine?debug=2"} {
		res := l.get("admin", path)
		assert.Equal(l.T, http.StatusOK, res.status, path)
		l.look("admin "+path, res.body)
	}
}

// inspector reads all that the inspector's page has without bodies: the list, each
// record, and what its workbench says of a request.
func (l *leakTest) inspector() {
	ask := func(method, path, body, token string) answer {
		req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		require.NoError(l.T, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Countersign-Token", token)
		res := l.do("inspector", req)
		assert.Equal(l.T, http.StatusOK, res.status, "%s: %s", path, res.body)
		l.look("inspector "+path, res.body)
		return res
	}
	var list struct {
		Records []struct{ ID, Outcome string }
	}
	require.NoError(l.T, json.Unmarshal([]byte(ask(http.MethodGet, "/records", "", "").body), &list))
	assert.Greater(l.T, len(list.Records), 100)
	seen := make(map[string]int)
	for _, r := range list.Records {
		if seen[r.Outcome]++; seen[r.Outcome] <= 10 {
			ask(http.MethodGet, "/records/"+r.ID, "", "")
		}
	}
	assert.Greater(l.T, len(seen), 10)
	_, rest, _ := strings.Cut(ask(http.MethodGet, "/", "", "").body, `name="token" content="`)
	token, _, _ := strings.Cut(rest, `"`)
	ask(http.MethodPost, "/clear", "{}", token)
}

// unseen returns the reasons that no audit entry has yet.
func (l *leakTest) unseen() []problem.Reason {
	seen := make(map[string]bool)
	for line := range strings.Lines(l.Read("default.log")) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e["logger"] == "http.countersign.audit" {
			seen[e["outcome"].(string)] = true
		}
	}
	return slices.DeleteFunc(problem.Reasons(), func(reason problem.Reason) bool {
		switch reason {
		case problem.AuditUnavailable, // stops all others
			problem.UnknownRoute,                                                                // is not of an exchange
			problem.NotAllowed, problem.OverLimit, problem.OverBudget, problem.DuplicateRequest: // of the guardrails' own test
			return true
		}
		return seen[string(reason)]
	})
}

// fromApplication reports whether a line is what Caddy itself tells of an answer
// of the merchant's own application, behind a notification: its headers in the
// access log, and what its reverse_proxy says at debug.
func fromApplication(line string) bool {
	if strings.Contains(line, `"logger":"http.log.access`) {
		return strings.Contains(line, `"uri":"/notify-app/`)
	}
	return strings.Contains(line, `"logger":"http.handlers.reverse_proxy"`) && strings.Contains(line, `"Countersign-Verified":["true"]`)
}

// files searches all that the sidecar wrote.
func (l *leakTest) files() {
	sizes := make(map[string]int)
	require.NoError(l.T, filepath.WalkDir(l.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(l.Dir, path)
		sizes[name] = len(text)
		for i, line := range strings.SplitAfter(string(text), "\n") {
			if !fromApplication(line) {
				l.look(fmt.Sprintf("%s:%d", name, i+1), line)
			}
		}
		return nil
	}))
	for _, name := range []string{"default.log", "app.log", "provider.log", "output.log"} {
		assert.Positive(l.T, sizes[name], name)
	}
}
