package kubernetes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// exchange is what a client saw of one request.
type exchange struct {
	scheme   string
	status   int
	verified string
	outcome  string
	body     string
	err      error
}

// body returns a request of the example's application; n tells one from another.
func body(t *testing.T, scheme string, n int) string {
	t.Helper()
	if scheme == "jeepay" {
		return fmt.Sprintf(`{"payOrderId":"P2021082710%08d","useSysAutoDivisionReceivers":"0","receivers":[{"receiverId":"800001","divisionProfit":"0.3"}]}`, n)
	}
	sample, err := os.ReadFile(filepath.Join(repository, "caddyfiles/samples/easypay.json"))
	require.NoError(t, err)
	return strings.Replace(string(sample), "ORG0000720220224031331542213", fmt.Sprintf("ORG00007202202240313%08d", n), 1)
}

var paths = map[string]string{"easypay": "/easypay/ledger/mpos", "jeepay": "/jeepay/api/division/exec"}

func (s sidecar) pay(ctx context.Context, scheme, text string) exchange {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.requests+paths[scheme], strings.NewReader(text))
	if err != nil {
		return exchange{scheme: scheme, err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return exchange{scheme: scheme, err: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return exchange{
		scheme:   scheme,
		status:   response.StatusCode,
		verified: response.Header.Get("Countersign-Verified"),
		outcome:  response.Header.Get("Countersign-Outcome"),
		body:     string(answer),
		err:      err,
	}
}

// vaultOfTheExample fills a Vault as the README's commands do, with the policy
// that ships.
func vaultOfTheExample(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	require.NoError(t, vault.EnableKV("payments"))
	putKeySets(t, vault)
	policy, err := os.ReadFile("example/vault-policy.hcl")
	require.NoError(t, err)
	require.NoError(t, vault.WritePolicy("shop", string(policy)))
}

// putKeySets writes a version of each key set.
func putKeySets(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	for _, reference := range []string{"easypay/ORG000000000007", "jeepay/M1623997351"} {
		fields := map[string]string{}
		dir := filepath.Join(repository, "keys-dev/merchant", reference)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			require.NoError(t, err)
			fields[strings.TrimSuffix(entry.Name(), ".pem")] = strings.TrimSpace(string(text))
		}
		_, err = vault.PutSecret("payments", reference, fields)
		require.NoError(t, err)
	}
}

// The life of a pod, from a start while Vault is away to a stop while payments
// are under way, with the files that ship.
func TestTheLifeOfAPod(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Caddy and Vault, which takes minutes the first time")
	}
	vault := vaulttest.StartTLS(t)
	vaultOfTheExample(t, vault)
	cluster, err := vault.EnableKubernetes()
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	require.NoError(t, vault.BindRole("shop", "shop", "shop", vaulttest.Tokens{Policies: []string{"shop"}, TTL: 10 * time.Minute}))
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, cluster.WriteToken(token, "shop", "shop", 10*time.Minute))

	gates := map[string]*gate{}
	for scheme, address := range startProviders(t) {
		gates[scheme] = newGate(t, address)
	}
	s := layOut(t, []string{
		"component/Caddyfile", "example/keys.caddyfile",
		"example/provider-easypay.caddyfile", "example/provider-jeepay.caddyfile",
	}, map[string]string{
		"https://vault.vault:8200":           vault.URL,
		"/var/run/secrets/countersign/token": token,
		"vault-ca.pem":                       vault.CAFile,
		"https://t-wapi.bhecard.com:6111":    gates["easypay"].url,
		"https://pay.jeepay.vip":             gates["jeepay"].url,
	})

	// It starts before Vault answers.
	require.NoError(t, vault.Kill())
	p := startCaddy(t, s.dir)
	p.await(t, "alive without Vault", func() bool { return s.probe("/livez") == http.StatusOK })
	assert.Equal(t, http.StatusServiceUnavailable, s.probe("/readyz"), "not ready without keys")
	early := s.pay(t.Context(), "easypay", body(t, "easypay", 0))
	require.NoError(t, early.err)
	assert.Equal(t, http.StatusServiceUnavailable, early.status)
	assert.Equal(t, "not_sent", early.outcome)
	assert.Contains(t, early.body, "keys_unavailable")
	assert.Zero(t, gates["easypay"].arrived.Load(), "nothing leaves without keys")

	// It becomes ready by itself.
	require.NoError(t, vault.Restart())
	p.await(t, "ready once Vault is there", func() bool { return s.probe("/readyz") == http.StatusOK })

	// Payments are under way with both providers, one of them for a client that
	// has hung up.
	const each = 12
	answers := make(chan exchange, 2*each)
	for scheme := range gates {
		for n := range each {
			text := body(t, scheme, n+1)
			go func() { answers <- s.pay(context.WithoutCancel(t.Context()), scheme, text) }()
		}
	}
	impatient, hangUp := context.WithCancel(t.Context())
	go s.pay(impatient, "easypay", body(t, "easypay", 99))
	require.Eventually(t, func() bool {
		return gates["easypay"].arrived.Load() == each+1 && gates["jeepay"].arrived.Load() == each
	}, 20*time.Second, 10*time.Millisecond, "all payments are with the providers")
	hangUp()

	// The kubelet tells it to stop.
	p.terminate(t)
	told := time.Now()
	require.Eventually(t, func() bool { return s.probe("/readyz") == http.StatusServiceUnavailable }, 2*time.Second, 10*time.Millisecond, "says first that it is not ready")
	assert.Equal(t, http.StatusOK, s.probe("/livez"))
	require.Eventually(t, func() bool { return s.probe("/livez") == 0 }, 10*time.Second, 20*time.Millisecond, "then accepts nothing more")
	assert.GreaterOrEqual(t, time.Since(told), 2500*time.Millisecond, "after shutdown_delay, not before")
	late := s.pay(t.Context(), "easypay", body(t, "easypay", 100))
	assert.ErrorContains(t, late.err, "connection refused")
	select {
	case <-p.exited:
		require.FailNow(t, "it ended with payments under way")
	case <-time.After(2 * time.Second):
	}

	// The providers answer: every client has its verified answer.
	for _, g := range gates {
		g.open()
	}
	for range 2 * each {
		a := <-answers
		require.NoError(t, a.err)
		assert.Equal(t, http.StatusOK, a.status, a.body)
		assert.Equal(t, "true", a.verified)
		assert.True(t, json.Valid([]byte(a.body)))
	}
	select {
	case <-p.exited:
		assert.NoError(t, p.err, "exit status")
	case <-time.After(5 * time.Second):
		require.FailNow(t, "nothing is under way, and it does not end")
	}
	assert.EqualValues(t, each+1, gates["easypay"].arrived.Load(), "nothing was sent twice")
	assert.EqualValues(t, each, gates["jeepay"].arrived.Load(), "nothing was sent twice")

	// Each payment has its line in the log, that of the impatient client too.
	counted := map[string]int{}
	for _, entry := range p.audit() {
		counted[strings.Trim(entry.Scheme+" "+entry.Outcome+" "+entry.Verdict, " ")]++
	}
	assert.Equal(t, map[string]int{
		"easypay keys_unavailable": 1,
		"easypay ok":               each,
		"easypay client_gone ok":   1,
		"jeepay ok":                each,
	}, counted)
}

// A provider that never answers does not keep the pod from stopping: the
// exchange ends with its timeout, and the client hears so.
func TestAProviderThatNeverAnswersDoesNotHoldThePod(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Caddy, which takes minutes the first time")
	}
	keys, err := filepath.Abs(filepath.Join(repository, "keys-dev/merchant"))
	require.NoError(t, err)
	silent := newGate(t, "http://127.0.0.1:1")
	t.Cleanup(silent.open)
	s := layOut(t, []string{
		"component/Caddyfile", "component-secret/keys.caddyfile", "example-secret/provider-easypay.caddyfile",
	}, map[string]string{
		"/var/run/secrets/countersign":    keys,
		"https://t-wapi.bhecard.com:6111": silent.url,
		"timeout 30s":                     "timeout 3s",
		"shutdown_delay 3s":               "shutdown_delay 500ms",
		"grace_period 40s":                "grace_period 10s",
	})
	p := startCaddy(t, s.dir)
	p.await(t, "ready", func() bool { return s.probe("/readyz") == http.StatusOK })

	answer := make(chan exchange, 1)
	text := body(t, "easypay", 1)
	go func() { answer <- s.pay(context.WithoutCancel(t.Context()), "easypay", text) }()
	require.Eventually(t, func() bool { return silent.arrived.Load() == 1 }, 10*time.Second, 10*time.Millisecond)
	p.terminate(t)

	a := <-answer
	require.NoError(t, a.err)
	assert.Equal(t, http.StatusGatewayTimeout, a.status)
	assert.Equal(t, "unknown", a.outcome, "the provider may have carried it out")
	select {
	case <-p.exited:
		assert.NoError(t, p.err, "exit status")
	case <-time.After(5 * time.Second):
		require.FailNow(t, "still running")
	}
	require.Len(t, p.audit(), 1)
	assert.Equal(t, "upstream_timeout", p.audit()[0].Outcome)
}
