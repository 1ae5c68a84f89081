package doctor_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
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
			func(t *testing.T, dir string) { // others are there: without any the source itself is broken
				require.NoError(t, os.Rename(filepath.Join(dir, "easypay"), filepath.Join(dir, "other")))
			},
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
			"roles", easypayRef, keysource.Failure, "sign.pem: a PEM block is incomplete"},
		"an empty file of a role that is not needed": {
			func(t *testing.T, dir string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, easypayRef, "secret"), nil, 0o600))
			},
			"key file", easypayRef, keysource.Warning, "secret: it is empty"},
		"no key to verify with": {
			func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, key("verify")))) },
			"roles", easypayRef, keysource.Failure, "needs the role verify"},
		"a key of another kind": {
			func(t *testing.T, dir string) {
				point := "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("verify")), []byte(point), 0o600))
			},
			"roles", easypayRef, keysource.Failure, "the role verify holds a key of the kind SM2, and easypay needs one of the kind RSA"},
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
		"the own public key for what the provider decrypts": {
			func(t *testing.T, dir string) {
				text, err := os.ReadFile(filepath.Join(development, "provider", key("verify")))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("encrypt")), text, 0o600))
			},
			"key pair", easypayRef + " encrypt", keysource.Failure, "the provider could not decrypt"},
		"verify and encrypt that changed places": {
			func(t *testing.T, dir string) {
				require.NoError(t, os.Rename(filepath.Join(dir, key("verify")), filepath.Join(dir, "kept")))
				require.NoError(t, os.Rename(filepath.Join(dir, key("encrypt")), filepath.Join(dir, key("verify"))))
				require.NoError(t, os.Rename(filepath.Join(dir, "kept"), filepath.Join(dir, key("encrypt"))))
			},
			"key pair", easypayRef + " verify, encrypt", keysource.OK, "compare the fingerprints"},
		"sign and decrypt that changed places": {
			func(t *testing.T, dir string) {
				require.NoError(t, os.Rename(filepath.Join(dir, key("sign")), filepath.Join(dir, "kept")))
				require.NoError(t, os.Rename(filepath.Join(dir, key("decrypt")), filepath.Join(dir, key("sign"))))
				require.NoError(t, os.Rename(filepath.Join(dir, "kept"), filepath.Join(dir, key("decrypt"))))
			},
			"key pair", easypayRef + " sign, decrypt", keysource.OK, "compare the fingerprints"},
		"a certificate that has expired": {
			func(t *testing.T, dir string) { writeCertificate(t, filepath.Join(dir, key("verify")), -time.Hour) },
			"certificate", easypayRef + " verify", keysource.Failure, "it has expired on"},
		"the advice on an expired certificate": {
			func(t *testing.T, dir string) { writeCertificate(t, filepath.Join(dir, key("verify")), -time.Hour) },
			"certificate", easypayRef + " verify", keysource.Failure, `the provider's certificate "provider", serial 01: it has expired`},
		"a certificate that is not valid yet": {
			func(t *testing.T, dir string) {
				_, der := newCertificateFrom(t, time.Now().Add(48*time.Hour), 96*time.Hour, nil)
				require.NoError(t, os.WriteFile(filepath.Join(dir, key("verify")), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
			},
			"certificate", easypayRef + " verify", keysource.Failure, "it is not valid before"},
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
	return newCertificateFrom(t, time.Now().Add(-48*time.Hour), left, names)
}

func newCertificateFrom(t *testing.T, starts time.Time, left time.Duration, names []string) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider"}, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   starts, NotAfter: time.Now().Add(left),
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
http://:18080 {
	bind 127.0.0.1
	countersign easypay 127.0.0.1:18090 {
		keys %s
	}
}
http://:18090 {
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
