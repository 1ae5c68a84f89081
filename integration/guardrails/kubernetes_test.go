package guardrails_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// reviewer stands for the API server: it says whose token is whose, as TokenReview
// does, to whoever may ask.
type reviewer struct {
	tokens map[string]string // the answer's status, as JSON
	may    atomic.Value      // the token of who may ask
	asked  atomic.Int32
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.asked.Add(1)
	var review struct {
		APIVersion, Kind string
		Spec             struct {
			Token     string
			Audiences []string
		}
	}
	err := json.NewDecoder(r.Body).Decode(&review)
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Header.Get("Content-Type") != "application/json":
		http.NotFound(w, r)
	case r.Header.Get("Authorization") != "Bearer "+v.may.Load().(string):
		http.Error(w, `{"kind":"Status","status":"Failure","code":403}`, http.StatusForbidden)
	case err != nil || review.APIVersion != "authentication.k8s.io/v1" || review.Kind != "TokenReview" || !slices.Equal(review.Spec.Audiences, []string{"countersign"}):
		http.Error(w, `{"kind":"Status","status":"Failure","code":400}`, http.StatusBadRequest)
	default:
		status := v.tokens[review.Spec.Token]
		if status == "" {
			status = `{"user":{},"error":"invalid bearer token"}`
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{},"status":%s}`, status)
	}
}

// Applications in other pods, each known by the token of its service account.
func TestKubernetes(t *testing.T) {
	known := func(name, audiences string) string {
		return `{"authenticated":true,"user":{"username":"` + name + `","uid":"1","groups":["system:authenticated"]}` + audiences + `}`
	}
	const ours = `,"audiences":["countersign"]`
	v := &reviewer{tokens: map[string]string{
		"till.1":      known("system:serviceaccount:shop:till", ours),
		"refunds.1":   known("system:serviceaccount:shop:refunds", ours),
		"other.1":     known("system:serviceaccount:shop:other", ours),
		"elsewhere.1": known("system:serviceaccount:elsewhere:till", ours),
		"tiller.1":    known("system:serviceaccount:shop:tiller", ours),
		"api.1":       known("system:serviceaccount:shop:till", `,"audiences":["https://kubernetes.default.svc"]`),
		"old.1":       known("system:serviceaccount:shop:till", ""), // an API server that knows no audiences
		"refused.1":   `{"authenticated":false,"user":{"username":"system:serviceaccount:shop:till"}` + ours + `}`,
		"list.1":      `[]`,
	}}
	v.may.Store("ours.1")
	authority := newAuthority(t)
	certificate, pem, key := authority.issue(t, "localhost")
	api := httptest.NewUnstartedServer(v)
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	api.StartTLS()
	defer api.Close()
	_, apiPort, err := net.SplitHostPort(api.Listener.Addr().String())
	require.NoError(t, err)

	dir := process.Folder(t)
	for name, content := range map[string][]byte{"tls.crt": pem, "tls.key": key, "ca.crt": authority.pem, "token": []byte("ours.1")} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	address := networktest.Address(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	_, sandbox, err := net.SplitHostPort(networktest.Address(t))
	require.NoError(t, err)
	text := example(t, "guard-kubernetes.Caddyfile", ":8443 {", ":"+port+" {", ":9093 {", "http://127.0.0.1:"+sandbox+" {", "127.0.0.1:9093", "127.0.0.1:"+sandbox,
		"1000000 per 24h by {caller}", "100 per 24h by {caller}")
	s := start(t, text, "tcp", address, "PAY_TLS="+dir, "COUNTERSIGN_RUN="+dir, "KUBERNETES_ACCOUNT="+dir, "KUBERNETES_API=https://localhost:"+apiPort)
	awaitMode(s, filepath.Join(dir, "review.sock"), 0o600)

	c := client("tcp", address)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: authority.pool}
	ask := func(authorization, body string, header ...string) answer {
		t.Helper()
		a, err := post(c, "https://localhost:"+port+"/easypay/ledger/mpos", body, func(r *http.Request) {
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
		})
		require.NoError(t, err)
		return a
	}
	for i, token := range []string{"till.1", "refunds.1"} {
		a := ask("Bearer "+token, order(t, "A"+token, "60", "40"))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		entry := s.audit(t, i+1, "exchange")[i]
		assert.Equal(t, "system:serviceaccount:shop:"+strings.TrimSuffix(token, ".1"), entry["caller"])
	}
	assert.Equal(t, "over_budget", ask("Bearer till.1", order(t, "B", "0.01", "0")).reason(), "each has a budget of its own")
	assert.Equal(t, "system:serviceaccount:shop:till", s.audit(t, 3, "exchange")[2]["caller"])

	const name = "system:serviceaccount:shop:till"
	for _, test := range []struct {
		what, authorization string
		status              int
	}{
		{"nobody", "", 401},
		{"a made-up token", "Bearer made.up", 401},
		{"one of another service account", "Bearer other.1", 403},
		{"one of another namespace", "Bearer elsewhere.1", 403},
		{"a name that begins alike", "Bearer tiller.1", 403},
		{"one for the API server", "Bearer api.1", 401},
		{"one without an audience", "Bearer old.1", 401},
		{"one that is not authenticated", "Bearer refused.1", 401},
		{"an answer of another kind", "Bearer list.1", 500},
		{"another scheme", "Basic till.1", 401},
		{"JSON in the token", `Bearer x","audiences":[],"token":"till.1`, 401},
		{"a placeholder in the token", "Bearer {file." + filepath.Join(dir, "token") + "}", 401},
	} {
		a := ask(test.authorization, order(t, "C", "0", "0"), "Remote-User", name)
		assert.Equal(t, test.status, a.Status, test.what)
		assert.NotContains(t, a.Body, "bizData", test.what)
	}
	v.may.Store("ours.2")
	assert.Equal(t, 500, ask("Bearer till.1", order(t, "C", "0", "0")).Status, "the sidecar may not ask")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("ours.2\n"), 0o600))
	assert.Equal(t, 200, ask("Bearer till.1", order(t, "C", "0", "0")).Status, "the kubelet has replaced the sidecar's own token")
	asked := v.asked.Load()
	api.Close()
	assert.Equal(t, 500, ask("Bearer till.1", order(t, "D", "0", "0")).Status, "the API server is away")
	assert.Equal(t, asked, v.asked.Load())
	assert.Len(t, s.audit(t, 4, "exchange"), 4, "nothing else came to the signing handler")
	log, err := os.ReadFile(filepath.Join(s.Dir, "output.log"))
	require.NoError(t, err)
	for _, token := range []string{"till.1", "refunds.1", "ours.1", "ours.2"} {
		assert.NotContains(t, string(log), token, "no token is logged")
	}
}
