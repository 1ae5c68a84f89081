package vault_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

func TestAdminShowsAndRefreshesKeys(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, withMD5}, s.byRole(), "refresh 1h", "max_stale 2h")

	a := c.do("admin", http.MethodGet, "/countersign/keys", nil)
	require.Equal(t, http.StatusOK, a.status)
	assert.Equal(t, "application/json", a.header.Get("Content-Type"))
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &all))
	assert.Len(t, all, 2)
	for _, k := range all {
		for _, member := range []string{"source", "reference", "roles", "fingerprints", "version", "age_seconds"} {
			assert.Contains(t, k, member)
		}
	}
	k := c.keys(inKV)
	assert.Equal(t, "default", k.Source)
	assert.Equal(t, "version 1", k.Version)
	assert.True(t, k.Configured)
	assert.True(t, k.Usable)
	assert.Equal(t, []string{"sign", "verify", "encrypt", "decrypt"}, k.Roles)
	assert.Equal(t, []string{fingerprint(merchantSign())}, k.Fingerprints["sign"])
	assert.Equal(t, []string{fingerprint(providerSign())}, k.Fingerprints["verify"])
	assert.Regexp(t, `^[0-9a-f]{8}$`, c.keys(withMD5).Fingerprints["secret"][0], "of a secret no more than that")

	// A refresh takes a new version up at once.
	time.Sleep(100 * time.Millisecond)
	old := c.keys(inKV).Age
	s.change(inKV)
	a = c.do("admin", http.MethodPost, "/countersign/keys/refresh", nil)
	assert.Equal(t, http.StatusOK, a.status, a.body)
	assert.Equal(t, "version 2", c.keys(inKV).Version)
	assert.Less(t, c.keys(inKV).Age, old)

	// One that fails says why, and the keys stay.
	s.proxy.Set(vaulttest.Status(http.StatusInternalServerError))
	a = c.do("admin", http.MethodPost, "/countersign/keys/refresh", nil)
	assert.Equal(t, http.StatusBadGateway, a.status)
	assert.Contains(t, a.body, "vault answers 500")
	k = c.keys(inKV)
	assert.Contains(t, k.Error, "vault answers 500")
	assert.True(t, k.Usable)
	c.paid(inKV)
	s.proxy.Set(nil)

	for path, method := range map[string]string{"/countersign/keys": http.MethodPost, "/countersign/keys/refresh": http.MethodGet} {
		assert.Equal(t, http.StatusMethodNotAllowed, c.do("admin", method, path, nil).status, path)
	}
	// A configuration without key sources has none to show.
	a = c.reload("{\n\tadmin unix/" + s.dir + "/admin|0600\n\tpersist_config off\n}\n")
	require.Equal(t, http.StatusOK, a.status, a.body)
	assert.Equal(t, http.StatusNotFound, c.do("admin", http.MethodGet, "/countersign/keys", nil).status)
}

func TestReadiness(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartOwn(t))
	for name, text := range map[string]string{
		"a fixed reference":             s.caddyfile([]string{inKV}, s.byRole(), "refresh 200ms", "max_stale 1s"),
		"one that depends on a request": s.with(s.proxy.URL, nil, []string{s.byRole(), "refresh 200ms", "max_stale 1s"}, s.dynamic()...),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, s.vault.Seal())
			c := s.launch(text)
			defer c.stop()
			time.Sleep(500 * time.Millisecond)
			assert.False(t, c.ready(), "nothing is loaded")
			require.NoError(t, s.vault.Unseal())
			c.Await("ready", c.ready)

			// While the last good keys serve it is ready, and then no more.
			require.NoError(t, s.vault.Seal())
			sealed := time.Now()
			time.Sleep(400 * time.Millisecond)
			assert.True(t, c.ready())
			c.Await("not ready", func() bool { return !c.ready() })
			assert.InDelta(t, 1, time.Since(sealed).Seconds(), 0.6)
			require.NoError(t, s.vault.Unseal())
			c.Await("ready again", c.ready)
		})
	}

	t.Run("every one of several", func(t *testing.T) {
		c := s.launch(s.caddyfile([]string{inKV, "easypay/later"}, s.byRole(), "refresh 200ms"))
		defer c.stop()
		c.Await("one is there", func() bool { return c.keys(inKV).Usable })
		time.Sleep(300 * time.Millisecond)
		assert.False(t, c.ready())
		s.put("easypay/later", fields()[inKV])
		c.Await("ready", c.ready)
	})
}
