package gm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Certificate is an X.509 certificate of an SM2 key, which crypto/x509 does not
// read.
type Certificate struct {
	Raw             []byte // DER
	SerialNumber    *big.Int
	Subject, Issuer pkix.Name
	NotBefore       time.Time
	NotAfter        time.Time
	PublicKey       *ecdsa.PublicKey // on the curve of SM2

	parsed *smx509.Certificate
}

// ParseCertificate reads a certificate of an SM2 key in DER. Its signature is not
// checked: see [Certificate.Verify].
func ParseCertificate(der []byte) (*Certificate, error) {
	parsed, err := smx509.ParseCertificate(der)
	if err != nil {
		return nil, i18n.Errorf("reading the certificate: %w", err)
	}
	return newCertificate(parsed)
}

func newCertificate(c *smx509.Certificate) (*Certificate, error) {
	key, err := publicKey(c.PublicKey)
	if err != nil {
		return nil, i18n.Errorf("reading the certificate: %w", err)
	}
	return &Certificate{c.Raw, c.SerialNumber, c.Subject, c.Issuer, c.NotBefore, c.NotAfter, key, c}, nil
}

// Verify checks that a chain leads from c to one of the roots at the given time. The
// system's roots are never used. The key usage of c is not checked: payment
// certificates rarely have one.
func (c *Certificate) Verify(roots, intermediates []*Certificate, at time.Time) error {
	if len(roots) == 0 {
		return i18n.Errorf("verifying the certificate: no root is given") // a nil pool would be the system's
	}
	_, err := c.parsed.Verify(smx509.VerifyOptions{
		Roots: pool(roots), Intermediates: pool(intermediates), CurrentTime: at,
		KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny},
	})
	if err != nil {
		return i18n.Errorf("verifying the certificate: %w", err)
	}
	return nil
}

// Issued reports whether c is an authority's certificate, and its key has signed that
// of other.
func (c *Certificate) Issued(other *Certificate) bool {
	return c.parsed.IsCA && bytes.Equal(c.parsed.RawSubject, other.parsed.RawIssuer) &&
		c.parsed.CheckSignature(other.parsed.SignatureAlgorithm, other.parsed.RawTBSCertificate, other.parsed.Signature) == nil
}

// IsAuthority reports whether the basic constraints of c say that it is an authority's
// certificate.
func (c *Certificate) IsAuthority() bool { return c.parsed.BasicConstraintsValid && c.parsed.IsCA }

// SignsCertificates reports whether c is an authority's certificate that says so of
// its key, or names another issuer.
func (c *Certificate) SignsCertificates() bool {
	return c.IsAuthority() && (c.parsed.KeyUsage&smx509.KeyUsageCertSign != 0 || !bytes.Equal(c.parsed.RawIssuer, c.parsed.RawSubject))
}

// ValidAt reports whether a time is within the certificate's period of validity.
func (c *Certificate) ValidAt(at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}

func pool(certificates []*Certificate) *smx509.CertPool {
	out := smx509.NewCertPool()
	for _, c := range certificates {
		out.AddCert(c.parsed)
	}
	return out
}
