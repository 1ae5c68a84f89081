package scheme

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"crypto/rand"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// issue makes a certificate of a new SM2 key.
func issue(t *testing.T, name string, ca bool, issuer *smx509.Certificate, signer *sm2.PrivateKey, change ...func(*smx509.Certificate)) (*smx509.Certificate, *sm2.PrivateKey, []byte) {
	t.Helper()
	key, err := sm2.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &smx509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: ca, BasicConstraintsValid: true,
	}
	for _, c := range change {
		c(template)
	}
	if issuer == nil {
		issuer, signer = template, key
	}
	der, err := smx509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	require.NoError(t, err)
	return template, key, der
}

func asPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A certificate of an SM2 key in a message is taken if one of the key set's authorities has
// issued it, it is valid, and it names the subject.
func TestSM2CertificateInAMessage(t *testing.T) {
	root, rootKey, rootDER := issue(t, "CFCA ACS SM2 OCA", true, nil, nil)
	_, _, leaf := issue(t, "041@8310@中国银联股份有限公司@1", false, root, rootKey)
	plain, plainKey, plainDER := issue(t, "CFCA ACS SM2 OCA", false, nil, nil) // no authority
	_, _, byPlain := issue(t, "041@8310@中国银联股份有限公司@1", false, plain, plainKey)
	other, otherKey, _ := issue(t, "CFCA ACS SM2 OCA", true, nil, nil) // the same name, another key
	_, _, foreign := issue(t, "041@8310@中国银联股份有限公司@1", false, other, otherKey)
	set := func(ders ...[]byte) *keys.Set {
		var text []byte
		for _, der := range ders {
			text = append(text, asPEM(der)...)
		}
		s, err := keys.Parse("bank", "1", keys.Material{keys.Verify: {Text: text}})
		require.NoError(t, err)
		return s
	}
	union := []Subject{{Split: true, Field: 2, Text: "中国银联股份有限公司"}}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		text    []byte
		set     *keys.Set
		subject []Subject
		at      time.Time
		want    Reason
	}{
		"issued, PEM":                   {asPEM(leaf), set(rootDER), union, now, 0},
		"issued, bare Base64":           {[]byte(base64.StdEncoding.EncodeToString(leaf)), set(rootDER), union, now, 0},
		"the key set's own":             {asPEM(leaf), set(leaf), union, now, 0},
		"another subject":               {asPEM(leaf), set(rootDER), []Subject{{Text: "somebody"}}, now, BadSignature},
		"an authority of the same name": {asPEM(foreign), set(rootDER), union, now, BadSignature},
		"an issuer that is none":        {asPEM(byPlain), set(plainDER), union, now, BadSignature},
		"before its time":               {asPEM(leaf), set(rootDER), union, now.AddDate(-1, 0, 0), BadSignature},
		"after its time":                {asPEM(leaf), set(rootDER), union, now.AddDate(1, 0, 0), BadSignature},
		"cut off":                       {asPEM(leaf[:len(leaf)-1]), set(rootDER), union, now, BadSignature},
		"its last byte changed":         {asPEM(append(leaf[:len(leaf)-1:len(leaf)-1], leaf[len(leaf)-1]^1)), set(rootDER), union, now, BadSignature},
		"no certificate in the key set": {asPEM(leaf), new(keys.Set), union, now, NeedsKeys},
	} {
		_, fingerprint, err := (&Certificate{Text: c.text, Subject: c.subject}).verify(c.set, c.at)
		assert.Equal(t, c.want, ReasonOf(err), "%s: %v", name, err)
		if c.want == 0 {
			assert.Len(t, fingerprint, 64, name)
		}
	}
	assert.Len(t, set(rootDER, leaf).VerifyKeys(""), 1, "the issuer of a chain does not verify in the leaf's place")
}

// Behind a certificate of an SM2 key its authorities may stand. One with limits that
// the message's certificate does not keep issues nothing.
func TestSM2ChainInAMessage(t *testing.T) {
	root, rootKey, rootDER := issue(t, "root", true, nil, nil)
	set, err := keys.Parse("bank", "1", keys.Material{keys.Verify: {Text: asPEM(rootDER)}})
	require.NoError(t, err)
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(*smx509.Certificate)
		want   Reason
	}{
		"an authority":        {func(*smx509.Certificate) {}, 0},
		"that is none":        {func(c *smx509.Certificate) { c.IsCA = false }, BadSignature},
		"that signs no other": {func(c *smx509.Certificate) { c.KeyUsage = smx509.KeyUsageDigitalSignature }, BadSignature},
		"that has ended":      {func(c *smx509.Certificate) { c.NotAfter = now.AddDate(0, -1, 0) }, BadSignature},
		"with an extension that must be understood": {func(c *smx509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 156, 1}, Critical: true, Value: []byte{5, 0}}}
		}, BadSignature},
		"for other names": {func(c *smx509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"a.example"}
		}, BadSignature},
	} {
		between, betweenKey, betweenDER := issue(t, "between", true, root, rootKey, c.change)
		_, _, leaf := issue(t, "bank", false, between, betweenKey, func(c *smx509.Certificate) { c.DNSNames = []string{"b.example"} })
		_, _, err := (&Certificate{Text: append(asPEM(leaf), asPEM(betweenDER)...)}).verify(set, now)
		assert.Equal(t, c.want, ReasonOf(err), "%s: %v", name, err)
	}
	short, shortKey, shortDER := issue(t, "short", true, root, rootKey, func(c *smx509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	between, betweenKey, betweenDER := issue(t, "between", true, short, shortKey)
	_, _, leaf := issue(t, "bank", false, between, betweenKey)
	_, _, err = (&Certificate{Text: append(append(asPEM(leaf), asPEM(betweenDER)...), asPEM(shortDER)...)}).verify(set, now)
	assert.Equal(t, BadSignature, ReasonOf(err), "more authorities than one of them allows: %v", err)
}
