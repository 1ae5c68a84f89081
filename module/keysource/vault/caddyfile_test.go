package vault

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keysource"
)

func parse(text string) (*Source, error) {
	s := new(Source)
	return s, s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
}

func provision(t *testing.T, s *Source) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return s.Provision(ctx)
}

func TestCaddyfile(t *testing.T) {
	s, err := parse(`vault https://vault.vault:8200 {
		name prod
		kv payments
		auth kubernetes shop /run/token
		auth_mount clusters/east
		namespace team
		refresh 10s
		max_stale 2h
	}`)
	require.NoError(t, err)
	require.NoError(t, provision(t, s))
	assert.Equal(t, keysource.Terms{Name: "prod", Kind: "vault", Refresh: 10 * time.Second, MaxStale: 2 * time.Hour}, s.Terms())
	assert.Equal(t, "payments", s.KV)
	assert.Equal(t, "team", s.Namespace)
	assert.Equal(t, Auth{Method: "kubernetes", Role: "shop", Mount: "clusters/east", TokenFile: "/run/token"}, s.Auth)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice is once")
	require.NoError(t, new(Source).Close(), "never provisioned")

	// The defaults.
	s, err = parse("vault https://vault.vault:8200 {\nauth kubernetes shop\n}")
	require.NoError(t, err)
	require.NoError(t, provision(t, s))
	assert.Equal(t, keysource.Terms{Kind: "vault", Refresh: 30 * time.Second, MaxStale: time.Hour}, s.Terms())
	assert.Equal(t, "secret", s.KV)
	assert.Equal(t, "kubernetes", s.Auth.Mount)
	assert.Equal(t, DefaultJWT, s.Auth.TokenFile)

	for text, want := range map[string]Auth{
		"auth approle role-id secret-id": {Method: "approle", Mount: "approle", RoleIDFile: "role-id", SecretIDFile: "secret-id"},
		"auth token_file token":          {Method: "token_file", Mount: "token_file", TokenFile: "token"},
	} {
		s, err = parse("vault https://vault.vault:8200 {\n" + text + "\n}")
		require.NoError(t, err)
		require.NoError(t, provision(t, s))
		assert.Equal(t, want, s.Auth)
	}
}

// Every mistake is said at load, with its line.
func TestCaddyfileRefuses(t *testing.T) {
	const good = "auth token_file token"
	for text, says := range map[string]string{
		"vault {\n" + good + "\n}":                                                    "takes exactly one address",
		"vault a b {\n" + good + "\n}":                                                "takes exactly one address",
		"vault https://v:8200":                                                        "keys vault needs auth",
		"vault https://v:8200 {\n}":                                                   "keys vault needs auth",
		"vault https://v:8200 {\n" + good + "\nkv\n}":                                 "kv takes exactly one value",
		"vault https://v:8200 {\n" + good + "\nkv a b\n}":                             "kv takes exactly one value",
		"vault https://v:8200 {\n" + good + "\nkv ../x\n}":                            `kv must be the path of a mount, such as payments or team/payments, not "../x"`,
		"vault https://v:8200 {\n" + good + "\nkv a//b\n}":                            "kv must be the path of a mount",
		"vault https://v:8200 {\n" + good + "\nkv /\n}":                               "kv must be the path of a mount",
		"vault https://v:8200 {\n" + good + "\nkv \"payments \"\n}":                   "kv must be the path of a mount",
		"vault https://v:8200 {\n" + good + "\nkv a?b\n}":                             "kv must be the path of a mount",
		"vault https://v:8200 {\n" + good + "\nauth_mount a/../b\n}":                  "auth_mount must be the path of a mount",
		"vault https://v:8200 {\n" + good + "\nname \"\"\n}":                          "name takes exactly one value",
		"vault https://v:8200 {\n" + good + "\nkv a\nkv b\n}":                         "kv is given twice",
		"vault https://v:8200 {\n" + good + "\n" + good + "\n}":                       "auth is given twice",
		"vault https://v:8200 {\n" + good + "\nrefresh soon\n}":                       `refresh must be a duration such as 30s, not "soon"`,
		"vault https://v:8200 {\n" + good + "\nrefresh -1s\n}":                        "refresh must be a duration",
		"vault https://v:8200 {\n" + good + "\nmax_stale 0\n}":                        "max_stale must be a duration",
		"vault https://v:8200 {\n" + good + "\nallow_plaintext_upstream yes\n}":       "takes no value",
		"vault https://v:8200 {\n" + good + "\ntoken hvs.x\n}":                        `unknown option "token" of keys vault`,
		"vault https://v:8200 {\nauth\n}":                                             "auth needs a method",
		"vault https://v:8200 {\nauth kubernetes\n}":                                  "auth kubernetes takes a role",
		"vault https://v:8200 {\nauth kubernetes a b c\n}":                            "auth kubernetes takes a role",
		"vault https://v:8200 {\nauth approle a\n}":                                   "auth approle takes the file of the role id",
		"vault https://v:8200 {\nauth token_file\n}":                                  "auth token_file takes one file",
		"vault https://v:8200 {\nauth ldap me\n}":                                     `unknown auth method "ldap"`,
		"vault http://vault.vault:8200 {\n" + good + "\n}":                            "would be reached in plaintext",
		"vault http://10.0.0.1:8200 {\n" + good + "\n}":                               "would be reached in plaintext",
		"vault http://localhost.evil.example {\n" + good + "\n}":                      "would be reached in plaintext",
		"vault v:8200 {\n" + good + "\n}":                                             "the address must look like",
		"vault ftp://v {\n" + good + "\n}":                                            "the address must look like",
		"vault https://me:pass@v {\n" + good + "\n}":                                  "the address must look like",
		"vault https://v:% {\n" + good + "\n}":                                        "no address at all",
		"vault https://v/path {\n" + good + "\n}":                                     "the address must look like",
		"vault https://v?a=b {\n" + good + "\n}":                                      "the address must look like",
		"vault {env.COUNTERSIGN_TEST_UNSET} {\n" + good + "\n}":                       "COUNTERSIGN_TEST_UNSET",
		"vault https://v:8200 {\n" + good + "\nca /nonsense/ca.pem\n}":                "reading the ca file",
		"vault https://v:8200 {\n" + good + "\nrefresh 10s\nmax_stale 5s\n}":          "max_stale must not be shorter than refresh",
		"vault https://v:8200 {\nauth approle {env.COUNTERSIGN_TEST_UNSET} secret\n}": "COUNTERSIGN_TEST_UNSET",
	} {
		s, err := parse(text)
		if err == nil {
			err = provision(t, s)
		}
		require.ErrorContains(t, err, says, text)
		assert.Regexp(t, `Testfile:\d+`, err.Error(), text)
		assert.NotContains(t, err.Error(), ":pass")
	}
}

func TestAddressesThatStayOnTheMachine(t *testing.T) {
	for _, address := range []string{
		"http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200", "http://127.8.9.1", "unix:///run/vault.sock", "https://v", "https://v/",
	} {
		s, err := parse("vault " + address + " {\nauth token_file token\n}")
		require.NoError(t, err)
		require.NoError(t, provision(t, s), address)
	}
	s, err := parse("vault http://vault.vault:8200 {\nauth token_file token\nallow_plaintext_upstream\n}")
	require.NoError(t, err)
	require.NoError(t, provision(t, s))
	found := s.diagnoseAddress()
	require.Len(t, found, 1)
	assert.Equal(t, keysource.Warning, found[0].Status)
}

func TestCAFileMustHoldCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, []byte("nothing of the kind"), 0o600))
	s, err := parse("vault https://v:8200 {\nauth token_file token\nca " + file + "\n}")
	require.NoError(t, err)
	require.ErrorContains(t, provision(t, s), "holds no certificate in PEM")
}
