package keyscmd

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A certificate that comes with its authority's, as Windows and the consoles export
// it: the key is that of the certificate, in whatever order they stand, and never
// the authority's.
func TestImportChains(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	openssl := func(args ...string) { tool(t, dir, "openssl", args...) }
	openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "30")
	openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "shop.key", "-out", "shop.csr", "-subj", "/CN=shop")
	openssl("x509", "-req", "-in", "shop.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "0x0C2D", "-days", "30", "-out", "shop.pem")
	pfx := func(name string, how ...string) {
		openssl(append([]string{"pkcs12", "-export", "-inkey", "shop.key", "-in", "shop.pem", "-certfile", "ca.pem", "-out", name, "-passout", "pass:p4ss"}, how...)...)
	}
	pfx("rc2.pfx", "-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES") // Windows up to Server 2016
	pfx("3des.pfx", "-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES")  // Windows, "TripleDES-SHA1"
	pfx("aes.pfx", "-certpbe", "AES-256-CBC", "-keypbe", "AES-256-CBC", "-macalg", "sha256", "-iter", "2000", "-CSP", "Microsoft Enhanced RSA and AES Cryptographic Provider")
	shop, err := os.ReadFile(file("shop.pem"))
	require.NoError(t, err)
	authority, err := os.ReadFile(file("ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("chain.pem"), append(shop, authority...), 0o600))
	require.NoError(t, os.WriteFile(file("reversed.pem"), append(authority, shop...), 0o600))
	openssl("crl2pkcs7", "-nocrl", "-certfile", "chain.pem", "-outform", "DER", "-out", "chain.p7b")
	require.NoError(t, os.WriteFile(file("password"), []byte("p4ss\n"), 0o600))

	read := func(name, role string) (string, error) {
		out, _, err := run(t, "import", "--role", role, "--dir", file("keys"), "--ref", "pay/"+name+"-"+role, "--password-file", file("password"), file(name))
		return out, err
	}
	want, err := read("shop.pem", "verify")
	require.NoError(t, err)
	for _, test := range [][2]string{
		{"rc2.pfx", "sign"}, {"3des.pfx", "sign"}, {"aes.pfx", "sign"},
		{"rc2.pfx", "verify"}, {"3des.pfx", "verify"}, {"aes.pfx", "verify"},
		{"chain.pem", "verify"}, {"reversed.pem", "verify"}, {"reversed.pem", "encrypt"},
	} {
		out, err := read(test[0], test[1])
		require.NoError(t, err, test)
		assert.Contains(t, out, "serial 0C2D", test)
		assert.Equal(t, printOf(t, want), printOf(t, out), "%v: the key is not the shop's", test)
	}
	_, err = read("chain.p7b", "verify")
	require.ErrorContains(t, err, "openssl pkcs7 -print_certs", "it says what to do")
}

// A key store of Java: with JKS and with PKCS #12 inside, as versions before and
// since 9 make it.
func TestImportJavaKeyStores(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("p4ssw0"), 0o600))
	for _, kind := range []string{"JKS", "PKCS12"} {
		t.Run(kind, func(t *testing.T) {
			store := filepath.Join(dir, kind+".jks")
			tool(t, dir, "keytool", "-genkeypair", "-alias", "shop", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=shop", "-storetype", kind, "-keystore", store, "-storepass", "p4ssw0", "-keypass", "p4ssw0")
			tool(t, dir, "keytool", "-exportcert", "-alias", "shop", "-keystore", store, "-storepass", "p4ssw0", "-file", kind+".cer")
			sign, _, err := run(t, "import", "--role", "sign", "--dir", dir, "--ref", kind, "--password-file", filepath.Join(dir, "password"), store)
			require.NoError(t, err)
			verify, _, err := run(t, "import", "--role", "verify", "--dir", dir, "--ref", kind, filepath.Join(dir, kind+".cer"))
			require.NoError(t, err)
			assert.Equal(t, printOf(t, verify), printOf(t, sign))
		})
	}
}

var fingerprint = regexp.MustCompile(`fingerprint [0-9a-f]{64}`)

// printOf returns the fingerprint that a command has printed.
func printOf(t *testing.T, out string) string {
	t.Helper()
	require.Regexp(t, fingerprint, out)
	return fingerprint.FindString(out)
}
