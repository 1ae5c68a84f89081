package vaulttest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// serverVariable has the path of the server's binary for the stand-in below.
const serverVariable = "VAULTTEST_SERVER"

// TestMain makes this binary, called by the name vault, a stand-in for the
// command: it takes what `vault server` takes and becomes the own server.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vault" {
		panic(becomeServer(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func becomeServer(args []string) error {
	file, _ := strings.CutPrefix(args[1], "-config=")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var config struct {
		Storage struct {
			File struct {
				Path string `json:"path"`
			} `json:"file"`
		} `json:"storage"`
		Listener struct {
			TCP struct {
				Address    string `json:"address"`
				TLSDisable bool   `json:"tls_disable"`
			} `json:"tcp"`
		} `json:"listener"`
		APIAddr      string `json:"api_addr"`
		DisableMlock bool   `json:"disable_mlock"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	if args[0] != "server" || !config.Listener.TCP.TLSDisable || !config.DisableMlock || config.APIAddr == "" {
		return os.ErrInvalid
	}
	server := os.Getenv(serverVariable)
	return syscall.Exec(server, []string{
		server, "-sealed", "-until-eof",
		"-listen", config.Listener.TCP.Address, "-storage", config.Storage.File.Path,
	}, os.Environ())
}

func TestVaultOnPathIsUsed(t *testing.T) {
	vaulttest.StartOwn(t) // builds, and skips where VAULT_ADDR is set
	binary, err := vaulttest.BuildServer(t.Context())
	require.NoError(t, err)
	t.Setenv(serverVariable, binary)
	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "vault")))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))

	s := vaulttest.StartOwn(t)
	assert.FileExists(t, filepath.Join(filepath.Dir(s.LogFile()), "vault.json"))
	require.NoError(t, s.EnableKV("payments"))
	_, err = s.PutSecret("payments", "a", map[string]string{"x": "y"})
	require.NoError(t, err)
	require.NoError(t, s.Restart())
	fields, err := readSecret(t, s.Client(), "payments", "a")
	require.NoError(t, err)
	assert.Equal(t, "y", fields["x"])
}

func TestVaultThatRunsAlreadyIsUsedAndCleanedUp(t *testing.T) {
	own := vaulttest.StartOwn(t)
	t.Setenv(api.EnvVaultAddress, own.URL)
	t.Setenv(api.EnvVaultToken, own.RootToken)
	before, err := own.Client().Sys().ListMounts()
	require.NoError(t, err)

	t.Run("used", func(t *testing.T) {
		s := vaulttest.Start(t)
		assert.True(t, s.External())
		assert.Empty(t, s.LogFile())
		require.NoError(t, s.EnableKV("payments"))
		require.NoError(t, s.EnableTransit("signing"))
		require.NoError(t, s.WritePolicy("sidecar", `path "payments/*" { capabilities = ["read"] }`))
		_, err := s.CreateAppRole("sidecar", t.TempDir(), vaulttest.Tokens{})
		require.NoError(t, err)
		for name, act := range map[string]func() error{
			"Seal": s.Seal, "Unseal": s.Unseal, "Kill": s.Kill, "StartSealed": s.StartSealed,
			"Restart": s.Restart, "Freeze": s.Freeze, "Thaw": s.Thaw,
		} {
			require.ErrorContains(t, act(), "VAULT_ADDR", name)
		}
	})

	after, err := own.Client().Sys().ListMounts()
	require.NoError(t, err)
	assert.Len(t, after, len(before))
	methods, err := own.Client().Sys().ListAuth()
	require.NoError(t, err)
	assert.NotContains(t, methods, "approle/")
	policies, err := own.Client().Sys().ListPolicies()
	require.NoError(t, err)
	assert.NotContains(t, policies, "sidecar")

	skipped := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		vaulttest.StartOwn(skipped)
	}()
	<-done
	assert.Contains(t, skipped.reason, "VAULT_ADDR")

	t.Setenv(api.EnvVaultToken, "")
	failed := &recorder{TB: t}
	done = make(chan struct{})
	go func() {
		defer close(done)
		vaulttest.Start(failed)
	}()
	<-done
	assert.Contains(t, failed.reason, "VAULT_TOKEN")
}
