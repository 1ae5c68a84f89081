package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

const repository = "../../.."

// Whoever asks for help gets it, and no Vault.
func TestUsage(t *testing.T) {
	for argument, want := range map[string]string{
		"-h": "usage: go run ./integration/vault/demo", "--help": "usage: go run ./integration/vault/demo",
		"-x": "flag provided but not defined: -x", "start": "",
	} {
		var stderr bytes.Buffer
		err := run(t.Context(), []string{argument}, &stderr)
		require.Error(t, err)
		if want == "" {
			assert.ErrorContains(t, err, `unexpected argument "start"`)
			continue
		}
		assert.Equal(t, want[0] == 'u', errors.Is(err, flag.ErrHelp), argument)
		assert.Contains(t, stderr.String(), want)
		assert.NotContains(t, stderr.String(), "starting Vault")
	}
}

// The Caddyfile that ships, on other ports, and what the guide says of it.
func TestTheDemonstration(t *testing.T) {
	vault := vaulttest.StartOwn(t)
	dir := t.TempDir()
	require.NoError(t, seed(vault, repository, dir))
	name := filepath.Join(repository, "caddyfiles", "vault.Caddyfile")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	sidecar, watching := ":"+networktest.Port(t), ":"+networktest.Port(t)
	changed := strings.NewReplacer(
		":8080", sidecar, ":8081", watching, ":9090", ":"+networktest.Port(t), "keys-dev", filepath.Join(repository, "keys-dev"),
	).Replace(string(text))
	t.Setenv("VAULT_ADDR", "")
	t.Setenv("VAULT_LOGIN", "")
	require.NoError(t, serve(name, []byte(changed), vault.URL, dir))
	t.Cleanup(func() { assert.NoError(t, caddy.Stop()) })
	status := func(path string) int {
		res, err := http.Get("http://127.0.0.1" + watching + path)
		require.NoError(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	require.Eventually(t, func() bool { return status("/readyz") == http.StatusOK }, 10*time.Second, 20*time.Millisecond)
	post := func(path, sample string) (int, string) {
		body, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "samples", sample))
		require.NoError(t, err)
		res, err := http.Post("http://127.0.0.1"+sidecar+path, "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(answer)
	}
	easypay := func() (int, string) { return post("/easypay/ledger/mpos", "easypay.json") }
	jeepay := func() (int, string) { return post("/jeepay/api/division/exec", "jeepay-exec.json") }
	for name, exchange := range map[string]func() (int, string){"easypay": easypay, "jeepay": jeepay} {
		status, answer := exchange()
		assert.Equal(t, http.StatusOK, status, "%s: %s", name, answer)
	}

	require.NoError(t, vault.Seal())
	code, answer := easypay()
	assert.Equal(t, http.StatusOK, code, answer)
	code, answer = jeepay()
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, answer, `"reason":"signing_failed"`)
	require.NoError(t, vault.Unseal())
	code, answer = jeepay()
	assert.Equal(t, http.StatusOK, code, answer)
	assert.Equal(t, http.StatusOK, status("/livez"))
}
