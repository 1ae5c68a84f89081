package vault_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// trouble is a way in which Vault is away, and how it comes back.
type trouble struct {
	name  string
	begin func(*shop) error
	end   func(*shop) error
	says  string // in the log
}

func fault(f vaulttest.Fault) func(*shop) error {
	return func(s *shop) error { s.proxy.Set(f); return nil }
}

var healthy = fault(nil)

// Some troubles happen to the real server, others on the way to it.
var troubles = []trouble{
	{"sealed", func(s *shop) error { return s.vault.Seal() }, func(s *shop) error { return s.vault.Unseal() }, "vault is sealed or not ready (503)"},
	{"stopped", func(s *shop) error { return s.vault.Kill() }, func(s *shop) error { return s.vault.Restart() }, "the connection broke"},
	{"frozen", func(s *shop) error { return s.vault.Freeze() }, func(s *shop) error { return s.vault.Thaw() }, "did not answer in time"},
	{"slow", fault(vaulttest.Slow(20 * time.Second)), healthy, "did not answer in time"},
	{"answers 500", fault(vaulttest.Status(http.StatusInternalServerError)), healthy, "vault answers 500"},
	{"answers 403", fault(vaulttest.Status(http.StatusForbidden)), healthy, "vault refuses the login by approle"},
	{"answers 429", fault(vaulttest.Status(http.StatusTooManyRequests)), healthy, "vault answers 429"},
	{"cut", fault(vaulttest.Cut()), healthy, "the connection broke"},
	{
		"refusing connections",
		func(s *shop) error { s.proxy.Refuse(); return nil },
		func(s *shop) error { return s.proxy.Accept() },
		"connection refused",
	},
}

// sentOK counts the exchanges of easypay that succeeded.
const sentOK = `caddy_countersign_exchanges_total{outcome="ok",profile="easypay",scheme="easypay"}`

func TestVaultAway(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartOwn(t))
	const maxStale = 2 * time.Second
	c := s.start([]string{inKV, inTransit, withMD5}, s.byRole(), "refresh 500ms", "max_stale 2s")
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			before := len(c.Log())
			require.NoError(t, trouble.begin(s))
			began := time.Now()

			// KV serves on, Transit fails at once, and the log says which key.
			c.paid(inKV)
			c.paid(withMD5)
			a := c.pay(inTransit)
			assert.Equal(t, http.StatusServiceUnavailable, a.status)
			assert.Contains(t, []string{"signing_failed", "keys_unavailable"}, a.code()) // the latter if it took as long as max_stale
			assert.Equal(t, "not_sent", a.outcome())
			assert.Less(t, time.Since(began), 5*time.Second)
			if a.code() == "signing_failed" {
				c.Await("the key in the log", func() bool {
					return strings.Contains(c.Log()[before:], "signing with vault transit:signing/shop-sign version 1")
				})
			}

			// Beyond max_stale nothing is signed any more.
			sent := c.metric(sentOK)
			time.Sleep(time.Until(began.Add(maxStale + 300*time.Millisecond)))
			for _, reference := range []string{inKV, inTransit, withMD5} {
				a := c.pay(reference)
				assert.Equal(t, http.StatusServiceUnavailable, a.status, reference)
				assert.Equal(t, "keys_unavailable", a.code(), reference)
				assert.Equal(t, "not_sent", a.outcome(), reference)
			}
			assert.Equal(t, sent, c.metric(sentOK), "nothing left")
			assert.False(t, c.ready())
			assert.Contains(t, c.Log()[before:], trouble.says)

			// It recovers by itself.
			require.NoError(t, trouble.end(s))
			c.Await("recovered", func() bool { return c.ready() && c.pay(inKV).ok() && c.pay(withMD5).ok() && c.pay(inTransit).ok() })
		})
	}
}

// What fails while an answer is opened says that the request was sent.
func TestVaultAwayWhileAnAnswerIsOpened(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inTransit}, s.byRole(), "refresh 1h", "max_stale 2h")
	for name, fault := range map[string]vaulttest.Fault{
		"cut":         vaulttest.Cut(),
		"answers 500": vaulttest.Status(http.StatusInternalServerError),
		"answers 403": vaulttest.Status(http.StatusForbidden),
		"slow":        vaulttest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.Log())
			s.proxy.Set(vaulttest.On("/v1/signing/decrypt/", fault))
			a := c.pay(inTransit)
			s.proxy.Set(nil)
			assert.Equal(t, http.StatusBadGateway, a.status)
			assert.Equal(t, "response_decryption_failed", a.code(), a.body)
			assert.Equal(t, "unverified", a.outcome())
			assert.Contains(t, c.Log()[before:], `"vault did not decrypt","key":"vault transit:signing/shop-decrypt version 1"`)
			c.paid(inTransit)
		})
	}
}

func TestColdStartWithoutVault(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartOwn(t))
	auth := s.byRole()
	require.NoError(t, s.vault.Kill())
	c := s.launch(s.caddyfile([]string{inKV}, auth, "refresh 1s"))
	assert.False(t, c.ready())
	began := time.Now()
	a := c.pay(inKV)
	assert.Equal(t, http.StatusServiceUnavailable, a.status)
	assert.Equal(t, "keys_unavailable", a.code())
	assert.Equal(t, "not_sent", a.outcome())
	assert.InDelta(t, 5, time.Since(began).Seconds(), 2, "a request waits for the first load")
	began = time.Now()
	assert.Equal(t, "keys_unavailable", c.pay(inKV).code())
	assert.Less(t, time.Since(began), time.Second, "once is enough")
	assert.Less(t, s.proxy.Count("/v1/"), 40, "with back-off")

	// A sealed Vault is no better.
	require.NoError(t, s.vault.StartSealed())
	time.Sleep(time.Second)
	assert.False(t, c.ready())
	require.NoError(t, s.vault.Unseal())
	c.Await("healed", func() bool { return c.ready() && c.pay(inKV).ok() })
}

// A request that comes while the first load runs waits for it, and all wait for
// one.
func TestVaultIsAskedOnceForAllWhoWait(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	auth := s.byRole()
	s.proxy.Set(vaulttest.Slow(300 * time.Millisecond))
	c := s.launch(s.caddyfile([]string{inKV, withMD5}, auth))
	failed := c.load(20, 100, func() answer { return c.pay(inKV) })
	assert.Empty(t, failed)
	for _, path := range []string{
		"/v1/auth/approle/login",
		"/v1/payments/data/easypay/kv", "/v1/payments/data/jeepay/md5",
	} {
		assert.Equal(t, 1, s.proxy.Count(path), path)
	}
	assert.Zero(t, s.proxy.Count("/v1/payments/metadata/"), "a first load is one request")

	// Of what did not change only the version is asked for.
	s.proxy.Set(nil)
	s.proxy.ResetCounts()
	for range 3 {
		require.Equal(t, http.StatusOK, c.do("admin", http.MethodPost, "/countersign/keys/refresh", nil).status)
	}
	assert.Equal(t, 3, s.proxy.Count("/v1/payments/metadata/easypay/kv"))
	assert.Zero(t, s.proxy.Count("/v1/payments/data/"))
	assert.Zero(t, s.proxy.Count("/v1/auth/"))
}

func TestNothingIsWrittenToDisk(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, inTransit}, s.byRole(), "refresh 200ms")
	c.paid(inKV)
	c.paid(inTransit)
	c.stop()
	ours := map[string]bool{"Caddyfile": true, "output.log": true, "shop.role-id": true, "shop.secret-id": true}
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(s.dir, path)
		require.NoError(t, err)
		// Caddy's own: the time of its last cleaning, and the id of the instance.
		if entry.Type().IsRegular() && !ours[name] && !strings.HasPrefix(name, "provider/") && !strings.HasPrefix(name, "sandbox/") {
			assert.Contains(t, []string{"last_clean.json", "instance.uuid"}, filepath.Base(name), name)
		}
		return nil
	}))
}
