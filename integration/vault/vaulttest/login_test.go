package vaulttest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// login logs in by a method and returns a client with the token it got.
func login(s *vaulttest.Server, method string, credentials map[string]any) (*api.Client, *api.SecretAuth, error) {
	client, err := vaulttest.NewClient(s.URL, s.CAFile, "")
	if err != nil {
		return nil, nil, err
	}
	secret, err := client.Logical().Write("auth/"+method+"/login", credentials)
	if err != nil {
		return nil, nil, err
	}
	client.SetToken(secret.Auth.ClientToken)
	return client, secret.Auth, nil
}

func trimmed(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

func TestAppRoleLogsInWithItsFiles(t *testing.T) {
	s := vaulttest.Start(t)
	role, err := s.CreateAppRole("vaulttest-sidecar", t.TempDir(), vaulttest.Tokens{
		Policies: []string{"vaulttest-none"},
		TTL:      2 * time.Minute,
		MaxTTL:   5 * time.Minute,
	})
	require.NoError(t, err)
	attempt := func() (*api.Client, *api.SecretAuth, error) {
		return login(s, "approle", map[string]any{
			"role_id":   trimmed(t, role.RoleIDFile),
			"secret_id": trimmed(t, role.SecretIDFile),
		})
	}

	client, auth, err := attempt()
	require.NoError(t, err)
	assert.Equal(t, 120, auth.LeaseDuration)
	assert.True(t, auth.Renewable)
	assert.ElementsMatch(t, []string{"default", "vaulttest-none"}, auth.Policies)

	old := trimmed(t, role.SecretIDFile)
	require.NoError(t, role.RotateSecretID())
	_, _, err = login(s, "approle", map[string]any{"role_id": trimmed(t, role.RoleIDFile), "secret_id": old})
	require.Error(t, err, "the old secret id is destroyed")
	_, _, err = attempt()
	require.NoError(t, err, "the new one stands in the file")

	_, err = client.Auth().Token().LookupSelf()
	require.NoError(t, err)
	require.NoError(t, s.RevokeLogins("approle"))
	_, err = client.Auth().Token().LookupSelf()
	assert.Equal(t, http.StatusForbidden, status(err), "%v", err)
}

func TestTokensExpireAndCanBeRevoked(t *testing.T) {
	s := vaulttest.Start(t)
	lookup := func(token string) error {
		client, err := vaulttest.NewClient(s.URL, s.CAFile, token)
		require.NoError(t, err)
		_, err = client.Auth().Token().LookupSelf()
		return err
	}

	token, err := s.CreateToken(vaulttest.Tokens{TTL: time.Hour})
	require.NoError(t, err)
	require.NoError(t, lookup(token))
	require.NoError(t, s.RevokeToken(token))
	assert.Equal(t, http.StatusForbidden, status(lookup(token)))

	token, err = s.CreateToken(vaulttest.Tokens{TTL: time.Second})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return status(lookup(token)) == http.StatusForbidden },
		10*time.Second, 100*time.Millisecond)

	token, err = s.CreateToken(vaulttest.Tokens{Period: 90 * time.Second})
	require.NoError(t, err)
	client, err := vaulttest.NewClient(s.URL, s.CAFile, token)
	require.NoError(t, err)
	renewed, err := client.Auth().Token().RenewSelf(3600)
	require.NoError(t, err)
	assert.Equal(t, 90, renewed.Auth.LeaseDuration)
}

func TestKubernetesLogsInServiceAccounts(t *testing.T) {
	s := vaulttest.StartOwn(t)
	k, err := s.EnableKubernetes()
	require.NoError(t, err)
	defer k.Close()
	require.NoError(t, s.BindRole("sidecar", "shop", "legacy", vaulttest.Tokens{
		Policies: []string{"vaulttest-none"},
		TTL:      time.Minute,
	}))
	attempt := func(token string) error {
		_, _, err := login(s, "kubernetes", map[string]any{"role": "sidecar", "jwt": token})
		return err
	}
	issue := func(namespace, account string, lifetime time.Duration) string {
		token, err := k.Token(namespace, account, lifetime)
		require.NoError(t, err)
		return token
	}

	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, k.WriteToken(file, "shop", "legacy", time.Minute))
	first := trimmed(t, file)
	require.NoError(t, attempt(first))
	assert.Equal(t, 1, k.Reviews())
	require.NoError(t, k.WriteToken(file, "shop", "legacy", time.Minute))
	assert.NotEqual(t, first, trimmed(t, file))
	require.NoError(t, attempt(trimmed(t, file)))

	for name, token := range map[string]string{
		"another account":      issue("shop", "other", time.Minute),
		"another namespace":    issue("elsewhere", "legacy", time.Minute),
		"an expired token":     issue("shop", "legacy", -5*time.Minute),
		"not a token":          "nonsense",
		"a tampered signature": first[:len(first)-20] + strings.Repeat("A", 20),
	} {
		assert.Error(t, attempt(token), name)
	}

	k.RevokeTokens()
	assert.Equal(t, http.StatusForbidden, status(attempt(first)), "signed well, but the API server disowns it")
}
