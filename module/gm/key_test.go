package gm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrivateKeyForms(t *testing.T) {
	key, public := standardKey(t)
	pkcs8, err := MarshalPrivateKey(key)
	require.NoError(t, err)
	sec1, err := smx509.MarshalSM2PrivateKey(key.(*sm2.PrivateKey))
	require.NoError(t, err)
	asPEM := func(label string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	for name, form := range map[string][]byte{
		"bytes": standardD, "hex": []byte(hex.EncodeToString(standardD)), "HEX": []byte(" " + strings.ToUpper(hex.EncodeToString(standardD)) + "\n"),
		"PKCS #8": pkcs8, "SEC 1": sec1, "PKCS #8, PEM": asPEM("PRIVATE KEY", pkcs8), "SEC 1, PEM": asPEM("EC PRIVATE KEY", sec1),
		"SEC 1 as openssl writes it": slices.Concat(asPEM("SM2 PARAMETERS", []byte{6, 0}), asPEM("SM2 PRIVATE KEY", sec1)),
	} {
		got, err := ParsePrivateKey(form)
		require.NoError(t, err, name)
		assert.True(t, public.Equal(got.Public()), name)
	}

	number := func(n *big.Int) []byte { return fill(n) }
	inSEC1 := func(d []byte) []byte { return bytes.Replace(sec1, standardD, d, 1) }
	n := curveN()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	require.NoError(t, err)
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	nistDER, err := x509.MarshalPKCS8PrivateKey(nist)
	require.NoError(t, err)
	nistSEC1, err := x509.MarshalECPrivateKey(nist)
	require.NoError(t, err)
	for name, form := range map[string][]byte{
		"nothing": nil, "zero": make([]byte, 32), "n-1": number(new(big.Int).Sub(n, big.NewInt(1))), "n": number(n), "ones": bytes.Repeat([]byte{0xff}, 32),
		"zero in SEC 1": inSEC1(make([]byte, 32)), "n-1 in SEC 1": inSEC1(number(new(big.Int).Sub(n, big.NewInt(1)))), "n in SEC 1": inSEC1(number(n)),
		"31 bytes": standardD[1:], "33 bytes": append([]byte{0}, standardD...), "63 digits": []byte(hex.EncodeToString(standardD)[1:]),
		"RSA": rsaDER, "NIST P-256": nistDER, "NIST P-256 in SEC 1": nistSEC1, "cut": pkcs8[:len(pkcs8)-1], "a public key": standardX[:16],
	} {
		got, err := ParsePrivateKey(form)
		require.ErrorIs(t, err, errNotSM2, name)
		assert.Nil(t, got)
		assert.NotContains(t, err.Error(), hex.EncodeToString(standardD)[2:10])
	}
}

func TestPublicKeyForms(t *testing.T) {
	_, public := standardKey(t)
	point := slices.Concat([]byte{4}, standardX, standardY)
	spki, err := MarshalPublicKey(public)
	require.NoError(t, err)
	for name, form := range map[string][]byte{
		"65 bytes": point, "64 bytes": point[1:], "65 in hex": []byte(hex.EncodeToString(point)), "64 in hex": []byte(strings.ToUpper(hex.EncodeToString(point[1:])) + "\r\n"),
		"SPKI": spki, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
	} {
		got, err := ParsePublicKey(form)
		require.NoError(t, err, name)
		assert.True(t, public.Equal(got), name)
		assert.True(t, IsPublicKey(got))
	}
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	nistDER, err := x509.MarshalPKIXPublicKey(&nist.PublicKey)
	require.NoError(t, err)
	for name, form := range map[string][]byte{
		"nothing": nil, "NIST P-256": nistDER, "63 bytes": point[2:], "a private key": standardD, "cut": spki[:len(spki)-1], "longer": append(slices.Clone(spki), 0),
	} {
		_, err := ParsePublicKey(form)
		require.ErrorIs(t, err, errNotSM2, name)
	}
}

// CFCA's own test file, under its password.
func TestCFCA(t *testing.T) {
	text, err := os.ReadFile("testdata/cfca-test.sm2")
	require.NoError(t, err)
	der, err := base64.StdEncoding.DecodeString(string(text))
	require.NoError(t, err)
	assert.True(t, IsCFCA(der))
	for name, form := range map[string][]byte{"Base64": text, "DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "CFCA KEY", Bytes: der})} {
		key, certificate, err := ParseCFCA(form, []byte("123456"))
		require.NoError(t, err, name)
		assert.True(t, certificate.PublicKey.Equal(key.Public()))
		assert.Equal(t, "CFCA TEST SM2 OCA1", certificate.Issuer.CommonName)
		want, err := ParsePrivateKey([]byte("d3f24d61bb2816882b8474b778dd7c3166d665f9455dc9d551c989c161e76ab0"))
		require.NoError(t, err)
		assert.True(t, certificate.PublicKey.Equal(want.Public()))
	}
	for _, password := range []string{"", "1", "12345", "1234567", "123456 "} {
		key, _, err := ParseCFCA(der, []byte(password))
		assert.Equal(t, errCFCA, err)
		assert.Nil(t, key)
	}
	// One password in 256 gives good padding and too long a number, on which the
	// library panics.
	for i := range 2000 {
		_, _, err := ParseCFCA(der, big.NewInt(int64(i)).Bytes())
		require.Equal(t, errCFCA, err)
	}
	at := bytes.Index(der, []byte{4, 0x30}) // the ciphertext of 48 bytes
	require.Positive(t, at)
	for i := range der {
		_, _, err := ParseCFCA(der[:i], []byte("123456"))
		require.Equal(t, errCFCA, err)
	}
	assert.False(t, IsCFCA(der[:100]))
	spki, err := MarshalPublicKey(mustKey(t).Public().(*ecdsa.PublicKey))
	require.NoError(t, err)
	assert.False(t, IsCFCA(spki))
}

func mustKey(t testing.TB) PrivateKey {
	t.Helper()
	key, err := GenerateKey()
	require.NoError(t, err)
	return key
}

func TestCertificates(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	issue := func(name string, key, parentKey PrivateKey, parent *smx509.Certificate, ca bool) (*Certificate, *smx509.Certificate) {
		template := &smx509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
			IsCA: ca, BasicConstraintsValid: true,
		}
		if parent == nil {
			parent = template
		}
		der, err := smx509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		require.NoError(t, err)
		c, err := ParseCertificate(der)
		require.NoError(t, err)
		return c, c.parsed
	}
	rootKey, middleKey, leafKey, otherKey := mustKey(t), mustKey(t), mustKey(t), mustKey(t)
	root, rootParsed := issue("root", rootKey, rootKey, nil, true)
	middle, middleParsed := issue("middle", middleKey, rootKey, rootParsed, true)
	leaf, _ := issue("leaf", leafKey, middleKey, middleParsed, false)
	other, _ := issue("root", otherKey, otherKey, nil, true)
	few := func(c ...*Certificate) []*Certificate { return c }

	assert.Equal(t, "leaf", leaf.Subject.CommonName)
	assert.True(t, leaf.PublicKey.Equal(leafKey.Public()))
	require.NoError(t, leaf.Verify(few(root), few(middle), now))
	require.Error(t, leaf.Verify(few(root), nil, now), "a link is missing")
	require.Error(t, leaf.Verify(few(other), few(middle), now), "another root of the same name")
	require.Error(t, leaf.Verify(nil, few(root, middle), now), "no root: the system's are not used")
	require.Error(t, leaf.Verify(few(root), few(middle), now.AddDate(2, 0, 0)), "expired")
	require.Error(t, leaf.Verify(few(root), few(middle), now.AddDate(-2, 0, 0)), "not yet valid")

	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &rsaKey.PublicKey, rsaKey)
	require.NoError(t, err)
	_, err = ParseCertificate(der)
	require.ErrorIs(t, err, errNotSM2)
	_, err = ParseCertificate(der[:20])
	require.Error(t, err)

	request, err := NewCertificateRequest(&x509.CertificateRequest{Subject: pkix.Name{CommonName: "M1"}}, leafKey)
	require.NoError(t, err)
	parsed, err := smx509.ParseCertificateRequest(request)
	require.NoError(t, err)
	require.NoError(t, parsed.CheckSignature())
	assert.Equal(t, "M1", parsed.Subject.CommonName)
}
