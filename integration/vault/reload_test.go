package vault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

func TestReloadUnderLoadKeepsTheLoginAndTheKeys(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	references := []string{inKV, inTransit, withMD5}
	options := []string{s.byRole(), "refresh 1m", "max_stale 1h"}
	c := s.launch(s.caddyfile(references, options...))
	c.Await("ready", c.ready)
	c.expectReloads()
	loaded := c.keys(inKV)

	load := c.traffic(t, 4, references...)
	for i := range 20 {
		// Nothing of the source changes but where it stands; the handlers do.
		text := strings.Repeat("# a line\n", i) + s.with(s.proxy.URL, references, options, "respond /"+strings.Repeat("x", i)+" ok")
		a := c.reload(text)
		require.Equal(t, http.StatusOK, a.status, a.body)
		assert.True(t, c.ready(), "never without keys")
		time.Sleep(50 * time.Millisecond)
	}
	// One that fails changes nothing either.
	a := c.reload(s.with(s.proxy.URL, references, options, "countersign nonsense 127.0.0.1:1 {", "keys x", "}"))
	assert.Equal(t, http.StatusBadRequest, a.status)
	failed := load.end()
	assert.Empty(t, failed[:min(3, len(failed))], "%d of %d failed", len(failed), load.count.Load())
	t.Logf("%d exchanges over 20 reloads, %d connections were cut by Caddy", load.count.Load(), load.cut.Load())

	assert.Equal(t, 1, s.proxy.Count("/v1/auth/approle/login"))
	assert.Equal(t, 3, s.proxy.Count("/v1/payments/data/"), "each key set was read once")
	assert.Zero(t, s.proxy.Count("/v1/auth/token/revoke-self"))
	now := c.keys(inKV)
	now.Age, loaded.Age = 0, 0
	assert.Equal(t, loaded, now)
}

func TestReloadsLeakNothing(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	references := []string{inKV, inTransit, withMD5}
	login := s.byRole()
	// The source changes each time: another login, other keys in memory.
	text := func(i int) string {
		return s.caddyfile(references, login, "refresh "+[]string{"50ms", "60ms"}[i%2])
	}
	c := s.launch(text(0))
	c.expectReloads()
	settle := func() (goroutines, descriptors, connections int) {
		c.Await("ready", c.ready)
		for _, reference := range references {
			c.paid(reference)
		}
		time.Sleep(300 * time.Millisecond)
		return c.goroutines(), c.descriptors(), s.proxy.Connections()
	}
	for i := range 5 { // what Caddy itself makes once is made by now
		require.Equal(t, http.StatusOK, c.reload(text(i+1)).status)
		c.Await("ready", c.ready)
	}
	goroutines, descriptors, connections := settle()
	for i := range 20 {
		a := c.reload(text(i))
		require.Equal(t, http.StatusOK, a.status, a.body)
		for _, reference := range references {
			c.paid(reference)
		}
	}
	c.Await("as many goroutines, descriptors and connections as before", func() bool {
		g, d, n := settle()
		t.Logf("goroutines %d before, %d after; descriptors %d, %d; connections %d, %d", goroutines, g, descriptors, d, connections, n)
		return g <= goroutines+2 && d <= descriptors+2 && n <= connections+1
	})
}

// An exchange that is under way when its source goes away is finished with the
// keys that it began with: the token is still good.
func TestExchangeInFlightOutlivesItsSource(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inTransit}, s.byRole(), "refresh 200ms")
	done := make(chan answer)
	go func() {
		a, _ := c.try("app", http.MethodPost, paths[inTransit]+"&fault=slow&delay=3s", body(t, inTransit))
		done <- a
	}()
	c.Await("signed", func() bool { return s.proxy.Count("/v1/signing/sign/") == 1 })
	time.Sleep(200 * time.Millisecond)

	// Neither the source nor the handler is in the new configuration.
	text := s.with(s.proxy.URL, nil, []string{"auth token_file " + s.token(vaulttest.Tokens{})}, "respond gone")
	a := c.reload(text)
	require.Equal(t, http.StatusOK, a.status, a.body)
	a = <-done
	assert.True(t, a.ok(), "%d %s", a.status, a.body)
	assert.Equal(t, 1, s.proxy.Count("/v1/signing/decrypt/"))
	assert.Equal(t, 1, s.proxy.Count("/v1/auth/approle/login"), "with the token that it began with")
}
