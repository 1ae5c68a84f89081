package keyscmd

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Each form in which banks and OpenSSL hand out an SM2 key becomes the same key.
func TestImportSM2(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, dir, "openssl", "ecparam", "-name", "SM2", "-genkey", "-out", "sec1.pem")
	tool(t, dir, "openssl", "ec", "-in", "sec1.pem", "-outform", "DER", "-out", "sec1.der")
	tool(t, dir, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "pkcs8.pem")
	tool(t, dir, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-outform", "DER", "-out", "pkcs8.der")
	tool(t, dir, "openssl", "ec", "-in", "sec1.pem", "-pubout", "-out", "spki.pem")
	tool(t, dir, "openssl", "ec", "-in", "sec1.pem", "-pubout", "-outform", "DER", "-out", "spki.der")
	tool(t, dir, "openssl", "req", "-x509", "-new", "-key", "sec1.pem", "-sm3", "-sigopt", "distid:1234567812345678", "-subj", "/CN=merchant", "-set_serial", "0x0A1B", "-days", "365", "-out", "certificate.pem")
	tool(t, dir, "openssl", "x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.cer")
	tool(t, dir, "openssl", "pkcs12", "-export", "-inkey", "sec1.pem", "-in", "certificate.pem", "-out", "key.pfx", "-passout", "pass:p4ss")
	tool(t, dir, "openssl", "pkcs12", "-nodes", "-in", "key.pfx", "-passin", "pass:p4ss", "-out", "pfx.pem")
	require.NoError(t, os.WriteFile(file("password"), []byte("p4ss"), 0o600))

	text, err := os.ReadFile(file("sec1.pem"))
	require.NoError(t, err)
	key, err := gm.ParsePrivateKey(text)
	require.NoError(t, err)
	print := keys.Fingerprint(key.Public())
	sec1, err := os.ReadFile(file("sec1.der"))
	require.NoError(t, err)
	scalar := sec1[7:39] // behind the version and two headers
	spki, err := gm.MarshalPublicKey(key.Public().(*ecdsa.PublicKey))
	require.NoError(t, err)
	point := spki[len(spki)-65:]
	for name, text := range map[string]string{
		"private.hex": hex.EncodeToString(scalar), "private.HEX": strings.ToUpper(hex.EncodeToString(scalar)) + "\r\n",
		"private.b64": base64.StdEncoding.EncodeToString(scalar), "sec1.b64": base64.StdEncoding.EncodeToString(sec1),
		"point65.hex": hex.EncodeToString(point), "point64.hex": hex.EncodeToString(point[1:]),
		"point65.b64": base64.StdEncoding.EncodeToString(point), "spki.b64": base64.StdEncoding.EncodeToString(spki),
	} {
		require.NoError(t, os.WriteFile(file(name), []byte(text), 0o600))
	}

	for role, names := range map[string][]string{
		"sign":    {"sec1.pem", "sec1.der", "sec1.b64", "pkcs8.pem", "pkcs8.der", "private.hex", "private.HEX", "private.b64", "pfx.pem"},
		"decrypt": {"pkcs8.pem", "private.hex"},
		"verify":  {"spki.pem", "spki.der", "spki.b64", "certificate.pem", "certificate.cer", "point65.hex", "point64.hex", "point65.b64"},
		"encrypt": {"certificate.cer", "point65.hex"},
	} {
		for _, name := range names {
			ref := role + "/" + strings.ReplaceAll(name, ".", "-")
			out, _, err := run(t, "import", "--role", role, "--dir", file("keys"), "--ref", ref, file(name))
			require.NoError(t, err, name)
			shown, _, err := run(t, "show", "--dir", file("keys"), "--ref", ref)
			require.NoError(t, err, name)
			for _, text := range []string{out, shown} {
				assert.Contains(t, text, role+" SM2 256 bits", name)
				assert.Contains(t, text, "fingerprint "+print, "%s as %s", name, role)
				assert.NotContains(t, text, hex.EncodeToString(scalar))
			}
			if strings.HasPrefix(name, "certificate") {
				assert.Contains(t, shown, "serial 0A1B")
			}
		}
	}
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "x", "--password-file", file("password"), file("key.pfx"))
	require.ErrorContains(t, err, "openssl pkcs12 -nodes", "the error says how it is read")
	_, _, err = run(t, "import", "--role", "verify", "--dir", file("keys"), "--ref", "x", file("private.hex"))
	require.ErrorContains(t, err, "must never be here")
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "x", file("spki.pem"))
	require.ErrorContains(t, err, "needs the private one")
	assert.NoDirExists(t, file("keys/x"))
}

// CFCA's own test file (testdata/cfca-test.sm2 of the package gm), whose password
// is 123456.
func TestImportCFCA(t *testing.T) {
	const from = "../../gm/testdata/cfca-test.sm2"
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("binary.sm2"), der, 0o600))
	require.NoError(t, os.WriteFile(file("password"), []byte("123456\n"), 0o600))
	require.NoError(t, os.WriteFile(file("wrong"), []byte("1234567"), 0o600))
	var prints []string
	for role, path := range map[string]string{"sign": from, "decrypt": file("binary.sm2"), "verify": from} {
		out, _, err := run(t, "import", "--role", role, "--dir", file("keys"), "--ref", "bank/"+role, "--password-file", file("password"), path)
		require.NoError(t, err, role)
		assert.Contains(t, out, role+" SM2 256 bits serial ")
		_, print, _ := strings.Cut(out, "fingerprint ")
		prints = append(prints, print[:64])
	}
	assert.Equal(t, []string{prints[0], prints[0], prints[0]}, prints)
	written, err := os.ReadFile(file("keys/bank/sign/sign.pem"))
	require.NoError(t, err)
	block, rest := pem.Decode(written)
	require.NotNil(t, block)
	assert.Equal(t, "PRIVATE KEY", block.Type, "without its password, as the source protects it")
	assert.Contains(t, string(rest), "CERTIFICATE", "its serial is that of the certificate")

	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "x", "--password-file", file("wrong"), from)
	require.ErrorContains(t, err, "not its password")
	require.NoError(t, os.MkdirAll(file("raw/x"), 0o700))
	require.NoError(t, os.WriteFile(file("raw/x/sign.pem"), text, 0o600))
	_, _, err = run(t, "show", "--dir", file("raw"), "--ref", "x")
	assert.ErrorContains(t, err, "keys import", "a file that was only copied there is named")
}
