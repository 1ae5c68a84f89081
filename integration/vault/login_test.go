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

const (
	renewals = "/v1/auth/token/renew-self"
	lookups  = "/v1/auth/token/lookup-self"
)

func TestKubernetesLoginReadsItsTokenAgain(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	cluster, err := s.vault.EnableKubernetes()
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	require.NoError(t, s.vault.BindRole("shop", "shop", "sidecar", vaulttest.Tokens{Policies: policies}))
	jwt := filepath.Join(s.dir, "jwt")
	require.NoError(t, cluster.WriteToken(jwt, "shop", "sidecar", time.Hour))
	c := s.start([]string{inKV, inTransit}, "auth kubernetes shop "+jwt, "refresh 200ms")
	c.paid(inKV)
	c.paid(inTransit)
	assert.Equal(t, 1, s.proxy.Count("/v1/auth/kubernetes/login"))

	// The kubelet replaces the token, the old one is worthless, and Vault forgets
	// who had logged in.
	cluster.RevokeTokens()
	require.NoError(t, cluster.WriteToken(jwt, "shop", "sidecar", time.Hour))
	time.Sleep(time.Second) // a token this young would not be replaced yet
	require.NoError(t, s.vault.RevokeLogins("kubernetes"))
	c.paid(inTransit)
	s.taken(c, inKV, s.change(inKV))
	assert.Equal(t, 2, s.proxy.Count("/v1/auth/kubernetes/login"))

	// Of another service account Vault takes none.
	require.NoError(t, cluster.WriteToken(jwt, "shop", "other", time.Hour))
	time.Sleep(time.Second)
	require.NoError(t, s.vault.RevokeLogins("kubernetes"))
	c.awaitLog("vault refuses the login by kubernetes at auth/kubernetes (status 403); check the role, the mount and the token in " + jwt)
	c.paid(inKV)
	assert.Equal(t, "signing_failed", c.pay(inTransit).code())
}

func TestTokenIsRenewedAndThenReplaced(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	role := s.role(vaulttest.Tokens{TTL: 2 * time.Second, MaxTTL: 5 * time.Second})
	// Nobody asks for keys meanwhile: the token is looked after by itself.
	c := s.start([]string{inTransit}, "auth approle "+role.RoleIDFile+" "+role.SecretIDFile, "refresh 1h", "max_stale 2h")
	login := "/v1/auth/approle/login"
	assert.Equal(t, 1, s.proxy.Count(login))

	time.Sleep(3 * time.Second)
	assert.GreaterOrEqual(t, s.proxy.Count(renewals), 1, "at two thirds of the lease")
	assert.Equal(t, 1, s.proxy.Count(login), "renewed, not replaced")
	c.paid(inTransit)
	require.NoError(t, role.RotateSecretID())
	c.Await("replaced before it ends", func() bool { return s.proxy.Count(login) == 2 })
	c.paid(inTransit)
	time.Sleep(3 * time.Second)
	c.paid(inTransit)
	assert.LessOrEqual(t, s.proxy.Count(login), 4)
	assert.LessOrEqual(t, s.proxy.Count(renewals), 12)
	assert.Zero(t, s.proxy.Count(lookups), "no request was denied")
}

func TestTokenThatCannotBeRenewedIsReplaced(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	// A batch token can be neither renewed nor revoked.
	require.NoError(t, writeBatchRole(s))
	c := s.start([]string{inTransit}, "auth approle "+s.dir+"/shop.role-id "+s.dir+"/shop.secret-id", "refresh 1h", "max_stale 2h")
	c.Await("logged in again", func() bool { return s.proxy.Count("/v1/auth/approle/login") >= 3 })
	assert.Zero(t, s.proxy.Count(renewals))
	c.paid(inTransit)
}

func writeBatchRole(s *shop) error {
	s.role(vaulttest.Tokens{})
	_, err := s.vault.Client().Logical().Write("auth/approle/role/shop", map[string]any{
		"token_type": "batch", "token_policies": policies, "token_ttl": "2s",
	})
	return err
}

func TestRevokedTokenIsReplacedWithinTheRequest(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, inTransit}, s.byRole(), "refresh 1h", "max_stale 2h")
	time.Sleep(time.Second)
	require.NoError(t, s.vault.RevokeLogins("approle"))

	// Many need it at once, and one logs in.
	failed := c.load(8, 40, func() answer { return c.pay(inTransit) })
	assert.Empty(t, failed)
	assert.Equal(t, 2, s.proxy.Count("/v1/auth/approle/login"))
}

func TestSecretIDThatWorksOnce(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	role := s.role(vaulttest.Tokens{TTL: 2 * time.Second})
	_, err := s.vault.Client().Logical().Write("auth/approle/role/shop", map[string]any{"secret_id_num_uses": 1})
	require.NoError(t, err)
	require.NoError(t, role.RotateSecretID())
	c := s.start([]string{inTransit}, "auth approle "+role.RoleIDFile+" "+role.SecretIDFile, "refresh 300ms")

	// Vault denies all for a moment, as it does while it is restored: the token
	// that is there is not thrown away for that.
	s.proxy.Set(vaulttest.Status(http.StatusForbidden))
	assert.Equal(t, "signing_failed", c.pay(inTransit).code())
	time.Sleep(time.Second)
	s.proxy.Set(nil)
	c.Await("signs again", func() bool { return c.pay(inTransit).ok() })
	time.Sleep(3 * time.Second)
	c.paid(inTransit)
}

func TestTokenFileOfAnAgent(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	file := s.token(vaulttest.Tokens{TTL: 3 * time.Second})
	c := s.start([]string{inKV, inTransit}, "auth token_file "+file, "refresh 200ms")
	first, err := os.ReadFile(file)
	require.NoError(t, err)

	time.Sleep(4 * time.Second)
	c.paid(inTransit) // it was renewed in between

	// The agent writes another one; the old one is of no use any more.
	s.token(vaulttest.Tokens{})
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, s.vault.RevokeToken(string(first)))
	c.paid(inTransit)
	s.taken(c, inKV, s.change(inKV))

	// A file that holds nonsense, or nothing, does not take the good token's place.
	for _, text := range []string{"hvs.nonsense-that-nobody-may-see", "", "two\nlines"} {
		replace(t, file, text)
		c.paid(inTransit)
	}
	require.NoError(t, os.Remove(file))
	c.paid(inTransit)

	// Vault forgets it, and a new file heals that.
	replace(t, file, string(second))
	require.NoError(t, s.vault.RevokeToken(string(second)))
	c.Await("no token", func() bool { return c.pay(inTransit).code() == "signing_failed" })
	c.awaitLog("vault does not take the token in " + file)
	c.paid(inKV)
	s.token(vaulttest.Tokens{})
	c.Await("healed", func() bool { return c.pay(inTransit).ok() })
	c.lacks(c.Log(), "nonsense")

	// It is not the sidecar's to give back.
	c.stop()
	assert.Zero(t, s.proxy.Count("/v1/auth/token/revoke-self"))
	_, err = s.vault.CreateToken(vaulttest.Tokens{Policies: policies})
	require.NoError(t, err)
}

func TestTokenOfALoginIsGivenBack(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, inTransit}, s.byRole(), "refresh 200ms")
	c.paid(inTransit)
	require.Len(t, logins(t, s), 1)
	c.stop()
	assert.Equal(t, 1, s.proxy.Count("/v1/auth/token/revoke-self"))
	assert.Empty(t, logins(t, s))
}

// logins returns the accessors of the tokens that AppRole has given and that live.
func logins(t *testing.T, s *shop) []string {
	t.Helper()
	list, err := s.vault.Client().Logical().List("auth/token/accessors")
	require.NoError(t, err)
	var found []string
	accessors, _ := list.Data["keys"].([]any)
	for _, accessor := range accessors {
		token, err := s.vault.Client().Auth().Token().LookupAccessor(accessor.(string))
		if err == nil && token.Data["path"] == "auth/approle/login" {
			found = append(found, accessor.(string))
		}
	}
	return found
}

func TestLoginsThatCannotWorkSayWhatToChange(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	role := s.role(vaulttest.Tokens{})
	id, err := os.ReadFile(role.RoleIDFile)
	require.NoError(t, err)
	replace(t, filepath.Join(s.dir, "wrong"), "id-that-nobody-may-see")
	replace(t, filepath.Join(s.dir, "empty"), "\n")
	for auth, says := range map[string]string{
		"auth approle " + role.RoleIDFile + " " + s.dir + "/wrong":   "vault refuses the login by approle at auth/approle (status 400); check the role, the mount and the ids in ",
		"auth approle " + role.RoleIDFile + " " + s.dir + "/missing": "reading the file of the secret id: open " + s.dir + "/missing: no such file",
		"auth approle " + s.dir + "/empty " + role.SecretIDFile:      "the file of the role id, " + s.dir + "/empty, must hold one text on one line",
		"auth kubernetes shop " + s.dir + "/wrong":                   "vault refuses the login by kubernetes at auth/kubernetes (status 403); check the role, the mount and the token in " + s.dir + "/wrong",
		"auth token_file " + s.dir + "/wrong":                        "vault does not take the token in " + s.dir + "/wrong",
	} {
		s.proxy.ResetCounts()
		c := s.launch(s.caddyfile([]string{inKV}, auth))
		c.awaitLog(says)
		assert.False(t, c.ready())
		assert.LessOrEqual(t, s.proxy.Count("/v1/auth/"), 12, "with back-off")
		c.stop()
		c.lacks(c.Log(), "nobody-may-see")
		c.lacks(c.Log(), strings.TrimSpace(string(id)))
	}
}

// The start-up check: the log names the path and the capability, in the
// language of policies, before the first payment fails.
func TestPolicyThatLacksSomething(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	all := policy(t, "kv") + policy(t, "transit")
	auth := s.byRole()
	for _, path := range []string{
		"payments/data/easypay/*", "signing/keys/shop-sign", "signing/keys/shop-decrypt",
		"signing/sign/shop-sign/sha2-256", "signing/decrypt/shop-decrypt",
	} {
		t.Run(path, func(t *testing.T) {
			rule := `path "` + path + `" {`
			require.Contains(t, all, rule)
			s.policy("kv", strings.Replace(all, rule, `path "elsewhere" {`, 1))
			s.policy("transit", "# nothing")
			c := s.launch(s.caddyfile([]string{inTransit}, auth, "refresh 200ms"))
			defer c.stop()
			capability := "read"
			if strings.Contains(path, "/sign/") || strings.Contains(path, "/decrypt/") {
				capability = "update"
			}
			exact := strings.Replace(path, "*", "transit", 1)
			c.awaitLog("the token may not " + capability + " " + exact + `; the policy needs: path \"` + exact + `\" { capabilities = [\"` + capability + `\"] }`)
			c.lacks(c.Log(), "sys/capabilities-self")
			if capability == "read" {
				assert.False(t, c.ready())
			}

			s.policy("transit", policy(t, "transit"))
			s.policy("kv", policy(t, "kv"))
			c.Await("healed by the policy", func() bool { return c.ready() && c.pay(inTransit).ok() })
		})
	}

	t.Run("without the metadata", func(t *testing.T) {
		s.policy("kv", strings.ReplaceAll(policy(t, "kv"), "payments/metadata/", "payments/elsewhere/"))
		s.proxy.ResetCounts()
		c := s.launch(s.caddyfile([]string{inTransit}, auth, "refresh 100ms"))
		c.Await("ready", c.ready)
		c.paid(inTransit)
		s.taken(c, inTransit, s.change(inTransit))
		c.paid(inTransit)
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 2, strings.Count(c.Log(), `"msg":"keys loaded","source":"default"`), "not at every look")
		assert.LessOrEqual(t, s.proxy.Count("/v1/payments/metadata/"), 3, "not asked again and again")
		c.lacks(c.Log(), "may not")
	})
}
