package doctor_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
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

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/keysource"
)

const development = "../../../keys-dev"

// examine adapts and examines a Caddyfile.
func examine(t *testing.T, caddyfile string) []keysource.Finding {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(file, []byte(caddyfile), 0o600))
	config, err := doctor.Adapt(file, "")
	require.NoError(t, err)
	return doctor.Examine(t.Context(), config)
}

// find is the first finding of a check whose subject holds a text.
func find(t *testing.T, findings []keysource.Finding, check, subject string) keysource.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && strings.Contains(f.Subject, subject) {
			return f
		}
	}
	t.Fatalf("no finding of %q at %q in %v", check, subject, findings)
	return keysource.Finding{}
}

func failures(findings []keysource.Finding) []string {
	out := []string{}
	for _, f := range findings {
		if f.Status == keysource.Failure {
			out = append(out, f.Check+": "+f.Reason)
		}
	}
	return out
}

// merchant copies the development keys of a scheme to a folder of the test's
// own, which only its owner can read.
func merchant(t *testing.T, reference string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	from := filepath.Join(development, "merchant", reference)
	to := filepath.Join(dir, reference)
	require.NoError(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(from, entry.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, entry.Name()), text, 0o600))
	}
	return dir
}

const easypayRef = "easypay/ORG000000000007"

// sidecar is a configuration with one upstream.
func sidecar(dir, upstream, options string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://127.0.0.1:18080 {
	bind 127.0.0.1
	countersign easypay %s {
		keys %s
		%s
	}
}
`, dir, upstream, easypayRef, options)
}

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

func TestTheQuickstartHasNoFailure(t *testing.T) {
	t.Chdir("../../..") // where its paths begin
	config, err := doctor.Adapt("caddyfiles/quickstart.Caddyfile", "")
	require.NoError(t, err)
	findings := doctor.Examine(t.Context(), config)
	assert.Empty(t, failures(findings))
	assert.NoError(t, doctor.Err(findings))
	assert.Equal(t, keysource.OK, find(t, findings, "admin endpoint", "off").Status)
	assert.Equal(t, keysource.OK, find(t, findings, "persist_config", "").Status)
	assert.Equal(t, keysource.OK, find(t, findings, "key pair", "easypay/ORG000000000007 and provider").Status)
	assert.Equal(t, keysource.Warning, find(t, findings, "key size", "easypay").Status, "RSA-1024")
	hbsk := find(t, findings, "scheme", "hbsk")
	assert.Equal(t, keysource.Warning, hbsk.Status, "the built-in template")
	assert.Contains(t, hbsk.Reason, "not published")
	assert.Contains(t, find(t, findings, "upstream", "127.0.0.1:9090").Reason, "serves it itself")
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

func TestTheAdminEndpoint(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	base := sidecar(dir, server.Listener.Addr().String(), "")
	for name, test := range map[string]struct {
		with   string
		status keysource.Status
	}{
		"off":                       {"admin off", keysource.OK},
		"a socket for the owner":    {"admin unix//run/countersign/admin.sock|0600", keysource.OK},
		"a socket without a mode":   {"admin unix//run/countersign/admin.sock", keysource.OK},
		"a socket for the group":    {"admin unix//run/countersign/admin.sock|0660", keysource.Failure},
		"a socket for all":          {"admin unix//run/countersign/admin.sock|0666", keysource.Failure},
		"loopback":                  {"admin 127.0.0.1:2019", keysource.Failure},
		"an address of the network": {"admin 0.0.0.0:2019", keysource.Failure},
		"the default":               {"", keysource.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CADDY_ADMIN", "")
			f := find(t, examine(t, strings.Replace(base, "admin off", test.with, 1)), "admin endpoint", "")
			assert.Equal(t, test.status, f.Status, f.Reason)
		})
	}
	f := find(t, examine(t, strings.Replace(base, "persist_config off", "", 1)), "persist_config", "")
	assert.Equal(t, keysource.Warning, f.Status)
}

func TestKeysThatDoNotFit(t *testing.T) {
	server := provider(t, nil)
	upstream := server.Listener.Addr().String()
	key := func(name string) string { return filepath.Join(easypayRef, name+".pem") }
	for name, test := range map[string]struct {
		change  func(t *testing.T, dir string)
		check   string
		subject string
		status  keysource.Status
		reason  string
	}{
		"no such set": {
			func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "easypay"))) },
			"keys", easypayRef, keysource.Failure, "no such key set"},
		"a wrong file that all can write": {
			func(t *testing.T, dir string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("sign")), []byte("wrong"), 0o600))
				require.NoError(t, os.Chmod(filepath.Join(dir, key("sign")), 0o666))
			},
			"file permissions", "sign.pem", keysource.Failure, "mode 0666"},
		"no folder at all": {
			func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
			"key source", "keys file", keysource.Failure, "no such file"},
		"half a file": {
			func(t *testing.T, dir string) {
				text, err := os.ReadFile(filepath.Join(dir, key("sign")))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("sign")), text[:len(text)/2], 0o600))
			},
			"keys", easypayRef, keysource.Failure, "sign"},
		"no key to verify with": {
			func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, key("verify")))) },
			"roles", easypayRef, keysource.Failure, "needs the role verify"},
		"no key to encrypt with": {
			func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, key("encrypt")))) },
			"roles", easypayRef, keysource.Warning, "needs the role encrypt for requests with encrypted members"},
		"the own public key in the place of the provider's": {
			func(t *testing.T, dir string) {
				text, err := os.ReadFile(filepath.Join(development, "provider", key("verify")))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("verify")), text, 0o600))
			},
			"key pair", easypayRef + " verify", keysource.Failure, "your own public key"},
		"a certificate that has expired": {
			func(t *testing.T, dir string) { writeCertificate(t, filepath.Join(dir, key("verify")), -time.Hour) },
			"certificate", easypayRef + " verify", keysource.Failure, "it has expired on"},
		"a certificate that expires soon": {
			func(t *testing.T, dir string) {
				writeCertificate(t, filepath.Join(dir, key("verify")), 10*24*time.Hour+time.Hour)
			},
			"certificate", easypayRef + " verify", keysource.Warning, "in 10 days"},
		"a certificate that is valid": {
			func(t *testing.T, dir string) {
				writeCertificate(t, filepath.Join(dir, key("encrypt")), 365*24*time.Hour)
			},
			"certificate", easypayRef + " encrypt", keysource.OK, "valid until"},
		"a private key that the group can read": {
			func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, key("sign")), 0o640)) },
			"file permissions", "sign.pem", keysource.Warning, "mode 0640"},
		"a public key that all can write": {
			func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, key("verify")), 0o666)) },
			"file permissions", "verify.pem", keysource.Failure, "mode 0666"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := merchant(t, easypayRef)
			test.change(t, dir)
			findings := examine(t, sidecar(dir, upstream, ""))
			f := find(t, findings, test.check, test.subject)
			assert.Equal(t, test.status, f.Status)
			assert.Contains(t, f.Reason, test.reason)
			assert.Equal(t, test.status == keysource.OK, f.Advice == "", "whatever is not ok says what to do")
			assert.Equal(t, test.status == keysource.Failure, doctor.Err(findings) != nil)
		})
	}
}

// writeCertificate writes a certificate of a provider that expires after left.
func writeCertificate(t *testing.T, file string, left time.Duration) {
	t.Helper()
	_, der := newCertificate(t, left, nil)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

func newCertificate(t *testing.T, left time.Duration, names []string) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider"}, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return key, der
}

func TestTheSidesOfASandboxMustFit(t *testing.T) {
	dir := merchant(t, easypayRef)
	other := filepath.Join(dir, "other", easypayRef)
	require.NoError(t, os.MkdirAll(other, 0o700))
	for _, role := range []string{"sign", "verify", "encrypt", "decrypt"} {
		text, err := os.ReadFile(filepath.Join(development, "provider", easypayRef, role+".pem"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(other, role+".pem"), text, 0o600))
	}
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
		keys file %s {
			name provider
		}
	}
}
http://127.0.0.1:18080 {
	bind 127.0.0.1
	countersign easypay 127.0.0.1:18090 {
		keys %s
	}
}
http://127.0.0.1:18090 {
	bind 127.0.0.1
	countersign_sandbox easypay {
		keys provider %s
	}
}
`, dir, filepath.Join(dir, "other"), easypayRef, easypayRef)
	assert.Empty(t, failures(examine(t, config)))

	// The sandbox signs with a key that the merchant does not know.
	text, err := os.ReadFile(filepath.Join(other, "decrypt.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(other, "sign.pem"), text, 0o600))
	findings := examine(t, config)
	f := find(t, findings, "key pair", easypayRef+" and provider "+easypayRef)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "sign of provider easypay/ORG000000000007 does not belong to verify of easypay/ORG000000000007")
}

func TestAReferenceThatDependsOnTheRequest(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	config := strings.Replace(sidecar(dir, server.Listener.Addr().String(), ""), "keys "+easypayRef, "keys easypay/{body.orgId}", 1)
	findings := examine(t, config)
	assert.Empty(t, failures(findings))
	assert.Contains(t, find(t, findings, "keys", easypayRef).Reason, "they load")

	findings = examine(t, strings.Replace(config, "easypay/{body.orgId}", "nowhere/{body.orgId}", 1))
	assert.Contains(t, find(t, findings, "keys", "nowhere/").Reason, "no key set has a name that fits")
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

// tlsProvider is a provider with a certificate of its own authority, which is
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

func TestAVaultThatIsAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	server := provider(t, nil)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("hvs.secret"), 0o600))
	config := strings.Replace(sidecar("DIR", server.Listener.Addr().String(), ""), "keys file DIR",
		fmt.Sprintf("keys vault http://%s {\n kv payments\n auth token_file %s\n }", listener.Addr(), token), 1)
	findings := examine(t, config)
	f := find(t, findings, "key source", "keys vault")
	assert.Equal(t, keysource.Failure, f.Status)
	text, err := json.Marshal(findings)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hvs.secret")
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

	findings := examine(t, sidecar(dir, "https://provider.example:"+port, options))
	assert.Contains(t, find(t, findings, "upstream", "provider.example").Reason, "answers HEAD")
	f := find(t, findings, "development keys", easypayRef)
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "everybody has")

	findings = examine(t, sidecar(dir, "https://misspelt.example:"+port, options))
	f = find(t, findings, "name", "misspelt.example")
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "no such host")
}

func TestWhatAConfigurationLeavesOpen(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	upstream := server.Listener.Addr().String()
	f := find(t, examine(t, sidecar(dir, upstream, "unsigned_responses pass")), "scheme", "easypay")
	assert.Equal(t, keysource.Warning, f.Status)

	open := strings.Replace(sidecar(dir, upstream, ""), "http://127.0.0.1:18080 {\n	bind 127.0.0.1", "http://:18080 {", 1)
	f = find(t, examine(t, open), "listener", "easypay")
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, ":18080")
}

func TestANotificationHandler(t *testing.T) {
	const reference = "jeepay/M1623997351"
	dir := merchant(t, reference)
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://127.0.0.1:18085 {
	bind 127.0.0.1
	countersign_notify jeepay {
		keys %s
	}
	respond success
}
`, dir, reference)
	findings := examine(t, config)
	assert.Empty(t, failures(findings))
	assert.Equal(t, keysource.OK, find(t, findings, "roles", reference).Status)

	require.NoError(t, os.Remove(filepath.Join(dir, reference, "secret")))
	assert.Contains(t, find(t, examine(t, config), "roles", reference).Reason, "needs the role secret")
}

func TestTheLongForm(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://127.0.0.1:18080 {
	bind 127.0.0.1
	route /pay/* {
		reverse_proxy %s {
			transport countersign easypay {
				keys %s
			}
		}
	}
}
`, dir, server.Listener.Addr(), easypayRef)
	findings := examine(t, config)
	assert.Empty(t, failures(findings))
	assert.Contains(t, find(t, findings, "upstream", "").Reason, "answers HEAD")
}

func TestAConfigurationThatDoesNotLoad(t *testing.T) {
	for name, test := range map[string]struct{ json, reason string }{
		"no configuration":        {`[]`, "not a configuration of Caddy"},
		"an unknown module":       {`{"apps":{"nonsense":{}}}`, "it does not load"},
		"nothing of countersign":  {`{"apps":{"http":{}}}`, "nothing in it is of countersign"},
		"a source without folder": {`{"apps":{"countersign":{"keys":[{"source":"file"}]}}}`, "it does not load"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := doctor.Examine(t.Context(), []byte(test.json))
			f := find(t, findings, "configuration", "")
			assert.Equal(t, keysource.Failure, f.Status)
			assert.Contains(t, f.Reason, test.reason)
			assert.Error(t, doctor.Err(findings))
		})
	}
}

func TestAdapt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	for _, name := range []string{"Caddyfile", "Caddyfile.prod", "sidecar.Caddyfile"} {
		adapted, err := doctor.Adapt(write(name, ":80\n"), "")
		require.NoError(t, err, name)
		assert.True(t, json.Valid(adapted))
	}
	adapted, err := doctor.Adapt(write("caddyfile.json", `{"admin":{}}`), "")
	require.NoError(t, err)
	assert.Equal(t, `{"admin":{}}`, string(adapted))
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "caddyfile")
	assert.NoError(t, err)
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "")
	assert.ErrorContains(t, err, "--adapter")
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "yaml")
	assert.ErrorContains(t, err, `no adapter called "yaml"`)
	_, err = doctor.Adapt(filepath.Join(dir, "nowhere"), "")
	assert.ErrorContains(t, err, "reading the configuration")
	_, err = doctor.Adapt(write("Caddyfile", "nonsense {\n"), "")
	assert.ErrorContains(t, err, "adapting")
}

// No finding holds key material, whatever fails.
func TestNoFindingHoldsASecret(t *testing.T) {
	const reference = "hkrt/405544499f016a9b3d8f57000f"
	dir := merchant(t, reference)
	secret, err := os.ReadFile(filepath.Join(dir, reference, "secret"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, reference, "sign.pem"), secret, 0o666))
	server := provider(t, nil)
	config := strings.NewReplacer("countersign easypay", "countersign hkrt", easypayRef, reference).Replace(sidecar(dir, server.Listener.Addr().String(), ""))
	findings := examine(t, config)
	assert.NotEmpty(t, failures(findings))
	text, err := json.Marshal(findings)
	require.NoError(t, err)
	assert.NotContains(t, string(text), strings.TrimSpace(string(secret)))
}
