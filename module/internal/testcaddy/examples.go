package testcaddy

import (
	"os"
	"path/filepath"
	"testing"
)

// Examples lets every Caddyfile in caddyfiles/ load: it makes what an operator has
// made before, such as certificates, and names it in the environment.
func Examples(t *testing.T) {
	t.Helper()
	ca := NewCA(t)
	leaf := ca.Issue(t, "server")
	dir := filepath.Dir(leaf.CertFile)
	for name, file := range map[string]string{
		"people.pem": ca.File, "callers.pem": ca.File,
		"ca.crt": ca.File, "tls.crt": leaf.CertFile, "tls.key": leaf.KeyFile,
	} {
		if err := os.Link(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TREASURY_TLS", dir)
	t.Setenv("PAY_TLS", dir)
	t.Setenv("KUBERNETES_ACCOUNT", dir)
	t.Setenv("TREASURY_LOGS", t.TempDir())
}
