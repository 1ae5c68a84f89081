package keyscmd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := Command()
	cmd.SilenceUsage = true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	err = cmd.Execute()
	return out.String(), problems.String(), err
}

// tool runs openssl or keytool in a folder.
func tool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed")
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x", "-set_serial", "0x0A1B", "-days", "30")
	tool(t, dir, "openssl", "pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-out", "new.pfx", "-passout", "pass:p4ss")
	tool(t, dir, "openssl", "pkcs12", "-export", "-legacy", "-inkey", "key.pem", "-in", "cert.pem", "-out", "old.pfx", "-passout", "pass:p4ss")
	tool(t, dir, "openssl", "x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.cer")
	tool(t, dir, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
	require.NoError(t, os.WriteFile(file("password"), []byte("p4ss\r\n"), 0o600))
	require.NoError(t, os.WriteFile(file("wrong"), []byte("other"), 0o600))
	text, err := os.ReadFile(file("cert.pem"))
	require.NoError(t, err)
	var wide []byte
	for _, b := range append([]byte{}, text...) {
		wide = append(wide, b, 0)
	}
	require.NoError(t, os.WriteFile(file("utf16.cer"), append([]byte{0xff, 0xfe}, wide...), 0o600))
	cases := map[string]string{
		"new.pfx": "sign", "old.pfx": "sign", "key.der": "sign", "key.pem": "sign",
		"cert.cer": "verify", "cert.pem": "encrypt", "utf16.cer": "verify",
	}
	if _, err := exec.LookPath("keytool"); err == nil {
		tool(t, dir, "keytool", "-importkeystore", "-srckeystore", "new.pfx", "-srcstoretype", "PKCS12", "-srcstorepass", "p4ss", "-destkeystore", "x.jks", "-deststoretype", "JKS", "-deststorepass", "p4ssw0", "-destkeypass", "p4ssw0", "-noprompt")
		require.NoError(t, os.WriteFile(file("jkspassword"), []byte("p4ssw0"), 0o600))
		cases["x.jks"] = "sign"
	}
	var prints []string
	for name, role := range cases {
		password := "password"
		if name == "x.jks" {
			password = "jkspassword"
		}
		to := []string{"import", "--role", role, "--dir", file("keys"), "--ref", "pay/" + strings.ReplaceAll(name, ".", "-"), "--password-file", file(password), file(name)}
		out, _, err := run(t, to...)
		require.NoError(t, err, name)
		assert.Contains(t, out, role+" RSA 2048 bits", name)
		if strings.Contains(name, "pfx") || strings.Contains(name, "cer") {
			assert.Contains(t, out, "serial 0A1B", name)
		}
		_, print, _ := strings.Cut(out, "fingerprint ")
		prints = append(prints, print[:64])
		path := filepath.Join(dir, "keys", "pay", strings.ReplaceAll(name, ".", "-"), role+".pem")
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.EqualValues(t, 0o600, info.Mode().Perm())
		info, err = os.Stat(filepath.Dir(path))
		require.NoError(t, err)
		assert.EqualValues(t, 0o700, info.Mode().Perm())

		_, _, err = run(t, to...)
		require.ErrorContains(t, err, "--force")
		_, _, err = run(t, append(to, "--force")...)
		require.NoError(t, err)
	}
	for _, print := range prints {
		assert.Equal(t, prints[0], print, "one key, in every form")
	}
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "x", "--password-file", file("wrong"), file("new.pfx"))
	require.ErrorContains(t, err, "the password is wrong")
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "x", "--password-file", file("nosuch"), file("key.pem"))
	require.ErrorContains(t, err, "reading the password", "although the key needs none")
	// A password that a shell hands over, <(…), can be read once only.
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close() //nolint:errcheck // it is read to its end
	_, err = writer.WriteString("p4ss\n")
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "pay/pipe", "--password-file", "/dev/fd/"+strconv.Itoa(int(reader.Fd())), file("new.pfx"))
	require.NoError(t, err)
	_, _, err = run(t, "import", "--role", "verify", "--dir", file("keys"), "--ref", "x", file("key.pem"))
	require.ErrorContains(t, err, "must never be here")
	_, _, err = run(t, "import", "--role", "nonsense", "--dir", file("keys"), "--ref", "x", file("key.pem"))
	require.ErrorContains(t, err, "no such role")
	_, _, err = run(t, "import", "--role", "sign", "--dir", file("keys"), "--ref", "../x", file("key.pem"))
	require.ErrorContains(t, err, "--ref")
	assert.NoDirExists(t, file("keys/x"))
}

// A key comes from standard input too, such as out of another program.
func TestImportFromStandardInput(t *testing.T) {
	dir := t.TempDir()
	for ref, file := range map[string][]string{"dash": {"-"}, "nothing": nil} {
		cmd := Command()
		cmd.SetArgs(append([]string{"import", "--role", "secret", "--dir", dir, "--ref", ref}, file...))
		cmd.SetIn(strings.NewReader("0123456789abcdef\n"))
		cmd.SetOut(new(bytes.Buffer))
		require.NoError(t, cmd.Execute(), ref)
		secret, err := os.ReadFile(filepath.Join(dir, ref, "secret"))
		require.NoError(t, err, ref)
		assert.Equal(t, "0123456789abcdef", string(secret), ref)
	}
	cmd := Command()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{"import", "--role", "sign", "--dir", dir, "--ref", "x"})
	cmd.SetIn(strings.NewReader("no key"))
	require.ErrorContains(t, cmd.Execute(), "standard input")
}

func TestNewAndShow(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range [][]string{{"--bits", "2048"}, {"--sm2"}} {
		ref := "pay/" + strings.Trim(kind[0], "-")
		out, _, err := run(t, append([]string{"new", "--dir", dir, "--ref", ref, "--csr"}, kind...)...)
		require.NoError(t, err)
		lines := strings.Split(out, "\n")
		assert.True(t, strings.HasPrefix(lines[0], "M"), "one line of Base64 first")
		assert.Contains(t, out, "-----BEGIN PUBLIC KEY-----")
		assert.Contains(t, out, "-----BEGIN CERTIFICATE REQUEST-----")
		assert.NotContains(t, out, "PRIVATE")
		_, _, err = run(t, "new", "--dir", dir, "--ref", ref)
		require.ErrorContains(t, err, "--force")

		shown, _, err := run(t, "show", "--dir", dir, "--ref", ref)
		require.NoError(t, err)
		assert.Contains(t, shown, map[string]string{"--bits": "sign RSA 2048 bits", "--sm2": "sign SM2 256 bits"}[kind[0]])
		assert.NotContains(t, shown, "PRIVATE")
	}
	_, _, err := run(t, "new", "--bits", "1024", "--dir", dir, "--ref", "x")
	assert.ErrorContains(t, err, "2048 to 8192")
}

// Without permission to write the folder, such as /etc/countersign without sudo, the
// error says so.
func TestFolderWithoutPermission(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.Mkdir(dir, 0o500))
	if os.Geteuid() == 0 {
		dir = "/sys" // where not even root may
		if _, err := os.Stat("/sys/kernel"); err != nil {
			t.Skip("root may write everywhere here")
		}
	}
	_, _, err := run(t, "new", "--dir", dir, "--ref", "pay/M1")
	assert.ErrorContains(t, err, "this user may not write "+filepath.Join(dir, "pay", "M1", "sign.pem")+"; run it as the folder's owner")
}
