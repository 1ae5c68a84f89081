package vaulttest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// proxied returns a server with a secret, a proxy before it, and a client
// that goes through the proxy.
func proxied(t *testing.T, s *vaulttest.Server) (*vaulttest.Proxy, *api.Client) {
	t.Helper()
	require.NoError(t, s.EnableKV("proxied"))
	_, err := s.PutSecret("proxied", "a", map[string]string{"field": "value"})
	require.NoError(t, err)
	p := vaulttest.StartProxy(t, s)
	client, err := vaulttest.NewClient(p.URL, "", s.RootToken)
	require.NoError(t, err)
	return p, client
}

func TestProxyPassesAndCounts(t *testing.T) {
	p, client := proxied(t, vaulttest.Start(t))
	for range 3 {
		fields, err := readSecret(t, client, "proxied", "a")
		require.NoError(t, err)
		assert.Equal(t, "value", fields["field"])
	}
	_, err := client.KVv2("proxied").Put(t.Context(), "b", map[string]any{"x": "y"})
	require.NoError(t, err)

	assert.Equal(t, map[string]int{"GET /v1/proxied/data/a": 3, "PUT /v1/proxied/data/b": 1}, p.Requests())
	assert.Equal(t, 4, p.Count("/v1/proxied/data/"))
	assert.Equal(t, 1, p.Connections(), "one client, kept alive")
	p.ResetCounts()
	assert.Empty(t, p.Requests())
}

func TestProxyFaults(t *testing.T) {
	p, client := proxied(t, vaulttest.Start(t))
	client.SetClientTimeout(500 * time.Millisecond)
	read := func() error {
		_, err := readSecret(t, client, "proxied", "a")
		return err
	}
	lost := func(err error) bool {
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
	}

	p.Set(vaulttest.Cut())
	err := read()
	assert.True(t, lost(err), "%v", err)

	for _, code := range []int{http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError} {
		p.Set(vaulttest.Status(code))
		assert.Equal(t, code, status(read()))
	}

	p.Set(vaulttest.Hang())
	require.ErrorIs(t, read(), context.DeadlineExceeded)

	p.Set(vaulttest.Slow(100 * time.Millisecond))
	began := time.Now()
	require.NoError(t, read())
	assert.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)
	p.Set(vaulttest.Slow(time.Hour))
	require.ErrorIs(t, read(), context.DeadlineExceeded)

	p.Set(vaulttest.LoseAnswer())
	_, err = client.KVv2("proxied").Put(t.Context(), "lost", map[string]any{"x": "y"})
	assert.True(t, lost(err), "%v", err)
	p.Set(nil)
	_, err = readSecret(t, client, "proxied", "lost")
	require.NoError(t, err, "Vault has carried it out")

	p.Set(vaulttest.On("/v1/proxied/data/", vaulttest.Status(http.StatusForbidden)))
	assert.Equal(t, http.StatusForbidden, status(read()))
	_, err = client.Auth().Token().LookupSelf()
	require.NoError(t, err, "another path")

	p.Set(vaulttest.Times(2, vaulttest.Status(http.StatusInternalServerError)))
	assert.Equal(t, http.StatusInternalServerError, status(read()))
	assert.Equal(t, http.StatusInternalServerError, status(read()))
	require.NoError(t, read(), "the third")
}

func TestProxyRefusesAndDropsConnections(t *testing.T) {
	p, client := proxied(t, vaulttest.Start(t))
	_, err := readSecret(t, client, "proxied", "a")
	require.NoError(t, err)

	p.Refuse()
	require.Eventually(t, func() bool { return p.Connections() == 0 }, 5*time.Second, 10*time.Millisecond)
	_, err = readSecret(t, client, "proxied", "a")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, p.Accept())
	require.NoError(t, p.Accept(), "accepting twice")
	_, err = readSecret(t, client, "proxied", "a")
	require.NoError(t, err)

	p.Drop()
	require.Eventually(t, func() bool { return p.Connections() == 0 }, 5*time.Second, 10*time.Millisecond)
	_, err = readSecret(t, client, "proxied", "a")
	require.NoError(t, err, "a new connection")
}

func TestProxyDropsConnectionsWhenVaultIsGone(t *testing.T) {
	s := vaulttest.StartOwn(t)
	p, client := proxied(t, s)
	require.NoError(t, s.Kill())
	_, err := readSecret(t, client, "proxied", "a")
	require.Error(t, err)
	assert.Zero(t, status(err), "no answer of the proxy's own: %v", err)

	require.NoError(t, s.Restart())
	_, err = readSecret(t, client, "proxied", "a")
	require.NoError(t, err)
	assert.Equal(t, 2, p.Count("/v1/proxied/data/a"))
}

func TestProxyBeforeTLS(t *testing.T) {
	_, client := proxied(t, vaulttest.StartTLS(t))
	_, err := readSecret(t, client, "proxied", "a")
	require.NoError(t, err)
}
