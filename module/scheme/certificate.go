package scheme

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
)

// verify checks a certificate that came with a message and returns its key. The
// check does not use x509.Certificate.Verify, which refuses SHA-1: some providers'
// authorities still sign with it.
func (c *Certificate) verify(set *keys.Set, now time.Time) (key any, fingerprint string, err error) {
	der, err := certificateDER(c.Text)
	if err != nil {
		return nil, "", Failf(BadSignature, "the certificate in the message is not valid: %w", err)
	}
	if len(set.Roots())+len(set.SM2Roots()) == 0 {
		return nil, "", Failf(NeedsKeys, "the key set has no certificate in the role verify, in which the chain of the message's certificate could end")
	}
	var name string
	var ok bool
	if leaf, sm2Err := gm.ParseCertificate(der); sm2Err == nil {
		key, name, ok = leaf.PublicKey, leaf.Subject.CommonName, trustedSM2(leaf, set.SM2Roots(), now)
	} else {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, "", Failf(BadSignature, "the certificate in the message is not valid: %w", err)
		}
		key, name, ok = leaf.PublicKey, leaf.Subject.CommonName, trusted(leaf, set.Roots(), now)
	}
	if !ok {
		return nil, "", Failf(BadSignature, "the certificate in the message was not issued by a certificate of the key set's role verify, or is not valid now")
	}
	for _, subject := range c.Subject {
		if !subject.matches(name) {
			return nil, "", Failf(BadSignature, "the certificate in the message belongs to another subject than the recipe names")
		}
	}
	return key, keys.Fingerprint(key), nil
}

// trustedSM2 is trusted for certificates of SM2 keys.
func trustedSM2(cert *gm.Certificate, own []*gm.Certificate, now time.Time) bool {
	return cert.ValidAt(now) && slices.ContainsFunc(own, func(issuer *gm.Certificate) bool {
		return bytes.Equal(cert.Raw, issuer.Raw) || issuer.ValidAt(now) && issuer.Issued(cert)
	})
}

// trusted reports whether cert is valid now, and either is one of the key set's
// certificates or was issued by one of them that is valid now.
func trusted(cert *x509.Certificate, own []*x509.Certificate, now time.Time) bool {
	if !validAt(cert, now) {
		return false
	}
	for _, issuer := range own {
		if cert.Equal(issuer) {
			return true
		}
		if issuer.IsCA && validAt(issuer, now) && bytes.Equal(issuer.RawSubject, cert.RawIssuer) &&
			issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
			return true
		}
	}
	return false
}

func validAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// certificateDER reads PEM, or the bare Base64 of a certificate.
func certificateDER(text []byte) ([]byte, error) {
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes, nil
	}
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
}

// matches reports whether a common name is the expected one.
func (s Subject) matches(name string) bool {
	if !s.Split {
		return name == s.Text
	}
	fields := strings.Split(name, "@")
	return s.Field < len(fields) && fields[s.Field] == s.Text
}
