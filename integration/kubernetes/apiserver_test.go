package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/programs"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// cluster is a real kube-apiserver with its etcd: everything that keeps objects
// and issues and reviews tokens. No controller and no kubelet runs, so nothing is
// started from what is stored.
type cluster struct {
	url    string
	caFile string
	admin  string // a token that may do everything
	client *http.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	apiserver, err := programs.Path(t.Context(), programs.APIServer)
	require.NoError(t, err)
	etcd, err := programs.Path(t.Context(), programs.Etcd)
	require.NoError(t, err)
	dir := t.TempDir()
	port, clients, peers := networktest.Port(t), networktest.Port(t), networktest.Port(t)
	storage := "http://127.0.0.1:" + clients
	run(t, filepath.Join(dir, "etcd.log"), etcd,
		"--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+storage, "--advertise-client-urls="+storage,
		"--listen-peer-urls=http://127.0.0.1:"+peers,
		"--initial-advertise-peer-urls=http://127.0.0.1:"+peers,
		"--initial-cluster=default=http://127.0.0.1:"+peers)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keyFile := filepath.Join(dir, "service-account.key")
	writePEM(t, keyFile, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	c := &cluster{url: "https://127.0.0.1:" + port, admin: rand.Text()}
	users := filepath.Join(dir, "tokens.csv")
	require.NoError(t, os.WriteFile(users, []byte(c.admin+`,admin,1,"system:masters"`+"\n"), 0o600))
	certificates := filepath.Join(dir, "certificates")
	log := run(t, filepath.Join(dir, "kube-apiserver.log"), apiserver,
		"--etcd-servers="+storage,
		"--bind-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+certificates,
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--token-auth-file="+users, "--authorization-mode=RBAC")

	// The server makes a certificate for itself when it starts.
	c.caFile = filepath.Join(certificates, "apiserver.crt")
	require.Eventually(t, func() bool {
		pool := x509.NewCertPool()
		certificate, err := os.ReadFile(c.caFile)
		if err != nil || !pool.AppendCertsFromPEM(certificate) {
			return false
		}
		c.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}}
		status, _, err := c.do(http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	}, 90*time.Second, 200*time.Millisecond, "the API server is ready; its log: %s", log)
	return c
}

// run starts a server that ends with the test and returns its log file.
func run(t *testing.T, log, binary string, args ...string) string {
	t.Helper()
	file, err := os.Create(log)
	require.NoError(t, err)
	command := exec.Command(binary, args...)
	command.Stdout, command.Stderr = file, file
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		file.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-4000):])
		}
	})
	return log
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// do asks the API server as its administrator.
func (c *cluster) do(method, path string, object any) (int, []byte, error) {
	content, err := json.Marshal(object)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(context.Background(), method, c.url+path, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.admin)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// create stores an object, checked strictly, and returns what was stored.
func (c *cluster) create(t *testing.T, path string, object any) []byte {
	t.Helper()
	status, answer, err := c.do(http.MethodPost, path+"?fieldValidation=Strict", object)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, "%s: %s", path, answer)
	return answer
}

// token returns what the kubelet asks for when it projects a token into a pod: bound
// to that pod, for one audience.
func (c *cluster) token(t *testing.T, namespace, account, pod, uid, audience string) string {
	t.Helper()
	spec := map[string]any{"audiences": []string{audience}, "expirationSeconds": 600}
	if pod != "" {
		spec["boundObjectRef"] = map[string]any{"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
	}
	answer := c.create(t, fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, account), map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
	})
	var issued struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	require.NoError(t, json.Unmarshal(answer, &issued))
	require.NotEmpty(t, issued.Status.Token)
	return issued.Status.Token
}
