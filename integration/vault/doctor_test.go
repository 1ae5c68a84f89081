package vault_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// finding is a line of the doctor's report.
type finding struct{ Check, Subject, Status, Reason, Advice string }

// doctor runs `caddy countersign doctor` and returns what it says of Vault.
func (s *shop) doctor(caddyfile string) []finding {
	s.t.Helper()
	file := filepath.Join(s.dir, "doctor.Caddyfile")
	require.NoError(s.t, os.WriteFile(file, []byte(caddyfile), 0o600))
	out, _ := process.Command(s.t, s.dir, "countersign", "doctor", "--config", file, "--json").Output() // a failure that was found is an exit status
	var found []finding
	require.NoError(s.t, json.Unmarshal(out, &found), "%s", out)
	return found
}

// about returns the findings of a check.
func about(all []finding, check string) (found []finding) {
	for _, f := range all {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

func TestDoctorLooksAtVault(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	role := s.role(vaulttest.Tokens{})
	auth := "auth approle " + role.RoleIDFile + " " + role.SecretIDFile
	text := s.caddyfile([]string{inKV, inTransit}, auth)

	all := s.doctor(text)
	login := about(all, "vault login")
	require.Len(t, login, 1, "%+v", all)
	assert.Equal(t, "ok", login[0].Status)
	assert.Contains(t, login[0].Reason, "vault takes the login by approle; policies: default, kv, transit")
	for _, f := range about(all, "vault policy") {
		assert.Equal(t, "ok", f.Status, f)
	}
	assert.Len(t, about(all, "vault policy"), 2)

	// What the policy lacks, and a secret id that all can read.
	s.policy("transit", strings.ReplaceAll(policy(t, "transit"), "signing/sign/", "elsewhere/"))
	s.policy("kv", strings.ReplaceAll(policy(t, "kv"), "payments/metadata/", "elsewhere/"))
	require.NoError(t, os.Chmod(role.SecretIDFile, 0o644)) //nolint:gosec // that is the point
	all = s.doctor(text)
	assert.Contains(t, about(all, "file permissions"), finding{
		"file permissions", role.SecretIDFile, "warning", "mode 0644: others than the owner can log in with it", "chmod go= " + role.SecretIDFile,
	})
	assert.Contains(t, about(all, "vault policy"), finding{
		"vault policy", "signing/sign/shop-sign/sha2-256", "failure", "the token may not update it, which easypay/transit needs",
		`add to the policy: path "signing/sign/shop-sign/sha2-256" { capabilities = ["update"] }`,
	})
	assert.Contains(t, about(all, "vault policy"), finding{
		"vault policy", "payments/metadata/easypay/kv", "warning", "the token may not read it, so that the secret itself is read at each refresh",
		`add to the policy: path "payments/metadata/easypay/kv" { capabilities = ["read"] }`,
	})

	// A token of root's, and a login that Vault refuses.
	file := filepath.Join(s.dir, "token")
	replace(t, file, s.vault.RootToken)
	login = about(s.doctor(s.caddyfile([]string{inKV}, "auth token_file "+file)), "vault login")
	require.Len(t, login, 1)
	assert.Equal(t, "warning", login[0].Status)
	replace(t, file, "nonsense")
	login = about(s.doctor(s.caddyfile([]string{inKV}, "auth token_file "+file)), "vault login")
	require.Len(t, login, 1)
	assert.Equal(t, "failure", login[0].Status)
	assert.Contains(t, login[0].Reason, "vault does not take the token in "+file)
}
