package proxy_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// A server that refuses the client's certificate under TLS 1.3 says so after the
// request may have left. It has given the request to nobody: not_sent, and the alert
// by its name.
func TestRefusedClientCertificates(t *testing.T) {
	ca, other := testcaddy.NewCA(t), testcaddy.NewCA(t)
	server := ca.Issue(t, "provider")
	expired := ca.Issue(t, "expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})
	foreign := other.Issue(t, "foreign")
	for name, c := range map[string]struct{ client, alert string }{
		"none":              {"", "certificate_required"},
		"expired":           {"tls_client_auth " + expired.CertFile + " " + expired.KeyFile, "certificate_expired"},
		"of another issuer": {"tls_client_auth " + foreign.CertFile + " " + foreign.KeyFile, "unknown_ca"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, proto := range []string{"1.1", "2"} {
				t.Run(name+" "+tls.VersionName(version)+" "+proto, func(t *testing.T) {
					p := testcaddy.NewTLSProvider(t, &tls.Config{
						Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool,
						MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"},
					}, func(c *testcaddy.Conn) {
						conn := c.Conn.(*tls.Conn)
						assert.Error(t, conn.Handshake())
						_, _ = io.Copy(io.Discard, conn.NetConn()) // so that the alert arrives, and no reset
					})
					s := startSidecar(t, "https://"+p.Address, "timeout 10s\nhttp {\n tls_trust_pool file "+ca.File+"\n versions "+proto+"\n "+c.client+"\n}")
					got := s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "TLS alert"))
					if version == tls.VersionTLS13 {
						assert.Contains(t, got["detail"], c.alert)
					}
				})
			}
		}
	}
}

// serverCertificate makes a certificate with a key of its own, signed by the parent
// or by itself.
func serverCertificate(t *testing.T, template, parent *x509.Certificate, key, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(0x7f01020304050607)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

// trust writes certificates into a file.
func trust(t *testing.T, certificates ...*x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// Servers that are old, or not set up well: what is wrong is named, nothing is sent,
// and the option that is named reaches the server, where there is one.
func TestServersThatCannotBeReached(t *testing.T) {
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	key := newECKey(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	plain := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a"}, IPAddresses: local, IsCA: true, BasicConstraintsValid: true}, nil, private, nil)
	commonName := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}, IsCA: true, BasicConstraintsValid: true}, nil, key, nil)
	otherName := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"other.example"}, IsCA: true, BasicConstraintsValid: true}, nil, key, nil)

	rootKey, middleKey := newECKey(t), newECKey(t)
	root := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, rootKey, nil)
	middle := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, root, middleKey, rootKey)
	leaf := serverCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, IPAddresses: local}, middle, key, middleKey)
	negative := bytes.Replace(leaf.Raw, []byte{2, 8, 0x7f, 1, 2, 3, 4, 5, 6, 7}, []byte{2, 8, 0xff, 1, 2, 3, 4, 5, 6, 7}, 1)

	rsaOnly := []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	chain := func(key any, certificates ...[]byte) []tls.Certificate {
		return []tls.Certificate{{Certificate: certificates, PrivateKey: key}}
	}
	for name, c := range map[string]struct {
		server *tls.Config
		trust  *x509.Certificate
		detail string
		with   string // what reaches it; "" for nothing
		inside bool   // with stands in the block http
	}{
		"TLS 1.0":                 {&tls.Config{Certificates: chain(private, plain.Raw), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, plain, "legacy_tls 1.0", "legacy_tls 1.0", false},
		"TLS 1.1":                 {&tls.Config{Certificates: chain(private, plain.Raw), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, plain, "legacy_tls 1.0", "legacy_tls 1.0", false},
		"RSA key exchange":        {&tls.Config{Certificates: chain(private, plain.Raw), MaxVersion: tls.VersionTLS12, CipherSuites: rsaOnly}, plain, "handshake_failure", "legacy_tls rsa", false},
		"3DES":                    {&tls.Config{Certificates: chain(private, plain.Raw), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, plain, "handshake_failure", "legacy_tls rsa 3des", false},
		"no intermediate":         {&tls.Config{Certificates: chain(key, leaf.Raw)}, root, "no intermediate certificate", "tls_trust_pool", true},
		"the wrong intermediate":  {&tls.Config{Certificates: chain(key, leaf.Raw, leaf.Raw)}, root, "no intermediate certificate", "tls_trust_pool", true},
		"an unknown authority":    {&tls.Config{Certificates: chain(key, leaf.Raw, middle.Raw)}, plain, "unknown authority; a private one", "", false},
		"a name in CN only":       {&tls.Config{Certificates: chain(key, commonName.Raw)}, commonName, "Common Name only", "", false},
		"another name":            {&tls.Config{Certificates: chain(key, otherName.Raw)}, otherName, "for another name", "tls_server_name other.example", true},
		"a negative serial":       {&tls.Config{Certificates: chain(key, negative)}, leaf, "x509negativeserial=1", "", false},
		"a key that does not fit": {&tls.Config{Certificates: chain(rootKey, leaf.Raw, middle.Raw)}, root, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := providerKeys(t)
			p := testcaddy.NewTLSProvider(t, c.server, func(conn *testcaddy.Conn) {
				if r := conn.Request(); r != nil {
					conn.Answer(200, closing, easypayAnswer(d, r, "").Body)
				}
			})
			options := func(outer, inner string, more ...*x509.Certificate) string {
				return outer + "\nhttp {\n tls_trust_pool file " + trust(t, append(more, c.trust)...) + "\n" + inner + "\n}"
			}
			s := startSidecar(t, "https://"+p.Address, options("", ""))
			s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, c.detail))
			switch {
			case c.with == "":
				return
			case c.with == "tls_trust_pool":
				s = startSidecar(t, "https://"+p.Address, options("", "", middle))
			case c.inside:
				s = startSidecar(t, "https://"+p.Address, options("", c.with))
			default:
				s = startSidecar(t, "https://"+p.Address, options(c.with, ""))
			}
			s.ok(t, s.post(sample(t)))
		})
	}
}

// A box on the way that drops a ClientHello of more than one packet.
func TestLargeClientHelloIsDropped(t *testing.T) {
	ca := testcaddy.NewCA(t)
	d := providerKeys(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return
		}
		if int(head[3])<<8|int(head[4]) > 1400 {
			_, _ = io.Copy(io.Discard, c.Conn)
			return
		}
		conn := tls.Server(&replayed{Conn: c.Conn, head: bytes.NewReader(head)}, config)
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		text, _ := io.ReadAll(r.Body)
		answer := easypayAnswer(d, &testcaddy.Received{Target: r.RequestURI, Header: r.Header, Body: text}, "").Body
		_ = (&http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)), Close: true}).Write(conn)
		_ = conn.Close()
	})
	s := startSidecar(t, "https://"+p.Address, "dial_timeout 2s\nhttp {\n tls_trust_pool file "+ca.File+"\n}")
	s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "tls_curves x25519"))
	s = startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n tls_curves x25519 secp256r1\n}")
	s.ok(t, s.post(sample(t)))
}

// replayed is a connection of which a part was read.
type replayed struct {
	net.Conn
	head *bytes.Reader
}

func (r *replayed) Read(p []byte) (int, error) {
	if r.head.Len() > 0 {
		return r.head.Read(p)
	}
	return r.Conn.Read(p)
}

// A proxy on the way that refuses is named with its status, and nothing was sent.
func TestProxyThatRefuses(t *testing.T) {
	for status, detail := range map[string]string{
		"407 Proxy Authentication Required": "407 Proxy Authentication Required",
		"403 Forbidden":                     "403 Forbidden",
		"502 planted words":                 "",
	} {
		t.Run(status, func(t *testing.T) {
			p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c.Conn)); err == nil {
					c.Print("HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
				}
			})
			s := startSidecar(t, "https://127.0.0.1:1", "http {\n network_proxy url http://"+p.Address+"\n}")
			got := s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, detail))
			assert.NotContains(t, got["detail"], "planted")
		})
	}
}
