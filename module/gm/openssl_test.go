package gm

import (
	"crypto/ecdsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openssl runs OpenSSL 3 in a directory of its own.
func openssl(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	command := exec.Command("openssl", args...)
	command.Dir = dir
	return command.CombinedOutput()
}

// What OpenSSL signs and encrypts is read here, and the other way round; the
// keys are exchanged both ways too.
func TestOpenSSL(t *testing.T) {
	dir := t.TempDir()
	if out, err := openssl(t, dir, "genpkey", "-algorithm", "SM2", "-out", "theirs.pem"); err != nil {
		t.Skipf("no openssl with SM2 on PATH: %v %s", err, out)
	}
	run := func(args ...string) {
		t.Helper()
		out, err := openssl(t, dir, args...)
		require.NoError(t, err, "openssl %s: %s", strings.Join(args, " "), out)
	}
	read := func(name string) []byte {
		t.Helper()
		out, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return out
	}
	write := func(name string, data []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	run("pkey", "-in", "theirs.pem", "-pubout", "-out", "theirs.pub.pem")
	mine := mustKey(t)
	der, err := MarshalPrivateKey(mine)
	require.NoError(t, err)
	write("mine.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	run("pkey", "-in", "mine.pem", "-pubout", "-out", "mine.pub.pem")

	text := []byte("a=1&b=2&金额=0.01")
	write("text", text)
	for _, name := range []string{"theirs", "mine"} {
		key, err := ParsePrivateKey(read(name + ".pem"))
		require.NoError(t, err)
		public, err := ParsePublicKey(read(name + ".pub.pem"))
		require.NoError(t, err)
		require.True(t, public.Equal(key.Public()))

		for _, uid := range []string{DefaultUID, "N002990000000000"} {
			run("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", name+".pem", "-in", "text", "-out", "sig", "-pkeyopt", "distid:"+uid)
			require.True(t, Verify(public, []byte(uid), text, read("sig")))
			require.False(t, Verify(public, []byte("another"), text, read("sig")))

			signature, err := Sign(key, []byte(uid), text)
			require.NoError(t, err)
			write("sig", signature)
			run("pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin", "-inkey", name+".pub.pem", "-in", "text", "-sigfile", "sig", "-pkeyopt", "distid:"+uid)
			_, err = openssl(t, dir, "pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin", "-inkey", name+".pub.pem", "-in", "text", "-sigfile", "sig", "-pkeyopt", "distid:another")
			require.Error(t, err)
		}

		run("pkeyutl", "-encrypt", "-pubin", "-inkey", name+".pub.pem", "-in", "text", "-out", "sealed")
		got, err := Decrypt(key, read("sealed"), C1C3C2)
		require.NoError(t, err)
		require.Equal(t, text, got)

		sealed, err := Encrypt(key.Public().(*ecdsa.PublicKey), text, ASN1)
		require.NoError(t, err)
		write("sealed", sealed)
		run("pkeyutl", "-decrypt", "-inkey", name+".pem", "-in", "sealed", "-out", "opened")
		require.Equal(t, text, read("opened"))
	}
}
