package kubernetes_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// A caller in another pod is known by the token of its service account, which a real
// API server issues and reviews, for as long as its pod is there.
func TestCallersWithARealAPIServer(t *testing.T) {
	if os.Getenv(clusterTest) == "" {
		t.Skip("compiles kube-apiserver and etcd, which takes minutes: set " + clusterTest + "=1")
	}
	c := startCluster(t)
	c.create(t, "/api/v1/namespaces", namespace("shop"))
	c.create(t, "/api/v1/namespaces", namespace("payments"))
	for path, name := range map[string]string{"payments": "countersign", "shop": "till"} {
		c.create(t, "/api/v1/namespaces/"+path+"/serviceaccounts", account(name))
	}
	c.create(t, "/api/v1/namespaces/shop/serviceaccounts", account("other"))
	uid := c.createPod(t, "till-1", map[string]any{
		"metadata": map[string]any{},
		"spec": map[string]any{
			"serviceAccountName": "till", "automountServiceAccountToken": false,
			"containers": []any{map[string]any{"name": "till", "image": "registry.example.com/till"}},
		},
	})

	dir := t.TempDir()
	authority, err := os.ReadFile(c.caFile)
	require.NoError(t, err)
	for name, content := range map[string]string{
		"ca.crt": string(authority),
		"token":  c.token(t, "payments", "countersign", "", "", "https://kubernetes.default.svc"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	for name, from := range map[string]string{"tls.crt": "apiserver.crt", "tls.key": "apiserver.key"} { // it is for localhost, too
		content, err := os.ReadFile(filepath.Join(filepath.Dir(c.caFile), from))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	text, err := os.ReadFile("../../caddyfiles/guard-kubernetes.Caddyfile")
	require.NoError(t, err)
	port, sandbox := networktest.Port(t), networktest.Port(t)
	keys, err := filepath.Abs("../../keys-dev")
	require.NoError(t, err)
	replaced := strings.NewReplacer(":8443 {", ":"+port+" {", ":9093 {", "http://127.0.0.1:"+sandbox+" {", "127.0.0.1:9093", "127.0.0.1:"+sandbox, "keys-dev", keys).Replace(string(text))
	run := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(run, "Caddyfile"), []byte(replaced), 0o600))
	p := startCaddy(t, run, "PAY_TLS="+dir, "COUNTERSIGN_RUN="+dir, "KUBERNETES_ACCOUNT="+dir, "KUBERNETES_API="+c.url)

	body, err := os.ReadFile("../../caddyfiles/samples/easypay.json")
	require.NoError(t, err)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	orders := 0
	ask := func(token string) (int, string) {
		orders++
		order := strings.Replace(string(body), "ORG0000720220224055510123456", "T"+strings.Repeat("1", orders), 1)
		request, err := http.NewRequest(http.MethodPost, "https://localhost:"+port+"/easypay/ledger/mpos", strings.NewReader(order))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(request)
		if err != nil {
			return 0, ""
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	mine := c.token(t, "shop", "till", "till-1", uid, "countersign")
	p.await(t, "it serves", func() bool { status, _ := ask(mine); return status != 0 && status != http.StatusBadGateway })
	status, _ := ask(mine)
	require.Equal(t, http.StatusInternalServerError, status, "the API server does not let the sidecar ask")

	c.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": "countersign-reviews-tokens"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "payments", "name": "countersign"}},
	})
	p.await(t, "the caller is known", func() bool { status, _ := ask(mine); return status == http.StatusOK })
	for what, test := range map[string]struct {
		token  string
		status int
	}{
		"for the API server":         {c.token(t, "shop", "till", "", "", "https://kubernetes.default.svc"), 401},
		"for Vault":                  {c.token(t, "shop", "till", "", "", "vault"), 401},
		"of another service account": {c.token(t, "shop", "other", "", "", "countersign"), 403},
		"of another namespace":       {c.token(t, "payments", "countersign", "", "", "countersign"), 403},
		"with a damaged signature":   {mine[:len(mine)-8], 401},
		"of nobody":                  {"", 401},
	} {
		status, text := ask(test.token)
		assert.Equal(t, test.status, status, "a token %s: %s", what, text)
	}
	c.deletePod(t, "till-1")
	p.await(t, "a token dies with its pod", func() bool { status, _ := ask(mine); return status == http.StatusUnauthorized })
	p.terminate(t)
	<-p.exited
}
