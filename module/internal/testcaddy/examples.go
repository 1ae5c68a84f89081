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
	if err := os.Rename(ca.File, filepath.Join(ca.dir, "people.pem")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TREASURY_TLS", filepath.Dir(leaf.CertFile))
	t.Setenv("TREASURY_LOGS", t.TempDir())
}
