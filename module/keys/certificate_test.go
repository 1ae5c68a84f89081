package keys

import (
	"crypto/rand"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/gm"
)

// An SM2 authority beside a leaf that another one has issued verifies nothing either.
func TestAnSM2AuthorityThatDidNotIssueTheLeaf(t *testing.T) {
	certify := func(name string, ca bool) string {
		key, err := gm.GenerateKey()
		require.NoError(t, err)
		template := &smx509.Certificate{SerialNumber: big.NewInt(3), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: ca}
		template.Subject.CommonName = name
		der, err := smx509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		return block("CERTIFICATE", der)
	}
	leaf, authority := certify("leaf", false), certify("authority", true)
	for _, text := range []string{leaf + authority, authority + leaf} {
		set := parse(t, map[Role]string{Verify: text})
		require.Len(t, set.VerifyKeys(""), 1)
		assert.Len(t, set.SM2Roots(), 2, "it may end a chain")
		names := make(map[string]bool)
		for _, c := range set.Certificates() {
			names[c.Subject] = c.Authority
		}
		assert.Equal(t, map[string]bool{"leaf": false, "authority": true}, names)
	}
	assert.Len(t, parse(t, map[Role]string{Verify: authority}).VerifyKeys(""), 1, "it is all there is")
}

func TestCertificatesSayWhoseTheyAreAndWhatToAskFor(t *testing.T) {
	now := time.Now()
	root, middle, leaf := chain(t)
	expired := block("CERTIFICATE", certificate(&one().PublicKey, one(), now.Add(-24*time.Hour)))
	set := parse(t, map[Role]string{
		Verify: leaf + middle + root, "verify@1": expired, Encrypt: expired,
		Sign: block("PRIVATE KEY", pkcs8(one())) + expired,
	})
	assert.NoError(t, set.Need(Verify, Encrypt, Sign), "they serve")
	assert.Empty(t, set.Warnings)

	found := make(map[string]Certificate)
	for _, c := range set.Certificates() {
		found[string(c.Role)+" "+c.Subject] = c
	}
	require.Len(t, found, 6)
	for name, want := range map[string]struct {
		state        Validity
		name, advice string
	}{
		"verify leaf":       {ExpiresSoon, "the provider's certificate \"leaf\"", "put it beside this one"},
		"verify middle":     {ExpiresSoon, "the authority's certificate \"middle\"", "of its authority"},
		"verify root":       {ExpiresSoon, "the authority's certificate \"root\"", "of its authority"},
		"verify@1 provider": {Expired, "the provider's certificate \"provider\", serial 01", "put it beside this one"},
		"encrypt provider":  {Expired, "the provider's certificate", "in the place of this one"},
		"sign provider":     {Expired, "your own certificate", "have a new one issued"},
	} {
		c, ok := found[name]
		require.True(t, ok, name)
		assert.Equal(t, want.state, c.At(now), name)
		assert.Contains(t, c.Name().String(), want.name)
		assert.Contains(t, c.Advice(now).String(), want.advice, name)
	}
	c := found["verify leaf"]
	c.Starts = now.Add(time.Hour)
	assert.Equal(t, NotYet, c.At(now))
	assert.Contains(t, c.Words(now).String(), "not valid before")
	assert.Contains(t, c.Advice(now).String(), "the clock")
	c.Starts, c.Until = now, now.AddDate(1, 0, 0)
	assert.Equal(t, Valid, c.At(now))
	assert.True(t, c.Advice(now).IsZero())
}
