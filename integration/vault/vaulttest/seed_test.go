package vaulttest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

func TestSecretsAndPolicies(t *testing.T) {
	s := vaulttest.Start(t)
	require.NoError(t, s.EnableKV("seed-payments"))
	_, err := s.PutSecret("seed-payments", "easypay/ORG1", map[string]string{"sign": "a", "verify": "b"})
	require.NoError(t, err)
	_, err = s.PutSecret("seed-payments", "jeepay/M1", map[string]string{"secret": "c"})
	require.NoError(t, err)
	require.NoError(t, s.WritePolicy("seed-easypay", `path "seed-payments/data/easypay/*" { capabilities = ["read"] }`))

	token, err := s.CreateToken(vaulttest.Tokens{Policies: []string{"seed-easypay"}})
	require.NoError(t, err)
	client, err := vaulttest.NewClient(s.URL, s.CAFile, token)
	require.NoError(t, err)
	fields, err := readSecret(t, client, "seed-payments", "easypay/ORG1")
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"sign": "a", "verify": "b"}, fields)
	_, err = readSecret(t, client, "seed-payments", "jeepay/M1")
	assert.Equal(t, http.StatusForbidden, status(err), "not in the policy: %v", err)

	require.NoError(t, s.DeleteSecret("seed-payments", "easypay/ORG1"))
	_, err = readSecret(t, client, "seed-payments", "easypay/ORG1")
	require.ErrorIs(t, err, api.ErrSecretNotFound)

	require.Error(t, s.EnableKV("seed-payments"), "mounted already")
	require.Error(t, s.WritePolicy("seed-broken", `path {`))
	_, err = s.PutSecret("seed-elsewhere", "x", nil)
	require.Error(t, err, "no such mount")
}

// sign has Vault sign a message as the schemes need it.
func sign(t *testing.T, s *vaulttest.Server, key string, message []byte) []byte {
	t.Helper()
	secret, err := s.Client().Logical().Write("seed-transit/sign/"+key+"/sha2-256", map[string]any{
		"input":               base64.StdEncoding.EncodeToString(message),
		"signature_algorithm": "pkcs1v15",
	})
	require.NoError(t, err)
	return decodeVault(t, secret.Data["signature"])
}

// decodeVault takes "vault:v1:" off a value and decodes the rest.
func decodeVault(t *testing.T, value any) []byte {
	t.Helper()
	text, ok := value.(string)
	require.True(t, ok)
	parts := strings.Split(text, ":")
	require.Len(t, parts, 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	return raw
}

// open has Vault open a PKCS#1 v1.5 envelope under a version of a key.
func open(s *vaulttest.Server, key, version string, envelope []byte) (string, error) {
	secret, err := s.Client().Logical().Write("seed-transit/decrypt/"+key, map[string]any{
		"ciphertext":     "vault:" + version + ":" + base64.StdEncoding.EncodeToString(envelope),
		"padding_scheme": "pkcs1v15",
	})
	if err != nil {
		return "", err
	}
	plain, err := base64.StdEncoding.DecodeString(secret.Data["plaintext"].(string))
	return string(plain), err
}

func verifies(public *rsa.PublicKey, message, signature []byte) bool {
	digest := sha256.Sum256(message)
	return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
}

func envelope(t *testing.T, public *rsa.PublicKey, key string) []byte {
	t.Helper()
	//nolint:staticcheck // the providers demand PKCS#1 v1.5
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, public, []byte(key))
	require.NoError(t, err)
	return sealed
}

func TestTransitSignsAndOpensWithPKCS1v15(t *testing.T) {
	s := vaulttest.Start(t)
	require.NoError(t, s.EnableTransit("seed-transit"))
	const sessionKey = "0123456789abcdefghijklmnopqrstuv"
	message := []byte("orgId=1&orgMercode=2")

	t.Run("a key that Vault made and rotates", func(t *testing.T) {
		require.NoError(t, s.CreateKey("seed-transit", "made", "rsa-2048"))
		public, err := s.PublicKeys("seed-transit", "made")
		require.NoError(t, err)
		require.Len(t, public, 1)
		assert.True(t, verifies(public[1], message, sign(t, s, "made", message)))
		opened, err := open(s, "made", "v1", envelope(t, public[1], sessionKey))
		require.NoError(t, err)
		assert.Equal(t, sessionKey, opened)

		require.NoError(t, s.RotateKey("seed-transit", "made"))
		public, err = s.PublicKeys("seed-transit", "made")
		require.NoError(t, err)
		require.Len(t, public, 2)
		signature := sign(t, s, "made", message)
		assert.False(t, verifies(public[1], message, signature))
		assert.True(t, verifies(public[2], message, signature))
		opened, err = open(s, "made", "v1", envelope(t, public[1], sessionKey))
		require.NoError(t, err, "the old version still opens")
		assert.Equal(t, sessionKey, opened)
	})

	t.Run("keys of our own", func(t *testing.T) {
		var keys []*rsa.PrivateKey
		for range 2 {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			keys = append(keys, key)
		}
		require.NoError(t, s.ImportKeys("seed-transit", "ours", keys[0]))
		assert.True(t, verifies(&keys[0].PublicKey, message, sign(t, s, "ours", message)))
		require.NoError(t, s.ImportKeys("seed-transit", "ours", keys...), "replaces what is there")
		assert.True(t, verifies(&keys[1].PublicKey, message, sign(t, s, "ours", message)))
		for version, key := range map[string]*rsa.PrivateKey{"v1": keys[0], "v2": keys[1]} {
			opened, err := open(s, "ours", version, envelope(t, &key.PublicKey, sessionKey))
			require.NoError(t, err)
			assert.Equal(t, sessionKey, opened)
		}
		require.NoError(t, s.RotateKey("seed-transit", "ours"))
		public, err := s.PublicKeys("seed-transit", "ours")
		require.NoError(t, err)
		require.Len(t, public, 3)
		assert.True(t, verifies(public[3], message, sign(t, s, "ours", message)))
		assert.True(t, public[2].Equal(&keys[1].PublicKey))
	})

	t.Run("what Transit refuses", func(t *testing.T) {
		require.ErrorContains(t, s.CreateKey("seed-transit", "small", "rsa-1024"), "unknown key type")
		small, err := rsa.GenerateKey(rand.Reader, 1024)
		require.NoError(t, err)
		require.ErrorContains(t, s.ImportKeys("seed-transit", "small", small), "RSA-2048")
		require.Error(t, s.RotateKey("seed-transit", "missing"))
		_, err = s.PublicKeys("seed-transit", "missing")
		require.Error(t, err)
	})
}

func TestAuditShowsWhichKeySigned(t *testing.T) {
	s := vaulttest.StartOwn(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, s.EnableAudit(file))
	require.NoError(t, s.EnableTransit("seed-transit"))
	require.NoError(t, s.CreateKey("seed-transit", "merchant", "rsa-2048"))
	sign(t, s, "merchant", []byte("orgId=1"))

	entries, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(entries), `"path":"seed-transit/sign/merchant/sha2-256"`)
	assert.NotContains(t, string(entries), s.RootToken)
}
