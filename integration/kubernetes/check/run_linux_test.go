package check

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	probes   = "http://127.0.0.1:8081"
	requests = "http://127.0.0.1:8180"
)

// configFiles returns the files of the ConfigMap of a build.
func configFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	var config corev1.ConfigMap
	require.NoError(t, yaml.Unmarshal(find(t, build(t, dir), "ConfigMap", "countersign").YAML, &config))
	files := map[string][]byte{}
	for name, text := range config.Data {
		files[name] = []byte(text)
	}
	return files
}

// keyFiles are throwaway keys, laid out as the pod's volume says.
func keyFiles(t *testing.T, template *corev1.PodTemplateSpec) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, source := range volumeNamed(t, template, "countersign-keys").Projected.Sources {
		for _, item := range source.Secret.Items {
			key, err := os.ReadFile(filepath.Join(repository, "keys-dev/merchant", item.Path))
			require.NoError(t, err)
			files[item.Path] = key
		}
	}
	return files
}

// The image's binary runs as the pod says: as that user, on a read-only root,
// with its keys from the volume, ready, and reachable where it should be.
func TestTheSidecarRunsAsThePodSays(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Caddy, which takes minutes the first time")
	}
	template := workloads(t, "../example-secret")["Deployment"]
	p := startSidecar(t, template, map[string]map[string][]byte{
		"countersign-config": configFiles(t, "../example-secret"),
		"countersign-keys":   keyFiles(t, template),
	})
	p.waitFor(t, probes+"/readyz")

	t.Run("as an ordinary user without a capability", func(t *testing.T) {
		assert.Equal(t, "65532 65532 65532 65532", p.status(t, "Uid"))
		assert.Equal(t, "65532 65532 65532 65532", p.status(t, "Gid"))
		assert.Equal(t, "", p.status(t, "Groups"))
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			assert.Equal(t, "0000000000000000", p.status(t, set), set)
		}
		assert.Equal(t, "1", p.status(t, "NoNewPrivs"))
	})
	t.Run("on a read-only root", func(t *testing.T) {
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.process.Process.Pid))
		require.NoError(t, err)
		var writable []string
		for line := range strings.Lines(string(mounts)) {
			fields := strings.Fields(line) // 4: mount point, 5: options
			if !strings.HasPrefix(fields[5], "ro") && fields[4] != "/proc" {
				writable = append(writable, fields[4])
			}
		}
		assert.Equal(t, []string{"/run/countersign"}, writable)
	})
	t.Run("probes and metrics on the pod's address", func(t *testing.T) {
		status, _ := p.get(probes + "/livez")
		assert.Equal(t, http.StatusOK, status)
		// Any address of the pod but 127.0.0.1 stands for the pod's own.
		status, text := p.get("http://127.0.0.2:8081/metrics")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, text, "caddy_countersign_key_age_seconds")
		status, _ = p.get(probes + "/")
		assert.Equal(t, http.StatusNotFound, status)
	})
	t.Run("requests on 127.0.0.1 alone", func(t *testing.T) {
		status, text := p.get("http://127.0.0.2:8180/easypay/ledger/mpos")
		assert.Zero(t, status, text)
		assert.Contains(t, text, "connection refused")
	})
	t.Run("no admin endpoint", func(t *testing.T) {
		status, text := p.get("http://127.0.0.1:2019/config/")
		assert.Zero(t, status, text)
	})
	t.Run("requests are looked at", func(t *testing.T) {
		status, _ := p.get(requests + "/easypay/ledger/mpos")
		assert.Equal(t, http.StatusMethodNotAllowed, status)
		status, text := p.do(http.MethodPost, requests+"/jeepay/api/division/exec", "application/json", "{")
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, text, "invalid_request")
		status, _ = p.do(http.MethodPost, requests+"/nobody", "application/json", "{}")
		assert.Equal(t, http.StatusNotFound, status, "no route is no success")
		// The network has no way out, so this one stops at the provider's name.
		status, text = p.do(http.MethodPost, requests+"/jeepay/api/division/exec", "application/json", `{"mchOrderNo":"1"}`)
		assert.Equal(t, http.StatusBadGateway, status)
		assert.Contains(t, text, "not_sent")
	})
	t.Run("stops when told, saying first that it is not ready", func(t *testing.T) {
		require.NoError(t, p.process.Process.Signal(syscall.SIGTERM))
		assert.Eventually(t, func() bool {
			status, _ := p.get(probes + "/readyz")
			return status == http.StatusServiceUnavailable
		}, 2*time.Second, 20*time.Millisecond)
		status, _ := p.get(probes + "/livez")
		assert.Equal(t, http.StatusOK, status)
		select {
		case err := <-p.exited:
			assert.NoError(t, err, "exit status")
		case <-time.After(43 * time.Second):
			assert.Fail(t, "still running after shutdown_delay and grace_period")
		}
	})
}

// Without Vault the sidecar runs, is alive and not ready, and sends nothing.
func TestTheSidecarWithoutVaultIsAliveAndNotReady(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Caddy, which takes minutes the first time")
	}
	p := startSidecar(t, workloads(t, "../example")["Deployment"], map[string]map[string][]byte{
		"countersign-config":      configFiles(t, "../example"),
		"countersign-vault-token": {"token": []byte("not a token")},
	})
	p.waitFor(t, probes+"/livez")
	status, _ := p.get(probes + "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	status, text := p.do(http.MethodPost, requests+"/jeepay/api/division/exec", "application/json", `{"mchOrderNo":"1"}`)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, text, "keys_unavailable")
	assert.Contains(t, text, "not_sent")
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
