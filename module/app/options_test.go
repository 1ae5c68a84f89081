package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	_ "github.com/countersign/caddy-countersign/module/keysource/vault"
)

func adapt(t *testing.T, globals string) (string, error) {
	t.Helper()
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\ncountersign {\nkeys file x\n"+globals+"\n}\n}\n"), nil)
	return string(out), err
}

func TestLanguage(t *testing.T) {
	out, err := adapt(t, "language zh")
	require.NoError(t, err)
	assert.Contains(t, out, `"language":"zh"`)
	for _, wrong := range []string{"language", "language fr", "language zh en", "language zh\nlanguage en"} {
		_, err := adapt(t, wrong)
		require.ErrorContains(t, err, "language", wrong)
		assert.Regexp(t, `Caddyfile:\d`, err.Error(), wrong)
	}
}

// A key set whose keys stay in Vault is not ready while Vault is sealed, unless
// the matcher looks at loaded keys only.
func TestReadyWhileVaultIsSealed(t *testing.T) {
	var sealed atomic.Bool
	public, err := os.ReadFile("../../keys-dev/merchant/jeepay/M1623997351/verify.pem")
	require.NoError(t, err)
	text := string(public)
	key, err := json.Marshal(text[strings.Index(text, "-----BEGIN"):])
	require.NoError(t, err)
	answers := map[string]string{
		"/v1/auth/token/lookup-self": `{"data":{"ttl":0}}`,
		"/v1/sys/health":             `{"version":"1.21.0"}`,
		"/v1/secret/data/a":          `{"data":{"data":{"sign":"transit:transit/a"},"metadata":{"version":1,"created_time":"x"}}}`,
		"/v1/transit/keys/a":         `{"data":{"type":"rsa-2048","latest_version":1,"keys":{"1":{"public_key":` + string(key) + `}}}}`,
	}
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sealed.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	t.Cleanup(vault.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("t"), 0o600))
	address := testcaddy.FreeAddress(t)
	testcaddy.Run(t, `{
	countersign {
		keys vault `+vault.URL+` {
			auth token_file `+token+`
		}
	}
}
http://`+address+` {
	bind 127.0.0.1
	handle_path /a/* {
		countersign easypay 127.0.0.1:1 {
			keys a
		}
	}
	@loaded {
		path /loaded
		countersign_ready loaded_only
	}
	@ready {
		path /readyz
		countersign_ready
	}
	handle @loaded {
		respond "loaded"
	}
	handle @ready {
		respond "ready"
	}
	handle {
		respond 503
	}
}
`)
	loaded := func() bool {
		answer, err := testcaddy.TryPost(t.Context(), "http://"+address+"/loaded", nil)
		return err == nil && answer.Status == http.StatusOK
	}
	eventually(t, func() bool { return ready(t, address) && loaded() })
	sealed.Store(true)
	eventually(t, func() bool { return !ready(t, address) })
	assert.True(t, loaded())
	sealed.Store(false)
	eventually(t, func() bool { return ready(t, address) })
}
