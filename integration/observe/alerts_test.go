package observe_test

import (
	"bytes"
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
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/programs"
)

// evaluation is what Prometheus' engine made of scrapes; see the command in
// promql.
type evaluation struct {
	Steps []struct {
		At      float64
		Firing  []string
		Summary map[string]string
	}
	Queries []struct {
		Where  string
		Expr   string
		Series int
	}
}

// scrapes collects what /metrics shows, a minute of Prometheus' time apart.
type scrapes struct {
	s    *sidecar
	text []string
	when []time.Time
}

func (c *scrapes) take() {
	c.when = append(c.when, time.Now())
	c.text = append(c.text, c.s.get("watching", "/metrics").body)
}

var ageLine = regexp.MustCompile(`(?m)^(caddy_countersign_key_age_seconds\{[^}]*\}) (\S+)$`)

// evaluate asks what the alert rules and the dashboard make of the scrapes.
func (c *scrapes) evaluate(t *testing.T) *evaluation {
	t.Helper()
	binary, err := programs.Path(t.Context(), programs.PromQL)
	require.NoError(t, err)

	type scrape struct {
		At   float64 `json:"at"`
		Text string  `json:"text"`
	}
	var all []scrape
	for i, text := range c.text {
		text = ageLine.ReplaceAllStringFunc(text, func(line string) string {
			found := ageLine.FindStringSubmatch(line)
			age, err := strconv.ParseFloat(found[2], 64)
			require.NoError(t, err)
			then := c.when[i].Add(-time.Duration(age * float64(time.Second)))
			return fmt.Sprintf("%s %g", found[1], c.minutes(c.when[i])*60-c.minutes(then)*60)
		})
		all = append(all, scrape{float64(i * 60), text})
	}
	question, err := json.Marshal(map[string]any{"rules": "alerts.yaml", "dashboard": "grafana-dashboard.json", "scrapes": all})
	require.NoError(t, err)
	run := exec.Command(binary)
	run.Stdin = bytes.NewReader(question)
	var failed bytes.Buffer
	run.Stderr = &failed
	answer, err := run.Output()
	require.NoError(t, err, failed.String())
	out := new(evaluation)
	require.NoError(t, json.Unmarshal(answer, out))
	return out
}

// minutes returns a moment in Prometheus' time: the scrapes are a minute apart
// there, and here as long as they took.
func (c *scrapes) minutes(at time.Time) float64 {
	for i := 1; i < len(c.when); i++ {
		if !at.After(c.when[i]) || i == len(c.when)-1 {
			return float64(i-1) + float64(at.Sub(c.when[i-1]))/float64(c.when[i].Sub(c.when[i-1]))
		}
	}
	return 0
}

// slowProvider returns a provider that answers when release is written to.
func slowProvider(t *testing.T) (address string, release chan<- struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	permits := make(chan struct{}, 100)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-permits
		w.WriteHeader(http.StatusInternalServerError)
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), permits
}

// copyKeys makes a folder of the merchant's development keys.
func copyKeys(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(repository, "keys-dev/merchant"))))
	return dir
}

// refresh has the sidecar look at all keys now.
func (s *sidecar) refresh() answer {
	s.T.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://admin/countersign/keys/refresh", nil)
	require.NoError(s.T, err)
	return s.do("admin", req)
}

// The real sidecar's metrics in good times, in bad times and in good times
// again: which alerts fire, and for whom. The bad times last 25 minutes of
// Prometheus' time.
func TestAlertsAndDashboardOnRealMetrics(t *testing.T) {
	t.Parallel()
	failing, blip, odd := copyKeys(t, "failing"), copyKeys(t, "blip"), copyKeys(t, "odd")
	require.NoError(t, os.Remove(filepath.Join(odd, merchant, "verify.pem")))
	address, release := slowProvider(t)
	s := start(t, globalWithKeys(source(failing)+source(blip)+source(odd), "")+
		app(short("/healthy", provider, "profile healthy"),
			short("/tampered", provider, "profile tampered"),
			short("/slow", address, "profile slow"),
			short("/guarded", provider, "profile guarded", "limit bizData.orderSubDetails.*.transAmt 1"),
			short("/away", provider, "profile away", "unique orgTrace for 1h redis://127.0.0.1:1"),
			shortWith("odd "+merchant, "/unsignable", provider, "profile unsignable"),
			shortWith("failing "+merchant, "/failing", provider, "profile failing"),
			shortWith("blip "+merchant, "/blip", provider, "profile blip"),
			notify("/forged", "profile forged"), notify("/nudged", "profile nudged"))+
		providers()+watching())
	body, forged := sample(t, "easypay"), []byte(`{"bizData":{"oriOrgTrace":"1"},"sign":"AAAA"}`)
	const good, bad, long = 12, 25, 25
	c := &scrapes{s: s}

	// Slow answers are asked for early: they have to be slow in real time.
	asked := time.Now()
	done := make(chan struct{}, bad)
	for range bad {
		go func() {
			s.post("/slow/ledger/mpos", body)
			done <- struct{}{}
		}()
	}
	minute := func(well bool) {
		for _, path := range []string{"/healthy", "/failing", "/blip"} {
			require.Equal(t, http.StatusOK, s.post(path+"/ledger/mpos", body).status, path)
		}
		if well {
			require.Equal(t, http.StatusOK, s.post("/tampered/ledger/mpos", body).status)
			require.Equal(t, http.StatusOK, s.refresh().status)
			c.take()
			return
		}
		require.Equal(t, http.StatusBadGateway, s.post("/tampered/ledger/mpos?fault=tampered", body).status)
		require.Equal(t, http.StatusServiceUnavailable, s.post("/unsignable/ledger/mpos", body).status)
		require.Equal(t, http.StatusServiceUnavailable, s.post("/away/ledger/mpos", body).status)
		for range 2 {
			require.Equal(t, http.StatusUnauthorized, s.post("/forged", forged).status)
			require.Equal(t, http.StatusForbidden, s.post("/guarded/ledger/mpos", body).status)
		}
		require.Equal(t, http.StatusBadGateway, s.refresh().status)
		release <- struct{}{}
		<-done
		c.take()
	}

	for range good {
		minute(true)
	}
	time.Sleep(time.Until(asked.Add(2600 * time.Millisecond)))
	breakKey := func(dir string) func() {
		file := filepath.Join(dir, merchant, "sign.pem")
		whole, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, whole[:100], 0o600))
		return func() { require.NoError(t, os.WriteFile(file, whole, 0o600)) }
	}
	mend := breakKey(failing)
	for i := range bad {
		if i == 5 { // once is no alarm
			mendBlip := breakKey(blip)
			s.refresh()
			mendBlip()
			s.post("/nudged", forged)
		}
		minute(false)
	}
	mend()
	for range long {
		minute(true)
	}

	got := c.evaluate(t)
	require.Len(t, got.Steps, good+bad+long)
	for _, step := range got.Steps[:good] {
		assert.Empty(t, step.Firing, "minute %g", step.At/60)
	}
	// The first answer that does not verify is enough.
	assert.Contains(t, got.Steps[good].Firing, `CountersignVerificationFailures{profile="tampered", scheme="easypay"}`)
	assert.Equal(t, []string{
		`CountersignGuardRefusals{profile="guarded", rule="limit"}`,
		`CountersignKeysFailingToRefresh{source="failing"}`,
		`CountersignKeysStale{source="failing"}`,
		`CountersignSigningFailures{profile="unsignable", scheme="easypay"}`,
		`CountersignSlowProvider{profile="slow", scheme="easypay"}`,
		`CountersignStoreUnavailable{profile="away", scheme="easypay"}`,
		`CountersignVerificationFailures{profile="forged", scheme="easypay"}`,
		`CountersignVerificationFailures{profile="tampered", scheme="easypay"}`,
	}, got.Steps[good+bad-1].Firing)
	assert.Empty(t, got.Steps[len(got.Steps)-1].Firing)
	for _, step := range got.Steps {
		for alert, summary := range step.Summary {
			assert.NotContains(t, alert, "blip", "minute %g", step.At/60)
			assert.NotContains(t, alert, "nudged", "minute %g", step.At/60)
			assert.NotContains(t, alert, "healthy", "minute %g", step.At/60)
			assert.NotContains(t, summary, "error", alert)
			assert.NotEmpty(t, summary, alert)
		}
	}

	// Every query of the dashboard finds something in real output.
	assert.Greater(t, len(got.Queries), 12)
	for _, query := range got.Queries {
		assert.Positive(t, query.Series, "%s: %s", query.Where, query.Expr)
	}
}
