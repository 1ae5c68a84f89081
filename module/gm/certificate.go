package gm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"
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

// ParseCertificate reads a certificate of an SM2 key in DER. Who signed it is
// not looked at: see [Certificate.Verify].
func ParseCertificate(der []byte) (*Certificate, error) {
	parsed, err := smx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return newCertificate(parsed)
}

func newCertificate(c *smx509.Certificate) (*Certificate, error) {
	key, err := publicKey(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return &Certificate{c.Raw, c.SerialNumber, c.Subject, c.Issuer, c.NotBefore, c.NotAfter, key, c}, nil
}

// Verify checks that a chain leads from c to one of the roots at the given
// time. The system's roots are never used. What c may be used for is not looked
// at: payment certificates rarely say.
func (c *Certificate) Verify(roots, intermediates []*Certificate, at time.Time) error {
	if len(roots) == 0 {
		return errors.New("verifying the certificate: no root is given") // a nil pool would be the system's
	}
	_, err := c.parsed.Verify(smx509.VerifyOptions{
		Roots: pool(roots), Intermediates: pool(intermediates), CurrentTime: at,
		KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("verifying the certificate: %w", err)
	}
	return nil
}

// Issued reports whether c is an authority's certificate, and its key has signed that
// of other.
func (c *Certificate) Issued(other *Certificate) bool {
	return c.parsed.IsCA && bytes.Equal(c.parsed.RawSubject, other.parsed.RawIssuer) &&
		c.parsed.CheckSignature(other.parsed.SignatureAlgorithm, other.parsed.RawTBSCertificate, other.parsed.Signature) == nil
}

// ValidAt reports whether a time is one of those that the certificate is made for.
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
