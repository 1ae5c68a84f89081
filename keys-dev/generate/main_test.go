package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys/devkeys"
)

// The keys in the repository are those that the product warns of, and each
// says what it is.
func TestCommittedKeysAreKnown(t *testing.T) {
	for _, side := range []string{"../merchant", "../provider"} {
		files := keyFiles(t, side)
		require.Len(t, files, 11)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			sum, _ := sumOf(t, file)
			assert.True(t, devkeys.Known(sum), file)
			if filepath.Base(file) == "secret" {
				assert.True(t, bytes.HasPrefix(content, []byte("dev-only-")), file)
			} else {
				assert.True(t, bytes.HasPrefix(content, []byte(marker)), file)
			}
		}
	}
	assert.False(t, devkeys.Known(hexSum([]byte("another key"))))
	assert.False(t, devkeys.Known(""))
}

// Each side holds the other half of what its peer holds.
func TestSidesMatch(t *testing.T) {
	peers := map[string]string{
		"sign.pem": "verify.pem", "verify.pem": "sign.pem",
		"encrypt.pem": "decrypt.pem", "decrypt.pem": "encrypt.pem",
		"secret": "secret",
	}
	for _, file := range keyFiles(t, "../merchant") {
		reference, err := filepath.Rel("../merchant", filepath.Dir(file))
		require.NoError(t, err)
		role := filepath.Base(file)
		peer := filepath.Join("../provider", reference, peers[role])
		sum, private := sumOf(t, file)
		peerSum, peerPrivate := sumOf(t, peer)
		assert.Equal(t, sum, peerSum, file)
		if role != "secret" {
			assert.NotEqual(t, private, peerPrivate, file)
			assert.Equal(t, role == "sign.pem" || role == "decrypt.pem", private, file)
		}
	}
}

// A new run makes the same files, and no key twice.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.go")
	require.NoError(t, generate(dir, list))
	source, err := os.ReadFile(list)
	require.NoError(t, err)
	sums := map[string]bool{}
	for _, side := range []string{merchant, provider} {
		for _, file := range keyFiles(t, filepath.Join(dir, side)) {
			sum, _ := sumOf(t, file)
			sums[sum] = true
			assert.Contains(t, string(source), sum, file)
			assert.False(t, devkeys.Known(sum), "%s is not new", file)
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), file)
		}
	}
	assert.Len(t, sums, 11)
}

func TestGenerateSaysWhatFailed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, merchant), nil, 0o600))
	err := generate(dir, filepath.Join(dir, "list.go"))
	require.ErrorContains(t, err, "easypay/ORG000000000007")
	assert.NoFileExists(t, filepath.Join(dir, "list.go"))
}

func keyFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// sumOf returns the fingerprint of a key file and whether it is private.
func sumOf(t *testing.T, file string) (sum string, private bool) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	if filepath.Base(file) == "secret" {
		return hexSum(bytes.TrimSuffix(content, []byte("\n"))), true
	}
	block, rest := pem.Decode(content)
	require.NotNil(t, block, file)
	require.Empty(t, rest, file)
	if block.Type == "PUBLIC KEY" {
		_, err := x509.ParsePKIXPublicKey(block.Bytes)
		require.NoError(t, err, file)
		return hexSum(block.Bytes), false
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err, file)
	public, err := x509.MarshalPKIXPublicKey(key.(*rsa.PrivateKey).Public())
	require.NoError(t, err)
	return hexSum(public), true
}
