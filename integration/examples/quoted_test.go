package examples_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

// ownKeys returns a folder of key sets as an operator has them: none is of keys-dev.
func ownKeys(t *testing.T, references ...string) string {
	t.Helper()
	files := map[string][]byte{"secret": []byte("0123456789abcdef0123456789abcdef\n")}
	for _, side := range [][2]string{{"sign", ""}, {"decrypt", ""}, {"", "verify"}, {"", "encrypt"}} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		if side[0] != "" {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			require.NoError(t, err)
			files[side[0]+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			continue
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		require.NoError(t, err)
		files[side[1]+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	dir := filepath.Join(process.Folder(t), "keys")
	for _, reference := range references {
		write(t, filepath.Join(dir, reference), files)
	}
	return dir
}

func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
}

var (
	quoted  = regexp.MustCompile("(?s)```caddyfile\n(.*?)```\n")
	keyFile = regexp.MustCompile(`keys file \S+`)
)

// What the pages quote as a whole configuration, and what the pods of Kubernetes
// get, is clean to the doctor once the keys lie where it names them.
func TestWhatIsQuoted(t *testing.T) {
	found := make(map[string]map[string][]byte) // the files of each configuration
	for _, page := range []string{"README.md", "README.zh-CN.md", "module/recipe/README.md"} {
		text, err := os.ReadFile(filepath.Join(process.Repository, page))
		require.NoError(t, err)
		for _, block := range quoted.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(block[1], "{\n") {
				assert.Nil(t, found[page], "two whole configurations in %s: name them apart here", page)
				found[page] = map[string][]byte{"Caddyfile": []byte(block[1])}
			}
		}
		assert.NotNil(t, found[page], "%s quotes no whole configuration", page)
	}
	for name, folders := range map[string][]string{
		"kubernetes, keys in Vault":    {"component", "example"},
		"kubernetes, keys in a Secret": {"component", "component-secret", "example-secret"},
	} {
		found[name] = make(map[string][]byte)
		for _, folder := range folders {
			maps.Copy(found[name], configuration(t, filepath.Join(process.Repository, "integration/kubernetes", folder)))
		}
	}

	keys := ownKeys(t, "easypay/ORG000000000007", "jeepay/M1623997351", "acme/M1")
	for name, files := range found {
		t.Run(name, func(t *testing.T) {
			dir := process.Folder(t)
			for file, text := range files {
				files[file] = keyFile.ReplaceAll(text, []byte("keys file "+keys))
			}
			write(t, dir, files)
			doctor := process.Command(t, dir, "countersign", "doctor", "--config", "Caddyfile")
			doctor.Dir = dir
			out, err := doctor.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), " 0 failures")
			assert.Contains(t, string(out), "beyond this machine and was not asked", "it says what it has left out")
		})
	}
}

// configuration returns the files of a folder that belong to a Caddyfile.
func configuration(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := make(map[string][]byte)
	for _, entry := range entries {
		if name := entry.Name(); name == "Caddyfile" || filepath.Ext(name) == ".caddyfile" || filepath.Ext(name) == ".pem" {
			files[name], err = os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
		}
	}
	return files
}
