package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// certify replaces a file that holds the public key of the provider with one that holds
// a certificate.
func certify(t *testing.T, file string, starts, until time.Time) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(0x5eed), Subject: pkix.Name{CommonName: "pay.example"}, NotBefore: starts, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// A certificate that expires while it serves is logged then, and once, however many
// sets hold it.
func TestACertificateThatExpiresWhileItServes(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	copySet(t, filepath.Join(dir, "a"))
	certify(t, filepath.Join(dir, "a", "verify.pem"), now.Add(-time.Hour), now.Add(3*time.Second))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "b"), os.DirFS(filepath.Join(dir, "a"))))
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a", "b"))

	eventually(t, func() bool { return ready(t, address) })
	assert.Len(t, c.Logs.Message("a certificate expires soon"), 1)
	const expired = "a certificate has expired"
	assert.Empty(t, c.Logs.Message(expired))
	eventually(t, func() bool { return len(c.Logs.Message(expired)) > 0 })
	time.Sleep(500 * time.Millisecond)
	entries := c.Logs.Message(expired)
	require.Len(t, entries, 1)
	assert.Equal(t, "verify", entries[0].String("role"))
	assert.Contains(t, entries[0].String("origin"), "verify.pem")
	assert.Contains(t, entries[0].String("certificate"), `the provider's certificate "pay.example", serial 5EED`)
	assert.Contains(t, entries[0].String("advice"), "ask the provider")
	assert.True(t, ready(t, address), "it serves")

	certify(t, filepath.Join(dir, "a", "verify.pem"), now.Add(time.Hour), now.Add(90*24*time.Hour))
	eventually(t, func() bool { return len(c.Logs.Message("a certificate is not valid yet")) == 1 })
}
