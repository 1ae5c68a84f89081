package vaulttest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// ready is the line that the server's command prints.
type ready struct {
	Address   string `json:"address"`
	Sealed    bool   `json:"sealed"`
	RootToken string `json:"root_token"`
	UnsealKey string `json:"unseal_key"`
}

// runServer runs the server's command as a person would, until stop, and
// returns the line that it prints.
func runServer(t *testing.T, variables []string, flags ...string) (line ready, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := serverCommand(t, ctx, variables, flags...)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	text, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &line))
	return line, func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait(), "an orderly end")
	}
}

func serverCommand(t *testing.T, ctx context.Context, variables []string, flags ...string) *exec.Cmd {
	t.Helper()
	binary, err := vaulttest.BuildServer(ctx)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, binary, append([]string{"-until-eof", "-listen", "127.0.0.1:0"}, flags...)...)
	cmd.Env = append(os.Environ(), variables...)
	return cmd
}

func TestCommandInitialisesOnceAndUnsealsWithItsKey(t *testing.T) {
	dir := t.TempDir()
	storage := filepath.Join(dir, "storage")
	audit := filepath.Join(dir, "audit.log")

	first, stop := runServer(t, nil, "-storage", storage, "-audit", audit)
	assert.False(t, first.Sealed)
	require.NotEmpty(t, first.RootToken)
	require.NotEmpty(t, first.UnsealKey)
	client, err := vaulttest.NewClient(first.Address, "", first.RootToken)
	require.NoError(t, err)
	_, err = client.Auth().Token().LookupSelf()
	require.NoError(t, err)
	entries, err := os.ReadFile(audit)
	require.NoError(t, err)
	assert.Contains(t, string(entries), `"path":"auth/token/lookup-self"`)
	stop()

	second, stop := runServer(t, []string{"VAULT_UNSEAL_KEY=" + first.UnsealKey}, "-storage", storage)
	assert.False(t, second.Sealed)
	assert.Empty(t, second.RootToken)
	client, err = vaulttest.NewClient(second.Address, "", first.RootToken)
	require.NoError(t, err)
	_, err = client.Auth().Token().LookupSelf()
	require.NoError(t, err, "the same Vault")
	stop()

	third, stop := runServer(t, nil, "-storage", storage, "-sealed")
	assert.True(t, third.Sealed)
	client, err = vaulttest.NewClient(third.Address, "", "")
	require.NoError(t, err)
	seal, err := client.Sys().SealStatus()
	require.NoError(t, err)
	assert.True(t, seal.Initialized)
	assert.True(t, seal.Sealed)
	stop()

	for name, test := range map[string]struct {
		variables, flags []string
		says             string
	}{
		"no storage":       {nil, nil, "-storage is missing"},
		"no key":           {nil, []string{"-storage", storage}, "set VAULT_UNSEAL_KEY"},
		"not a key":        {[]string{"VAULT_UNSEAL_KEY=?"}, []string{"-storage", storage}, "not Base64"},
		"another's key":    {[]string{"VAULT_UNSEAL_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, []string{"-storage", storage}, "unsealing"},
		"half of TLS":      {nil, []string{"-storage", storage, "-tls-cert", "cert.pem"}, "go together"},
		"no such address":  {nil, []string{"-storage", t.TempDir(), "-sealed", "-listen", "256.0.0.1:1"}, "listening"},
		"no certificate":   {nil, []string{"-storage", t.TempDir(), "-sealed", "-tls-cert", "cert.pem", "-tls-key", "key.pem"}, "cert.pem"},
		"an unknown flag":  {nil, []string{"-stroage", storage}, "not defined"},
		"unusable storage": {nil, []string{"-storage", audit}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := serverCommand(t, t.Context(), test.variables, test.flags...)
			_, err := cmd.StdinPipe() // stays open
			require.NoError(t, err)
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			said, err := io.ReadAll(stderr)
			require.NoError(t, err)
			require.Error(t, cmd.Wait())
			assert.Contains(t, string(said), test.says)
		})
	}
}
