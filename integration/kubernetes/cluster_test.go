package kubernetes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// clusterTest asks for the test with a real API server. It is not part of every
// run because it compiles Kubernetes, which takes minutes.
const clusterTest = "COUNTERSIGN_CLUSTER_TEST"

// collections are where the kinds of the example are stored.
var collections = map[string]string{
	"Namespace":      "/api/v1/namespaces",
	"ServiceAccount": "/api/v1/namespaces/shop/serviceaccounts",
	"ConfigMap":      "/api/v1/namespaces/shop/configmaps",
	"Deployment":     "/apis/apps/v1/namespaces/shop/deployments",
	"Job":            "/apis/batch/v1/namespaces/shop/jobs",
	"NetworkPolicy":  "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
}

// The sidecar gets its keys as a pod does: with a token that a real API server
// issued for a pod that it admitted, that Vault has reviewed there, and that is
// replaced while the sidecar runs.
func TestVaultLoginWithARealAPIServer(t *testing.T) {
	if os.Getenv(clusterTest) == "" {
		t.Skip("compiles kube-apiserver and etcd, which takes minutes: set " + clusterTest + "=1")
	}
	c := startCluster(t)
	template := c.applyExample(t)

	vault := vaulttest.StartTLS(t)
	vaultOfTheExample(t, vault)
	c.connectVault(t, vault)

	// Two pods of the Deployment. The first one's token is projected first.
	firstUID, secondUID := c.createPod(t, "shop-1", template), c.createPod(t, "shop-2", template)
	first := c.token(t, "shop", "shop", "shop-1", firstUID, "vault")
	t.Run("other tokens do not log in", func(t *testing.T) {
		c.create(t, "/api/v1/namespaces/shop/serviceaccounts", account("other"))
		c.create(t, "/api/v1/namespaces", namespace("elsewhere"))
		c.create(t, "/api/v1/namespaces/elsewhere/serviceaccounts", account("shop"))
		for _, other := range []struct{ what, token, why string }{
			{"for the API server", c.token(t, "shop", "shop", "shop-2", secondUID, "https://kubernetes.default.svc"), "audience claim does not match"},
			{"of another service account", c.token(t, "shop", "other", "", "", "vault"), "service account name not authorized"},
			{"of another namespace", c.token(t, "elsewhere", "shop", "", "", "vault"), "namespace not authorized"},
			{"with a damaged signature", first[:len(first)-8], "permission denied"},
		} {
			err := login(vault, other.token)
			assert.ErrorContains(t, err, other.why, other.what)
		}
		err := login(vault, first)
		assert.NoError(t, err, "the pod's own")
	})

	volume := newTokenVolume(t)
	volume.project(t, first)

	s := layOut(t, []string{
		"component/Caddyfile", "example/keys.caddyfile",
		"example/provider-easypay.caddyfile", "example/provider-jeepay.caddyfile",
	}, map[string]string{
		"https://vault.vault:8200":           vault.URL,
		"/var/run/secrets/countersign/token": filepath.Join(volume.dir, "token"),
		"vault-ca.pem":                       vault.CAFile,
		"kv payments":                        "kv payments\n\trefresh 1s",
	})
	p := startCaddy(t, s.dir)
	p.await(t, "logged in and loaded its keys", func() bool { return s.probe("/readyz") == http.StatusOK })

	// The kubelet replaces the token. The first one is worthless from here on,
	// since its pod is gone, and Vault forgets everybody who had logged in: only a
	// login with the second one gives the new version of a key set.
	volume.project(t, c.token(t, "shop", "shop", "shop-2", secondUID, "vault"))
	c.deletePod(t, "shop-1")
	require.Eventually(t, func() bool {
		err := login(vault, first)
		return err != nil
	}, 60*time.Second, 200*time.Millisecond, "a token dies with its pod")
	readings := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, vault.EnableAudit(readings))
	require.NoError(t, vault.RevokeLogins("kubernetes"))
	putKeySets(t, vault)
	require.Eventually(t, func() bool { return readByShop(t, readings) }, 60*time.Second, 200*time.Millisecond, "the new version was read")
	assert.Equal(t, http.StatusOK, s.probe("/readyz"))

	p.terminate(t)
	select {
	case <-p.exited:
		assert.NoError(t, p.err)
	case <-time.After(15 * time.Second):
		assert.Fail(t, "still running")
	}
}

// applyExample stores everything that the example consists of, as kubectl would,
// and returns the pod template of its Deployment.
func (c *cluster) applyExample(t *testing.T) map[string]any {
	t.Helper()
	render := exec.Command("go", "run", "./render", "../example")
	render.Dir = "check"
	render.Env = append(os.Environ(), "GOWORK=off")
	render.Stderr = os.Stderr
	rendered, err := render.Output()
	require.NoError(t, err)

	var template map[string]any
	for line := range bytes.Lines(rendered) {
		var object map[string]any
		require.NoError(t, json.Unmarshal(line, &object))
		kind := object["kind"].(string)
		require.Contains(t, collections, kind)
		c.create(t, collections[kind], object)
		if kind == "Deployment" {
			template = object["spec"].(map[string]any)["template"].(map[string]any)
		}
	}
	require.NotNil(t, template)
	return template
}

// createPod makes a pod as the Deployment's controller would. The API server's
// admission looks at it, Pod Security "restricted" included.
func (c *cluster) createPod(t *testing.T, name string, template map[string]any) (uid string) {
	t.Helper()
	metadata := map[string]any{"name": name}
	for key, value := range template["metadata"].(map[string]any) {
		metadata[key] = value
	}
	answer := c.create(t, "/api/v1/namespaces/shop/pods", map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
	})
	var pod struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	require.NoError(t, json.Unmarshal(answer, &pod))
	return pod.Metadata.UID
}

func (c *cluster) deletePod(t *testing.T, name string) {
	t.Helper()
	status, answer, err := c.do(http.MethodDelete, "/api/v1/namespaces/shop/pods/"+name+"?gracePeriodSeconds=0", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", answer)
}

// connectVault does what the README says about Vault's side.
func (c *cluster) connectVault(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	c.create(t, "/api/v1/namespaces", namespace("vault"))
	c.create(t, "/api/v1/namespaces/vault/serviceaccounts", account("vault"))
	c.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]any{"name": "vault-reviews-tokens"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": "vault", "name": "vault"}},
	})
	authority, err := os.ReadFile(c.caFile)
	require.NoError(t, err)
	require.NoError(t, vault.Client().Sys().EnableAuthWithOptions("kubernetes", &api.EnableAuthOptions{Type: "kubernetes"}))
	_, err = vault.Client().Logical().Write("auth/kubernetes/config", map[string]any{
		"kubernetes_host":      c.url,
		"kubernetes_ca_cert":   string(authority),
		"token_reviewer_jwt":   c.token(t, "vault", "vault", "", "", "https://kubernetes.default.svc"),
		"disable_local_ca_jwt": true, // this Vault does not run in the cluster
	})
	require.NoError(t, err)
	require.NoError(t, vault.BindRole("shop", "shop", "shop", vaulttest.Tokens{Policies: []string{"shop"}, TTL: 10 * time.Minute}))
}

func namespace(name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}
}

func account(name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name}}
}

// login logs in to the role of the example as anybody with the token could.
func login(vault *vaulttest.Server, token string) error {
	client, err := vaulttest.NewClient(vault.URL, vault.CAFile, "")
	if err != nil {
		return err
	}
	_, err = client.Logical().Write("auth/kubernetes/login", map[string]any{"role": "shop", "jwt": token})
	return err
}

// readByShop tells whether Vault's audit log has a key set handed out to the
// service account of the example.
func readByShop(t *testing.T, log string) bool {
	t.Helper()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		var entry struct {
			Type  string `json:"type"`
			Error string `json:"error"`
			Auth  struct {
				Metadata struct {
					Account string `json:"service_account_name"`
				} `json:"metadata"`
			} `json:"auth"`
			Request struct {
				Path string `json:"path"`
			} `json:"request"`
		}
		if json.Unmarshal(line, &entry) == nil && entry.Type == "response" && entry.Error == "" &&
			entry.Auth.Metadata.Account == "shop" && strings.HasPrefix(entry.Request.Path, "payments/data/") {
			return true
		}
	}
	return false
}

// tokenVolume is a projected volume as the kubelet lays it out: the file is a
// link into a folder, and what names the folder changes.
type tokenVolume struct {
	dir     string
	version int
}

func newTokenVolume(t *testing.T) *tokenVolume {
	t.Helper()
	v := &tokenVolume{dir: t.TempDir()}
	require.NoError(t, os.Symlink("..data/token", filepath.Join(v.dir, "token")))
	return v
}

func (v *tokenVolume) project(t *testing.T, token string) {
	t.Helper()
	v.version++
	folder := fmt.Sprintf("..%d", v.version)
	require.NoError(t, os.Mkdir(filepath.Join(v.dir, folder), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(v.dir, folder, "token"), []byte(token), 0o600))
	fresh := filepath.Join(v.dir, "..data_tmp")
	require.NoError(t, os.Symlink(folder, fresh))
	require.NoError(t, os.Rename(fresh, filepath.Join(v.dir, "..data")))
}
