package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// A Vault that is limited to 5 requests a second: 60 sets are there within 15 s,
// and no load fails, so that nothing is logged.
func TestColdStartAtARateLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 13 seconds")
	}
	t.Parallel()
	s := against(t, httptest.NewServer(&limited{rate: 5, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/secret/data/") {
			_, _ = w.Write([]byte(`{"data":{"data":{"secret":"s"},"metadata":{"version":1,"created_time":"x"}}}`))
			return
		}
		_, _ = w.Write([]byte(self))
	})}).URL)
	var failed atomic.Int64
	ring := keys.NewRing(s, keys.Options{Name: "test", Refresh: 30 * time.Second, Refreshed: func(_ string, err error) {
		if err != nil {
			failed.Add(1)
		}
	}})
	t.Cleanup(ring.Close)
	ring.Start()
	for i := range 60 {
		ring.Pin(fmt.Sprint("m", i))
	}
	require.Eventually(t, func() bool {
		for i := range 60 {
			if !ring.Usable(fmt.Sprint("m", i)) {
				return false
			}
		}
		return true
	}, 15*time.Second, 50*time.Millisecond)
	assert.Zero(t, failed.Load())
}

// A request that a rate limit keeps from its keys says so, also while the load still
// goes on.
func TestWaitingForARateLimitIsNamed(t *testing.T) {
	t.Parallel()
	s := against(t, httptest.NewServer(&limited{rate: 0}).URL)
	assert.NoError(t, s.Waiting())
	ring := keys.NewRing(s, keys.Options{Name: "test", Refresh: 30 * time.Second})
	t.Cleanup(ring.Close)
	ring.Start()
	_, err := ring.Get(t.Context(), "m")
	require.ErrorIs(t, err, keys.ErrNotLoaded)
	require.ErrorContains(t, err, "vault answers 429 (too many requests)")
}

// A request that waits for a rate limit ends with its context, and says why.
func TestRateLimitThatDoesNotEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	s := against(t, server.URL)
	_, err := s.client.do(ctx, request{path: pathSelf}, filepath.Base(secretToken))
	require.ErrorContains(t, err, "429 (too many requests)")
}
