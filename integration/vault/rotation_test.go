package vault_test

import (
	"crypto/rsa"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// exchanges is how many a rotation under load makes at least.
const exchanges = 2000

func TestRotationUnderLoad(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	// Three generations of each key. The provider has been told of all that the
	// merchant will sign with; its own it changes when it likes.
	signers := []*rsa.PrivateKey{merchantSign(), newKey(2048)(), newKey(2048)()}
	decrypters := []*rsa.PrivateKey{merchantDecrypt(), newKey(2048)(), newKey(2048)()}
	providers := []*rsa.PrivateKey{providerSign(), newKey(2048)(), newKey(2048)()}
	for reference := range fields() {
		s.provide(reference, signers...)
	}
	secrets := []string{md5Secret, "second secret", "third secret"}
	c := s.start([]string{inKV, inTransit, mixed, withMD5}, s.byRole(), "refresh 200ms")
	load := c.traffic(t, 4, inKV, inTransit, mixed, withMD5)
	pause := func() { time.Sleep(700 * time.Millisecond) }

	for generation := 1; generation < len(signers); generation++ {
		all := generation + 1
		// Vault's Transit gets new versions; what was sealed for an older one still opens.
		require.NoError(t, s.vault.ImportKeys("signing", "shop-sign", signers[:all]...))
		require.NoError(t, s.vault.ImportKeys("signing", "shop-decrypt", decrypters[:all]...))
		// KV gets a new signing key, accepts the provider's old and new ones, and
		// opens with its own old and new ones.
		both := []string{
			"verify", publicPEM(providers[generation-1], providers[generation]),
			"decrypt", privatePEM(decrypters[generation], decrypters[generation-1]),
		}
		inBoth := s.change(inKV, append(both, "sign", privatePEM(signers[generation]))...)
		s.change(mixed, append(both, "sign", "transit:signing/shop-sign")...)
		s.change(inTransit, "verify", publicPEM(providers[generation-1], providers[generation]))
		s.put(withMD5, map[string]string{"secret": secrets[generation-1], "verify_secret": secrets[generation] + "\n"})
		s.taken(c, inKV, inBoth)
		pause()

		// Now the provider signs with its new key, and seals to the merchant's.
		for _, reference := range []string{inKV, inTransit, mixed} {
			s.provideWith(reference, providers[generation], decrypters[generation], signers)
		}
		pause()

		// And the old ones go.
		only := []string{"verify", publicPEM(providers[generation]), "decrypt", privatePEM(decrypters[generation])}
		last := s.change(inKV, append(only, "sign", privatePEM(signers[generation]))...)
		s.change(mixed, append(only, "sign", "transit:signing/shop-sign")...)
		s.change(inTransit, "verify", publicPEM(providers[generation]))
		s.taken(c, inKV, last)
		pause()
		// The secret of MD5 changes on both sides at once; who is asked first still
		// has the old one, and so both sides accept both meanwhile.
		s.secret(withMD5, secrets[generation], secrets[generation-1])
		time.Sleep(200 * time.Millisecond)
		version := s.put(withMD5, map[string]string{"secret": secrets[generation], "verify_secret": secrets[generation-1] + "\n"})
		s.taken(c, withMD5, version)
		c.Await("the Transit version", func() bool {
			return c.keys(inTransit).Fingerprints["sign"][0] == fingerprint(signers[generation])
		})
	}
	for load.count.Load() < exchanges && !load.over() {
		time.Sleep(50 * time.Millisecond)
	}
	failed := load.end()
	assert.GreaterOrEqual(t, load.count.Load(), int64(exchanges))
	assert.Empty(t, failed[:min(3, len(failed))], "%d of %d failed", len(failed), load.count.Load())
	assert.Zero(t, load.cut.Load())
	t.Logf("%d exchanges, none failed", load.count.Load())
	assert.Equal(t, "version 5, transit:signing/shop-sign version 3, transit:signing/shop-decrypt version 3", c.keys(inTransit).Version)
}

// A new version serves within refresh.
func TestNewVersionsAreTakenUpWithinRefresh(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, inTransit}, s.byRole(), "refresh 2s")
	time.Sleep(300 * time.Millisecond)
	version := s.change(inKV)
	began := time.Now()
	s.taken(c, inKV, version)
	assert.Less(t, time.Since(began), 2300*time.Millisecond)

	require.NoError(t, s.vault.RotateKey("signing", "shop-sign"))
	began = time.Now()
	c.Await("the new version signs", func() bool {
		return c.keys(inTransit).Version == "version 1, transit:signing/shop-sign version 2, transit:signing/shop-decrypt version 1"
	})
	assert.Less(t, time.Since(began), 2300*time.Millisecond)
	keys, err := s.vault.PublicKeys("signing", "shop-sign")
	require.NoError(t, err)
	assert.Equal(t, []string{fingerprintOf(keys[2])}, c.keys(inTransit).Fingerprints["sign"])
}

// A rotation that forbids the old version at once costs no payment, long before
// the next look at the versions.
func TestRotationWithAMinimumVersion(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	signers := []*rsa.PrivateKey{merchantSign(), newKey(2048)()}
	s.provide(inTransit, signers...)
	c := s.start([]string{inTransit}, s.byRole(), "refresh 10m")
	c.paid(inTransit)
	require.NoError(t, s.vault.ImportKeys("signing", "shop-sign", signers...))
	_, err := s.vault.Client().Logical().Write("signing/keys/shop-sign/config", map[string]any{"min_encryption_version": 2})
	require.NoError(t, err)
	failed := c.load(4, 40, func() answer { return c.pay(inTransit) })
	assert.Empty(t, failed)
}
