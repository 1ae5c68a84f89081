package proxy_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// A client certificate that is renewed in its files is shown without a reload, over
// connections that were open as well; until both files fit, the one before it is.
func TestRenewedClientCertificate(t *testing.T) {
	const unusable = "the client certificate has changed and cannot be used; the previous one stays in use: correct the files"
	for _, proto := range []string{"1.1", "2"} {
		t.Run("HTTP "+proto, func(t *testing.T) {
			ca := testcaddy.NewCA(t)
			server, client := ca.Issue(t, "provider"), ca.Issue(t, "first")
			renewed := ca.Issue(t, "renewed")
			held := providerKeys(t)
			var name atomic.Value
			provider := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				name.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
				_, _ = w.Write(easypayAnswer(held, &testcaddy.Received{Target: r.RequestURI, Header: r.Header, Body: text}, "").Body)
			}))
			provider.EnableHTTP2 = true
			provider.TLS = &tls.Config{Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool}
			provider.StartTLS()
			defer provider.Close()
			s := startSidecar(t, provider.URL, "http {\n versions "+proto+"\n tls_trust_pool file "+ca.File+"\n tls_client_auth "+client.CertFile+" "+client.KeyFile+"\n}")
			s.ok(t, s.post(sample(t)))
			assert.Equal(t, "first", name.Load())

			copyFile(t, renewed.CertFile, client.CertFile)
			require.Eventually(t, func() bool { return len(s.Logs.Message(unusable)) > 0 }, 20*time.Second, 50*time.Millisecond)
			s.ok(t, s.post(sample(t)))
			assert.Equal(t, "first", name.Load(), "the key does not fit yet")

			copyFile(t, renewed.KeyFile, client.KeyFile)
			require.Eventually(t, func() bool {
				s.ok(t, s.post(sample(t)))
				return name.Load() == "renewed"
			}, 20*time.Second, 50*time.Millisecond)

			require.NoError(t, os.Remove(client.KeyFile))
			require.Eventually(t, func() bool { return len(s.Logs.Message(unusable)) > 1 }, 20*time.Second, 50*time.Millisecond)
			s.ok(t, s.post(sample(t)))
			assert.Equal(t, "renewed", name.Load())
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, text, 0o600))
}
