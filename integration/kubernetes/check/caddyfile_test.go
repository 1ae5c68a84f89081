package check

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// caddy runs the image's binary on the files of a ConfigMap, in their folder, as
// the pod does.
func caddy(t *testing.T, command string, files map[string][]byte, env ...string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles Caddy, which takes minutes the first time")
	}
	dir := folder(t)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	run := exec.Command(builtBinary(t), command, "--config", filepath.Join(dir, "Caddyfile"))
	run.Dir = dir
	run.Env = append([]string{"HOME=" + dir}, env...)
	var said lockedBuffer
	run.Stderr = &said
	output, err := run.Output()
	if err != nil {
		return said.String(), err
	}
	return string(output), nil
}

func TestTheCaddyfileIsValid(t *testing.T) {
	for _, dir := range everyBuild {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := caddy(t, "validate", configFiles(t, dir))
			assert.NoError(t, err, text)
		})
	}
}

// config is what the promises of sidecar.yaml rest on.
type config struct {
	Admin struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			Persist *bool `json:"persist"`
		} `json:"config"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			GracePeriod   time.Duration     `json:"grace_period"`
			ShutdownDelay time.Duration     `json:"shutdown_delay"`
			Servers       map[string]server `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type server struct {
	Listen []string `json:"listen"`
	Routes any      `json:"routes"`
}

// provider is what a transport of this repository may use.
type provider struct {
	Timeout         time.Duration `json:"timeout"`
	MaxRequestBody  int64         `json:"max_request_body"`
	MaxResponseBody int64         `json:"max_response_body"`
	MaxInFlight     int64         `json:"max_in_flight"`
}

// providersIn finds every transport in a part of the configuration.
func providersIn(t *testing.T, node any) []provider {
	t.Helper()
	var found []provider
	switch node := node.(type) {
	case map[string]any:
		if node["protocol"] == "countersign" {
			encoded, err := json.Marshal(node)
			require.NoError(t, err)
			var p provider
			require.NoError(t, json.Unmarshal(encoded, &p))
			found = append(found, p)
		}
		for _, child := range node {
			found = append(found, providersIn(t, child)...)
		}
	case []any:
		for _, child := range node {
			found = append(found, providersIn(t, child)...)
		}
	}
	return found
}

// The figures in the manifests follow from those in the Caddyfile.
func TestTheFiguresFit(t *testing.T) {
	const keyWait, application = 5 * time.Second, 30 * time.Second
	const caddyItself, copies = 64 << 20, 3
	for _, dir := range everyBuild {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var env []string // the Caddyfile reads it
			for _, pod := range workloads(t, dir) {
				for _, e := range pod.Spec.InitContainers[0].Env {
					env = append(env, e.Name+"="+e.Value)
				}
				break // it is the same in each
			}
			text, err := caddy(t, "adapt", configFiles(t, dir), env...)
			require.NoError(t, err, text)
			var adapted config
			require.NoError(t, json.Unmarshal([]byte(text), &adapted))

			assert.True(t, adapted.Admin.Disabled, "the admin endpoint can serve the key files")
			require.NotNil(t, adapted.Admin.Config.Persist)
			assert.False(t, *adapted.Admin.Config.Persist)

			need, slowest := int64(caddyItself), time.Duration(0)
			for _, server := range adapted.Apps.HTTP.Servers {
				providers := providersIn(t, server.Routes)
				if len(providers) > 0 {
					assert.Equal(t, []string{"127.0.0.1:8180"}, server.Listen, "whoever reaches it has payments signed")
				} else {
					assert.Equal(t, []string{":8081"}, server.Listen)
				}
				for _, p := range providers {
					require.Positive(t, p.MaxInFlight, "without a limit no memory is enough: import limits")
					need += (p.MaxRequestBody + p.MaxResponseBody) * p.MaxInFlight * copies
					slowest = max(slowest, p.Timeout)
				}
			}
			require.Positive(t, slowest)
			http := adapted.Apps.HTTP
			assert.GreaterOrEqual(t, http.GracePeriod, keyWait+slowest)
			assert.Positive(t, http.ShutdownDelay)
			for kind, pod := range workloads(t, dir) {
				memory := pod.Spec.InitContainers[0].Resources.Limits.Memory().Value()
				assert.GreaterOrEqual(t, memory, need, kind)
				budget := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
				assert.GreaterOrEqual(t, budget, application+http.ShutdownDelay+http.GracePeriod, kind)
			}
		})
	}
}

func TestErrorsPlantedInTheCaddyfileAreFound(t *testing.T) {
	for _, plant := range []struct{ mistake, file, old, new, found string }{
		{"unknown option", "provider-easypay.caddyfile", "import limits", "tiemout 3s", "tiemout"},
		{"unknown scheme", "provider-easypay.caddyfile", "countersign easypay", "countersign eaysypay", "eaysypay"},
		{"option of another scheme", "provider-easypay.caddyfile", "import limits", "mch_no 1", "mch_no"},
		{"value that is none", "provider-jeepay.caddyfile", "sign_type MD5", "sign_type MD4", "MD4"},
		{"option twice", "provider-jeepay.caddyfile", "sign_type MD5", "timeout 1s", "timeout is given twice"},
		{"no keys", "provider-jeepay.caddyfile", "keys jeepay/M1623997351", "", "countersign jeepay needs keys"},
		{"keys of a source that is not there", "provider-jeepay.caddyfile", "keys jeepay/", "keys prod jeepay/", "there is no key source called"},
		{"provider over plain HTTP", "provider-jeepay.caddyfile", "https://pay", "http://pay", "would be reached in plaintext"},
		{"Vault over plain HTTP", "keys.caddyfile", "https://vault", "http://vault", "would be reached in plaintext"},
		{"login that does not exist", "keys.caddyfile", "auth kubernetes shop", "auth kuberntes shop", "kuberntes"},
		{"role missing", "keys.caddyfile", "auth kubernetes shop /var/run/secrets/countersign/token", "auth kubernetes", "auth kubernetes takes a role"},
		{"certificate that is not there", "keys.caddyfile", "ca vault-ca.pem", "ca valut-ca.pem", "valut-ca.pem"},
		{"certificate that is none", "vault-ca.pem", "BEGIN CERT", "BEGIN CRET", "holds no certificate"},
		{"block not closed", "provider-easypay.caddyfile", "\t}\n}", "\t}\n", "unrecognized directive"},
		{"snippet that is not there", "provider-easypay.caddyfile", "import limits", "import limit", "File to import not found: limit"},
		{"size that is none", "Caddyfile", "256KiB", "256KuB", "256KuB"},
		{"duration that is none", "Caddyfile", "grace_period 40s", "grace_period soon", "soon"},
	} {
		t.Run(plant.mistake, func(t *testing.T) {
			files := configFiles(t, "../example")
			files[plant.file] = []byte(replaceOnce(t, string(files[plant.file]), plant.old, plant.new))
			text, err := caddy(t, "validate", files)
			require.Error(t, err)
			assert.Contains(t, text, plant.found)
		})
	}
}
