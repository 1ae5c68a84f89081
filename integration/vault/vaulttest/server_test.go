package vaulttest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// status returns the HTTP status of an error from Vault's client, 0 if there
// was no answer.
func status(err error) int {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

func readSecret(t *testing.T, c *api.Client, mount, path string) (map[string]any, error) {
	t.Helper()
	secret, err := c.KVv2(mount).Get(t.Context(), path)
	if err != nil {
		return nil, err
	}
	return secret.Data, nil
}

func TestServerKeepsItsSecretsThroughSealKillAndRestart(t *testing.T) {
	s := vaulttest.StartOwn(t)
	require.NoError(t, s.EnableKV("payments"))
	version, err := s.PutSecret("payments", "easypay/ORG1", map[string]string{"secret": "one"})
	require.NoError(t, err)
	require.Equal(t, 1, version)
	token, err := s.CreateToken(vaulttest.Tokens{Policies: []string{"root"}, TTL: time.Hour})
	require.NoError(t, err)
	client, err := vaulttest.NewClient(s.URL, "", token)
	require.NoError(t, err)

	require.NoError(t, s.Seal())
	_, err = readSecret(t, client, "payments", "easypay/ORG1")
	assert.Equal(t, http.StatusServiceUnavailable, status(err), "sealed: %v", err)

	require.NoError(t, s.Unseal())
	_, err = readSecret(t, client, "payments", "easypay/ORG1")
	require.NoError(t, err, "unsealed")

	require.NoError(t, s.Kill())
	require.NoError(t, s.Kill(), "killing what does not run")
	_, err = readSecret(t, client, "payments", "easypay/ORG1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	require.NoError(t, s.StartSealed())
	require.Error(t, s.StartSealed(), "it runs")
	_, err = readSecret(t, client, "payments", "easypay/ORG1")
	assert.Equal(t, http.StatusServiceUnavailable, status(err), "started, still sealed: %v", err)
	require.NoError(t, s.Unseal())

	require.NoError(t, s.Restart())
	fields, err := readSecret(t, client, "payments", "easypay/ORG1")
	require.NoError(t, err, "the token from before the crash is still good")
	assert.Equal(t, map[string]any{"secret": "one"}, fields)
	version, err = s.PutSecret("payments", "easypay/ORG1", map[string]string{"secret": "two"})
	require.NoError(t, err)
	assert.Equal(t, 2, version)
}

func TestFrozenServerAcceptsAndDoesNotAnswer(t *testing.T) {
	s := vaulttest.StartOwn(t)
	client, err := vaulttest.NewClient(s.URL, "", s.RootToken)
	require.NoError(t, err)
	client.SetClientTimeout(300 * time.Millisecond)

	require.NoError(t, s.Freeze())
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err, "the system accepts for it")
	require.NoError(t, conn.Close())
	_, err = client.Sys().ListMounts()
	require.ErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, s.Thaw())
	_, err = s.Client().Sys().ListMounts()
	require.NoError(t, err)

	require.NoError(t, s.Kill())
	require.Error(t, s.Freeze(), "nothing to freeze")
	require.Error(t, s.Thaw(), "nothing to thaw")
}

func TestTLSIsVerifiedByTheCAFile(t *testing.T) {
	s := vaulttest.StartTLS(t)
	require.True(t, strings.HasPrefix(s.URL, "https://"), s.URL)
	_, err := s.Client().Sys().ListMounts()
	require.NoError(t, err)

	stranger, err := vaulttest.NewClient(s.URL, "", s.RootToken)
	require.NoError(t, err)
	_, err = stranger.Sys().ListMounts()
	require.ErrorContains(t, err, "certificate")

	_, err = vaulttest.NewClient(s.URL, filepath.Join(t.TempDir(), "missing.pem"), "")
	require.Error(t, err)
}

func TestClientTakesNothingFromTheEnvironment(t *testing.T) {
	s := vaulttest.StartOwn(t)
	t.Setenv(api.EnvVaultAddress, "http://127.0.0.1:1")
	t.Setenv(api.EnvVaultToken, "wrong")
	t.Setenv(api.EnvVaultNamespace, "elsewhere")
	t.Setenv(api.EnvVaultHeaders, `{"X-Elsewhere": "yes"}`)
	client, err := vaulttest.NewClient(s.URL, "", s.RootToken)
	require.NoError(t, err)
	assert.Equal(t, s.URL, client.Address())
	assert.Equal(t, s.RootToken, client.Token())
	assert.Empty(t, client.Namespace())
	assert.NotContains(t, client.Headers(), "X-Elsewhere")
	_, err = client.Sys().ListMounts()
	require.NoError(t, err)

	for _, variable := range vaulttest.Environment() { // of the server
		assert.False(t, strings.HasPrefix(variable, "VAULT_"), variable)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := vaulttest.New(ctx, vaulttest.Options{})
	require.NoError(t, err)
	dir := filepath.Dir(s.LogFile())
	require.DirExists(t, dir)

	require.NoError(t, s.Close())
	assert.NoDirExists(t, dir)
	_, err = s.Client().Sys().SealStatus()
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, s.Close(), "closing twice")
}

func TestStartThatFailsSaysWhy(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "storage"), []byte("no directory"), 0o600))
	_, err := vaulttest.New(t.Context(), vaulttest.Options{Dir: dir})
	require.ErrorContains(t, err, "not a directory")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = vaulttest.New(cancelled, vaulttest.Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// TestServerEndsWithTheProgramThatStartedIt runs this test's binary as a
// program that starts a server and dies without cleaning up.
func TestServerEndsWithTheProgramThatStartedIt(t *testing.T) {
	if os.Getenv("VAULTTEST_DIE") != "" {
		s, err := vaulttest.New(context.Background(), vaulttest.Options{Dir: os.Getenv("VAULTTEST_DIE")})
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString("\nurl=" + s.URL + "\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	vaulttest.StartOwn(t) // skips where VAULT_ADDR is set
	if installed, err := exec.LookPath("vault"); err == nil {
		t.Skipf("%s is used, which does not end with the program that started it", installed)
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	program.Env = append(os.Environ(), "VAULTTEST_DIE="+t.TempDir())
	out, err := program.Output()
	require.Error(t, err, "it was killed")
	_, rest, found := strings.Cut(string(out), "url=http://")
	require.True(t, found, "%s", out)
	address, _, _ := strings.Cut(rest, "\n")

	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 10*time.Second, 50*time.Millisecond)
}
