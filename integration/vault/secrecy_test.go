package vault_test

import (
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
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

// Every success and every failure, with debug logging, and then a search for
// what nobody may see.
func TestNothingLeaks(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartOwn(t))
	role := s.role(vaulttest.Tokens{TTL: time.Minute})
	c := s.start([]string{inKV, inTransit, mixed, withMD5}, "auth approle "+role.RoleIDFile+" "+role.SecretIDFile, "refresh 200ms", "max_stale 1500ms")
	secrets := map[string]string{
		"secret":     md5Secret,
		"sign key":   middle(privatePEM(merchantSign())),
		"opened key": middle(privatePEM(merchantDecrypt())),
		"exponent":   base64.StdEncoding.EncodeToString(merchantSign().D.Bytes())[:60],
		"a prime":    new(big.Int).Set(merchantSign().Primes[0]).String()[:60],
		"broken key": "planted-broken-key-material",
		"root token": s.vault.RootToken,
	}
	for name, file := range map[string]string{"role id": role.RoleIDFile, "secret id": role.SecretIDFile} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		secrets[name] = strings.TrimSpace(string(text))
	}

	var seen strings.Builder
	look := func() {
		for _, reference := range []string{inKV, inTransit, mixed, withMD5} {
			a := c.pay(reference)
			seen.WriteString(a.body)
		}
		for _, path := range []string{"/config/", "/countersign/keys", "/debug/vars"} {
			seen.WriteString(c.do("admin", http.MethodGet, path, nil).body)
		}
		seen.WriteString(c.do("admin", http.MethodPost, "/countersign/keys/refresh", nil).body)
		seen.WriteString(c.do("watch", http.MethodGet, "/metrics", nil).body)
	}
	look()
	s.change(inKV, "sign", secrets["broken key"], "verify", secrets["broken key"])
	s.change(withMD5, "secret", "")
	time.Sleep(300 * time.Millisecond)
	look()
	s.change(inKV)
	s.change(withMD5)
	for _, f := range []vaulttest.Fault{
		echo, vaulttest.Cut(), vaulttest.LoseAnswer(), vaulttest.Status(500), vaulttest.Status(403), echo,
		vaulttest.On("/v1/signing/", vaulttest.Status(400)), vaulttest.On("/v1/signing/decrypt", vaulttest.Cut()),
	} {
		s.proxy.Set(f)
		look()
		time.Sleep(300 * time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond)
	look()
	s.proxy.Set(nil)
	require.NoError(t, s.vault.RevokeLogins("approle"))
	c.Await("well again", func() bool { return c.pay(inTransit).ok() && c.pay(inKV).ok() })
	look()
	c.stop()

	for name, secret := range secrets {
		require.Greater(t, len(secret), 20, name)
		assert.False(t, strings.Contains(c.Log(), secret), "the %s is in the log", name)
		assert.False(t, strings.Contains(seen.String(), secret), "the %s is in an answer", name)
	}
	// Vault's tokens all begin so, those of the logins as well.
	for _, prefix := range []string{"hvs.", "hvb.", "s.CAES"} {
		c.lacks(c.Log(), prefix)
		c.lacks(seen.String(), prefix)
	}
	assert.Contains(t, c.Log(), `"level":"debug"`)
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		if !entry.Type().IsRegular() || strings.Contains(path, "/provider/") || strings.Contains(path, "/sandbox/") || strings.HasSuffix(path, "-id") {
			return nil
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for name, secret := range secrets {
			assert.False(t, strings.Contains(string(text), secret), "the %s is in the file %s", name, path)
		}
		return nil
	}))
}

// echo is a Vault, or something before it, that quotes all that it was asked in
// its errors.
func echo(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = r.Header.Write(w)
	_, _ = io.Copy(w, r.Body)
	_, _ = w.Write([]byte(`{"errors":["planted-broken-key-material"]}`))
}

// middle returns a line out of the middle of a PEM block.
func middle(text string) string {
	block, _ := pem.Decode([]byte(text))
	return base64.StdEncoding.EncodeToString(block.Bytes)[200:260]
}

// nonsense returns an environment in which the api's own client fails, goes
// elsewhere, or skips the verification of certificates.
func nonsense(t *testing.T) []string {
	t.Helper()
	return []string{
		"VAULT_ADDR=http://127.0.0.1:1", "VAULT_AGENT_ADDR=http://127.0.0.1:1", "VAULT_PROXY_ADDR=http://127.0.0.1:1",
		"VAULT_HTTP_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1",
		"VAULT_TOKEN=nonsense", "VAULT_NAMESPACE=nonsense", "VAULT_SKIP_VERIFY=true", "VAULT_CACERT=/nonsense", "VAULT_CAPATH=/nonsense",
		"VAULT_CACERT_BYTES=nonsense", "VAULT_CLIENT_CERT=/nonsense", "VAULT_CLIENT_KEY=/nonsense", "VAULT_TLS_SERVER_NAME=nonsense",
		"VAULT_RATE_LIMIT=nonsense", "VAULT_MAX_RETRIES=nonsense", "VAULT_CLIENT_TIMEOUT=nonsense", "VAULT_SRV_LOOKUP=nonsense",
		"VAULT_WRAP_TTL=nonsense", "VAULT_HEADERS=nonsense", "VAULT_DISABLE_REDIRECTS=nonsense",
	}
}

func TestEnvironmentHasNoEffect(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartTLS(t))
	auth := s.byRole()
	text := s.with(s.vault.URL, []string{inKV, inTransit}, []string{auth, "ca " + s.vault.CAFile, "refresh 200ms"})
	c := s.launch(text, nonsense(t)...)
	c.Await("ready", c.ready)
	c.paid(inKV)
	c.paid(inTransit)
	c.stop()

	// VAULT_SKIP_VERIFY does not make an unknown certificate a good one.
	c = s.launch(s.with(s.vault.URL, []string{inKV}, []string{auth}), "VAULT_SKIP_VERIFY=true", "VAULT_CACERT="+s.vault.CAFile)
	c.awaitLog("its certificate does not verify; check the address and the option ca")
	assert.False(t, c.ready())
	c.stop()

	// What the Caddyfile asks for is taken.
	c = s.launch(s.with("{env.VAULT_ADDR}", []string{inKV}, []string{auth, "ca {env.VAULT_CACERT}"}), "VAULT_ADDR="+s.vault.URL, "VAULT_CACERT="+s.vault.CAFile)
	c.Await("ready", c.ready)
	c.paid(inKV)
}

// The file of the ca is read for each connection, so that it can be replaced.
func TestCertificateAuthorityIsReplaced(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.StartTLS(t))
	good, err := os.ReadFile(s.vault.CAFile)
	require.NoError(t, err)
	other := vaulttest.StartTLS(t)
	wrong, err := os.ReadFile(other.CAFile)
	require.NoError(t, err)
	ca := filepath.Join(s.dir, "ca.pem")
	replace(t, ca, string(wrong))
	c := s.launch(s.with(s.vault.URL, []string{inKV}, []string{s.byRole(), "ca " + ca, "refresh 200ms"}))
	c.awaitLog("its certificate does not verify")
	replace(t, ca, string(good))
	c.Await("ready", c.ready)
	c.paid(inKV)
}
