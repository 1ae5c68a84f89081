package scheme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte
}

func (a authority) issue(t *testing.T, name string, change func(*x509.Certificate)) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: chainTime.Add(-time.Hour), NotAfter: chainTime.Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

var chainTime = time.Date(2026, 11, 26, 13, 14, 15, 0, time.UTC)

func isAuthority(c *x509.Certificate) { c.IsCA = true }

// The chain of a certificate in a message may come with it. It must end in the role
// verify, and every link of it must be an authority's and valid now.
func TestTheChainOfACertificate(t *testing.T) {
	root := authority{}.issue(t, "root", isAuthority)
	between := root.issue(t, "between", isAuthority)
	lower := between.issue(t, "lower", isAuthority)
	stranger := authority{}.issue(t, "root", isAuthority)
	expired := root.issue(t, "expired", func(c *x509.Certificate) { c.IsCA, c.NotAfter = true, chainTime.Add(-time.Minute) })
	noAuthority := root.issue(t, "no authority", nil)
	noSigner := root.issue(t, "no signer", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature })
	short := root.issue(t, "short", func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = true, true })
	shortBetween := short.issue(t, "below short", isAuthority)
	named := root.issue(t, "named", func(c *x509.Certificate) { c.IsCA, c.PermittedDNSDomains = true, []string{"a.example"} })
	critical := root.issue(t, "critical", func(c *x509.Certificate) {
		c.IsCA, c.ExtraExtensions = true, []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	})
	leaf := func(a authority) []byte { return a.issue(t, "peer", nil).text }
	set, err := keys.Parse("test", "1", keys.Material{keys.Verify: {Text: root.text}})
	require.NoError(t, err)
	require.NotEmpty(t, set.Roots())
	for name, test := range map[string]struct {
		text []byte
		ok   bool
	}{
		"of the root":                {leaf(root), true},
		"with its chain":             {slices.Concat(leaf(between), between.text), true},
		"of two links, in any order": {slices.Concat(leaf(lower), between.text, lower.text), true},
		"with the root as well":      {slices.Concat(leaf(between), between.text, root.text), true},
		"name constraints":           {slices.Concat(leaf(named), named.text), false},
		"an unknown critical limit":  {slices.Concat(leaf(critical), critical.text), false},
		"without its chain":          {leaf(between), false},
		"with a half of it":          {slices.Concat(leaf(lower), lower.text), false},
		"of a stranger":              {slices.Concat(leaf(stranger), stranger.text), false},
		"behind a stranger's":        {slices.Concat(leaf(stranger), leaf(root)), false},
		"an expired link":            {slices.Concat(leaf(expired), expired.text), false},
		"of no authority":            {slices.Concat(leaf(noAuthority), noAuthority.text), false},
		"of one that may not sign":   {slices.Concat(leaf(noSigner), noSigner.text), false},
		"as long as it may be":       {slices.Concat(leaf(short), short.text), true},
		"longer than it may be":      {slices.Concat(leaf(shortBetween), shortBetween.text, short.text), false},
		"of too many":                {slices.Concat(leaf(root), root.text, root.text, root.text, root.text), false},
	} {
		key, _, err := (&Certificate{Text: test.text, Subject: []Subject{{Text: "peer"}}}).verify(set, chainTime)
		if !test.ok {
			assert.Equal(t, BadSignature, ReasonOf(err), name)
			continue
		}
		if assert.NoError(t, err, name) {
			assert.NotNil(t, key)
		}
	}
	later := root.issue(t, "peer", nil)
	_, _, err = (&Certificate{Text: later.text, Subject: []Subject{{Text: "peer"}}}).verify(set, chainTime.Add(2*time.Hour))
	assert.Equal(t, BadSignature, ReasonOf(err))
}
