package command_test

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A secret that is sent as a token may be signed as well. --explain shows it nowhere.
func TestExplainShowsNoToken(t *testing.T) {
	const secret = "s3cr3t-of-the-merchant"
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "acme", "M1"), 0o700))
	for role, text := range map[string]string{"secret": secret, "secret@mac": "another-secret-of-the-merchant"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "M1", role), []byte(text), 0o600))
	}
	recipe := filepath.Join(dir, "acme.caddyfile")
	require.NoError(t, os.WriteFile(recipe, []byte(`recipe acme {
	text all {
		sorted body except sign
	}
	request {
		token header.X-Api-Key {secret}
		token body.appKey {secret}
		sign body.sign hmac-sha256 hex "{header.X-Api-Key}\n{text.all}" {
			key secret@mac
		}
	}
}
`), 0o600))
	got := caddy(t, `{"order":"1"}`, "seal", "--recipe", recipe, "--scheme", "acme", "--keys", dir, "--ref", "acme/M1", "--explain")
	require.Equal(t, 0, got.status, got.stderr)
	assert.Contains(t, got.stdout, secret, "it is what is sent")
	assert.NotContains(t, got.stderr, secret)
	assert.Contains(t, got.stderr, "appKey={secret}&order=1")
}

// With "as wire" an answer is printed as it came, as the application gets it.
func TestOpenPrintsWhatCame(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "acme"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "secret"), []byte("s3cr3t"), 0o600))
	recipe := filepath.Join(dir, "acme.caddyfile")
	for receive, want := range map[string]string{"form": `{"a":"1 2","sign":"`, "form as wire": "a=1+2&sign="} {
		require.NoError(t, os.WriteFile(recipe, []byte(`recipe acme {
	answer {
		receive `+receive+`
		verify body.sign hmac-md5 hex "{body.a}"
	}
}
`), 0o600))
		h := hmac.New(md5.New, []byte("s3cr3t"))
		h.Write([]byte("1 2"))
		got := caddy(t, "a=1+2&sign="+hex.EncodeToString(h.Sum(nil)), "open", "--recipe", recipe, "--scheme", "acme", "--keys", dir, "--ref", "acme")
		require.Equal(t, 0, got.status, got.stderr)
		assert.True(t, strings.HasPrefix(got.stdout, want), got.stdout)
	}
}
