package vault

import (
	"crypto"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// These tests are about what a real Vault of today does not do; the others are
// in integration/vault.

const secretToken = "hvs.that-nobody-may-see"

// against makes a source that asks a server with a token from a file.
func against(t *testing.T, address string, options ...string) *Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(secretToken+"\n"), 0o600))
	s, err := parse("vault " + address + " {\nauth token_file " + file + "\n" + strings.Join(options, "\n") + "\n}")
	require.NoError(t, err)
	require.NoError(t, provision(t, s))
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// answers returns a server that has an answer for each path.
func answers(t *testing.T, byPath map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := byPath[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"errors":[]}`
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return server
}

const self = `{"data":{"ttl":0,"renewable":false,"policies":["default"]}}`

// transitSet returns a key set that opens envelopes by Transit.
func transitSet(t *testing.T, version string) map[string]string {
	t.Helper()
	return map[string]string{
		"/v1/auth/token/lookup-self":  self,
		"/v1/secret/metadata/a":       `{"data":{"current_version":1,"versions":{"1":{"created_time":"x","deletion_time":"","destroyed":false}}}}`,
		"/v1/secret/data/a":           `{"data":{"data":{"decrypt":"transit:transit/a"},"metadata":{"version":1,"created_time":"x"}}}`,
		"/v1/transit/keys/a":          transitDescription(t),
		"/v1/sys/health":              `{"version":"` + version + `"}`,
		"/v1/sys/capabilities-self":   `{"data":{"transit/decrypt/a":["update"]}}`,
		"/v1/transit/decrypt/a":       `{"data":{"plaintext":"%%%"}}`,
		"/v1/transit/sign/a/sha2-256": `{"data":{"signature":"vault:v1:AAAA"}}`,
	}
}

func transitDescription(t *testing.T) string {
	t.Helper()
	key, err := os.ReadFile("../../../keys-dev/merchant/jeepay/M1623997351/verify.pem")
	require.NoError(t, err)
	text := string(key)
	out, err := json.Marshal(map[string]any{"data": map[string]any{
		"type": "rsa-2048", "latest_version": 1, "min_decryption_version": 1,
		"keys": map[string]any{"1": map[string]any{"public_key": text[strings.Index(text, "-----BEGIN"):]}},
	}})
	require.NoError(t, err)
	return string(out)
}

func TestDecryptingNeedsVault119(t *testing.T) {
	for version, works := range map[string]bool{
		"1.18.5": false, "1.9.0": false, "1.18.5+ent": false,
		"1.19.0": true, "1.21.0+ent": true, "2.0.0": true, "2.5.1-beta": true, "": true,
	} {
		s := against(t, answers(t, transitSet(t, version)).URL)
		set, err := s.Load(t.Context(), "a", nil)
		if works {
			require.NoError(t, err, version)
			assert.Len(t, set.Decrypt, 1)
			continue
		}
		require.ErrorContains(t, err, "needs Vault 1.19, and this is "+version, version)
	}
}

// A Vault, or something that pretends to be one, that answers nonsense makes no
// signature.
func TestAnswersOfTransitAreNotBelieved(t *testing.T) {
	byPath := transitSet(t, "1.21.0")
	byPath["/v1/secret/data/a"] = `{"data":{"data":{"sign":"transit:transit/a","decrypt":"transit:transit/a"},"metadata":{"version":1,"created_time":"x"}}}`
	s := against(t, answers(t, byPath).URL)
	set, err := s.Load(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = set.Sign.Signer.Sign(nil, make([]byte, 32), crypto.SHA256)
	require.EqualError(t, err, "vault's answer holds no good signature")
	_, err = set.Sign.Signer.Sign(nil, make([]byte, 20), crypto.SHA1)
	require.ErrorContains(t, err, "SHA-256 only")
	_, err = set.Decrypt[0].Decrypter.Decrypt(nil, []byte("x"), nil)
	require.EqualError(t, err, "vault's answer holds no plaintext")
}

func TestKeysThatAreTooSmallForTransitNameKV(t *testing.T) {
	byPath := transitSet(t, "1.21.0")
	small, err := os.ReadFile("../../../keys-dev/merchant/easypay/ORG000000000007/verify.pem")
	require.NoError(t, err)
	text := string(small)
	description, err := json.Marshal(map[string]any{"data": map[string]any{
		"type": "rsa-2048", "latest_version": 1, "min_decryption_version": 1,
		"keys": map[string]any{"1": map[string]any{"public_key": text[strings.Index(text, "-----BEGIN"):]}},
	}})
	require.NoError(t, err)
	byPath["/v1/transit/keys/a"] = string(description)
	_, err = against(t, answers(t, byPath).URL).Load(t.Context(), "a", nil)
	require.ErrorContains(t, err, "it has 1024 bits, and Transit works with RSA from 2048; store this key in KV")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(elsewhere.Close)
	standby := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(standby.Close)
	_, err := against(t, standby.URL).Load(t.Context(), "a", nil)
	require.ErrorContains(t, err, "give the address of the active node")
	assert.Zero(t, reached.Load())
}

// Whatever the other side answers, an error quotes nothing of it, and nothing
// of the login.
func TestErrorsQuoteNothing(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("X-Vault-Token"))) },
		"quoted in an error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_ = r.Header.Write(w)
		},
		"quoted in a 404": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_ = r.Header.Write(w)
		},
		"quoted in the status line": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 " + r.Header.Get("X-Vault-Token") + "\r\n\r\n"))
				_ = conn.Close()
			}
		},
		"quoted in a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Header.Get("X-Vault-Token")+"/", http.StatusTemporaryRedirect)
		},
		"KV version 1": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(self)) },
	} {
		server := httptest.NewServer(handler)
		_, err := against(t, server.URL).Load(t.Context(), "a", nil)
		server.Close()
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "nobody-may-see", name)
	}
}

func TestKVVersion1IsNamed(t *testing.T) {
	byPath := transitSet(t, "1.21.0")
	byPath["/v1/secret/data/a"] = `{"data":{"data":{"sign":"x"}}}`
	_, err := against(t, answers(t, byPath).URL).Load(t.Context(), "a", nil)
	require.ErrorContains(t, err, "is no KV version 2 secret")
}

// The engine that is not there is a mistake in the configuration, not a key set
// that is unknown.
func TestMissingEngineIsNoUnknownReference(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/token/lookup-self" {
			_, _ = w.Write([]byte(self))
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":["no handler for route \"secret/metadata/a\". route entry not found."]}`))
	}))
	t.Cleanup(server.Close)
	_, err := against(t, server.URL).Load(t.Context(), "a", nil)
	require.ErrorContains(t, err, "vault has no engine mounted for secret/data/a; check the mount")
	require.NotErrorIs(t, err, keys.ErrUnknown)
}

func TestSocketAndNamespace(t *testing.T) {
	dir, err := os.MkdirTemp("", "vault") // short: the name of a socket has a limit
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "vault.sock"))
	require.NoError(t, err)
	var namespaces atomic.Value
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		namespaces.Store(r.Header.Get("X-Vault-Namespace") + " " + r.Header.Get("X-Vault-Token"))
		_, _ = w.Write([]byte(self))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	s := against(t, "unix://"+filepath.Join(dir, "vault.sock"), "namespace team")
	require.NoError(t, s.Probe(t.Context()))
	assert.Equal(t, "team "+secretToken, namespaces.Load())
}

// An answer without an end is not read to it.
func TestAnswersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		block := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	began := time.Now()
	_, err := against(t, server.URL).Load(t.Context(), "a", nil)
	require.Error(t, err)
	assert.Less(t, time.Since(began), requestTimeout)
}
