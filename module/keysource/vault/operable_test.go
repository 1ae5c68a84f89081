package vault

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOperable(t *testing.T) {
	var status, asked atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(`{"version":"1.21.0"}`))
	}))
	t.Cleanup(server.Close)
	s := against(t, server.URL)
	for range 10 {
		require.NoError(t, s.Operable(t.Context()))
	}
	assert.EqualValues(t, 1, asked.Load(), "probes do not become requests")
	status.Store(http.StatusServiceUnavailable)
	s.health.when = time.Time{}
	require.ErrorContains(t, s.Operable(t.Context()), "vault is sealed")
	server.Close()
	s.health.when = time.Time{}
	require.ErrorContains(t, s.Operable(t.Context()), "no connection")
}

// A sidecar whose key Vault refuses to use is not ready until that has changed,
// although no payment comes meanwhile.
func TestOperableAfterARefusedUse(t *testing.T) {
	var granted, there atomic.Bool
	v := new(transit)
	v.rotate(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/sys/health":
			_, _ = w.Write([]byte(`{"version":"1.21.0"}`))
		case r.URL.Path == "/v1/sys/capabilities-self":
			capability := "deny"
			if granted.Load() {
				capability = "update"
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"transit/sign/a/sha2-256": []string{capability}}})
		case r.URL.Path == "/v1/transit/sign/a/sha2-256" && !granted.Load():
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/v1/transit/") && !there.Load():
			w.WriteHeader(map[bool]int{true: http.StatusNotFound, false: http.StatusBadRequest}[r.Method == http.MethodGet])
		default:
			v.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	there.Store(true)
	s := against(t, server.URL)
	set, err := s.Load(t.Context(), "a", nil)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("x"))
	sign := func() error {
		_, err := set.Sign.Signer.Sign(nil, digest[:], crypto.SHA256)
		return err
	}
	operable := func() error {
		s.health.when = time.Time{}
		return s.Operable(t.Context())
	}
	require.NoError(t, operable(), "nothing was refused yet")
	require.Error(t, sign())
	require.ErrorContains(t, operable(), `the policy needs: path "transit/sign/a/sha2-256"`)
	granted.Store(true)
	require.NoError(t, operable())

	there.Store(false)
	require.ErrorContains(t, sign(), "vault has no Transit key at transit/keys/a")
	require.ErrorContains(t, operable(), "vault has nothing at transit/keys/a")
	there.Store(true)
	require.NoError(t, sign())
	require.NoError(t, operable())
}
