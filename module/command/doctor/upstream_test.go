package doctor_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/keysource"
)

func provider(t *testing.T, date func() string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if assert.Equal(t, http.MethodHead, r.Method) {
			assert.Empty(t, r.Header.Get("Sign"))
		}
		if date != nil {
			w.Header()["Date"] = []string{date()}
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAnUpstreamThatAnswers(t *testing.T) {
	server := provider(t, nil)
	findings := examine(t, sidecar(merchant(t, easypayRef), server.Listener.Addr().String(), ""))
	assert.Empty(t, failures(findings))
	assert.Contains(t, find(t, findings, "upstream", "").Reason, "answers HEAD with 404")
	assert.Equal(t, keysource.OK, find(t, findings, "clock", "").Status)
	assert.Equal(t, keysource.OK, find(t, findings, "roles", easypayRef).Status)
	assert.Equal(t, keysource.OK, find(t, findings, "file permissions", easypayRef).Status)
	assert.Contains(t, find(t, findings, "development keys", easypayRef).Reason, "this machine only")
}

func TestTheClock(t *testing.T) {
	dir := merchant(t, easypayRef)
	for name, test := range map[string]struct {
		off    time.Duration
		status keysource.Status
		reason string
	}{
		"right":                {0, keysource.OK, "agree"},
		"a little behind":      {time.Minute, keysource.Warning, "behind"},
		"a little ahead":       {-time.Minute, keysource.Warning, "ahead"},
		"hours behind":         {8 * time.Hour, keysource.Failure, "behind"},
		"ahead by a whole day": {-24 * time.Hour, keysource.Failure, "ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			server := provider(t, func() string { return time.Now().Add(test.off).UTC().Format(http.TimeFormat) })
			f := find(t, examine(t, sidecar(dir, server.Listener.Addr().String(), "")), "clock", "")
			assert.Equal(t, test.status, f.Status)
			assert.Contains(t, f.Reason, test.reason)
		})
	}
	server := provider(t, func() string { return "yesterday" })
	assert.Equal(t, keysource.Warning, find(t, examine(t, sidecar(dir, server.Listener.Addr().String(), "")), "clock", "").Status)
}

func TestAnUpstreamThatCannotBeReached(t *testing.T) {
	dir := merchant(t, easypayRef)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	f := find(t, examine(t, sidecar(dir, address, "")), "upstream", address)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "connection refused")

	socket := filepath.Join(t.TempDir(), "p.sock")
	f = find(t, examine(t, sidecar(dir, "unix/"+socket, "")), "upstream", socket)
	assert.Equal(t, keysource.Failure, f.Status)

	f = find(t, examine(t, sidecar(dir, "{env.PROVIDER}:443", "allow_plaintext_upstream")), "upstream", "{env.PROVIDER}")
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, "placeholder")
}

// tlsProvider returns a provider with a certificate of its own authority, which is
// in the file that it returns.
func tlsProvider(t *testing.T, left time.Duration, names ...string) (address, authority string) {
	t.Helper()
	key, der := newCertificate(t, left, names)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return server.Listener.Addr().String(), authority
}

func trusting(authority string) string {
	return fmt.Sprintf("http {\n tls_trust_pool file %s\n }", authority)
}

func TestTheCertificateOfAnUpstream(t *testing.T) {
	dir := merchant(t, easypayRef)

	address, authority := tlsProvider(t, 365*24*time.Hour)
	findings := examine(t, sidecar(dir, "https://"+address, trusting(authority)))
	assert.Empty(t, failures(findings))
	assert.Contains(t, find(t, findings, "TLS certificate", address).Reason, "valid until")

	// Nobody knows its authority.
	f := find(t, examine(t, sidecar(dir, "https://"+address, "")), "TLS certificate", address)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "unknown authority")

	findings = examine(t, sidecar(dir, "https://"+address, "http {\n tls_insecure_skip_verify\n }"))
	f = find(t, findings, "TLS", address)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "tls_insecure_skip_verify")

	address, authority = tlsProvider(t, 9*24*time.Hour+time.Hour)
	f = find(t, examine(t, sidecar(dir, "https://"+address, trusting(authority))), "TLS certificate", address)
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, "in 9 days")

	address, authority = tlsProvider(t, -time.Hour)
	f = find(t, examine(t, sidecar(dir, "https://"+address, trusting(authority))), "TLS certificate", address)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "expired")
	assert.Contains(t, f.Advice, `tell the provider that the certificate "provider" of its server has expired`)
}

// A port that is excepted from TLS is asked without.
func TestAPortWithoutTLS(t *testing.T) {
	server := provider(t, nil)
	address := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	findings := examine(t, sidecar(merchant(t, easypayRef), "https://"+address, "http {\n tls_except_ports "+port+"\n }"))
	assert.Empty(t, failures(findings))
	assert.Contains(t, find(t, findings, "upstream", address).Reason, "answers HEAD")
}

func TestTheClientCertificate(t *testing.T) {
	dir := merchant(t, easypayRef)
	address, authority := tlsProvider(t, 365*24*time.Hour)
	key, der := newCertificate(t, 5*24*time.Hour+time.Hour, nil)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o644))

	findings := examine(t, sidecar(dir, "https://"+address, fmt.Sprintf("http {\n tls_trust_pool file %s\n tls_client_auth %s %s\n }", authority, certFile, keyFile)))
	f := find(t, findings, "client certificate", certFile)
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, "in 5 days")
	assert.Equal(t, keysource.Warning, find(t, findings, "file permissions", keyFile).Status)
}

// nameserver answers every question for an address with 127.0.0.1 if the name
// is known, and with "no such name" otherwise.
func nameserver(t *testing.T, known string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	encoded := []byte{}
	for label := range strings.SplitSeq(known, ".") {
		encoded = append(append(encoded, byte(len(label))), label...)
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := buffer[:n]
			end := 12 + bytes.IndexByte(question[12:], 0) + 5
			answer := append([]byte{}, question[:end]...)
			answer[2], answer[3] = 0x81, 0x80            // an answer, recursion available
			copy(answer[6:12], []byte{0, 0, 0, 0, 0, 0}) // no records
			isA := answer[end-3] == 1
			switch {
			case !bytes.Equal(question[12:12+len(encoded)], encoded):
				answer[3] |= 3 // no such name
			case isA:
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestAPublicUpstream(t *testing.T) {
	dir := merchant(t, easypayRef)
	address, authority := tlsProvider(t, 365*24*time.Hour, "provider.example")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	resolver := nameserver(t, "provider.example")
	options := fmt.Sprintf("http {\n tls_trust_pool file %s\n resolvers %s\n }", authority, resolver)

	findings := examineWith(t, sidecar(dir, "https://provider.example:"+port, options), doctor.Options{Online: true})
	assert.Contains(t, find(t, findings, "upstream", "provider.example").Reason, "answers HEAD")
	f := find(t, findings, "development keys", easypayRef)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "everybody has")

	findings = examineWith(t, sidecar(dir, "https://misspelt.example:"+port, options), doctor.Options{Online: true})
	f = find(t, findings, "name", "misspelt.example")
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "no such host")
}

// An upstream is asked the way that payments reach it: with the same version of HTTP,
// and any of a name's addresses.
func TestAnUpstreamIsAskedAsPaymentsAre(t *testing.T) {
	protocols := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocols <- r.Proto }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	dir, upstream := merchant(t, easypayRef), "https://"+server.Listener.Addr().String()
	for options, want := range map[string]string{"": "HTTP/1.1", "versions 2": "HTTP/2.0"} {
		findings := examine(t, sidecar(dir, upstream, "http {\n tls_trust_pool file "+file+"\n "+options+"\n }"))
		assert.Empty(t, failures(findings))
		require.NotEmpty(t, protocols)
		assert.Equal(t, want, <-protocols)
	}
}

// The doctor tries what reaches an old server, and names it.
func TestAnOldServer(t *testing.T) {
	for name, c := range map[string]struct {
		server *tls.Config
		option string
	}{
		"RSA key exchange": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, "legacy_tls rsa"},
		"TLS 1.0":          {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "legacy_tls 1.0"},
		"3DES":             {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}}, "legacy_tls 3des"},
		"3DES and RSA":     {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, "legacy_tls rsa 3des"},
		"both":             {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, "legacy_tls 1.0 rsa"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.TLS = c.server
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			file := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
			dir, upstream := merchant(t, easypayRef), "https://"+server.Listener.Addr().String()
			f := find(t, examine(t, sidecar(dir, upstream, trusting(file))), "TLS", "")
			assert.Equal(t, keysource.Failure, f.Status)
			assert.Contains(t, f.Reason, "succeeds with "+c.option+",")
			assert.Empty(t, failures(examine(t, sidecar(dir, upstream, c.option+"\n"+trusting(file)))))
		})
	}
}

// The doctor distinguishes a server that requires a client certificate from one that has
// only old TLS versions, even if the alert is the same.
func TestAServerThatAsksForAClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	f := find(t, examine(t, sidecar(merchant(t, easypayRef), "https://"+server.Listener.Addr().String(), trusting(file))), "TLS", "")
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "it has asked for a client certificate")
	assert.Contains(t, f.Advice, "tls_client_auth")
}
