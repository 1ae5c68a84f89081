package scheme

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
)

// verify checks a certificate that came with a message and returns its key. For RSA the
// check does not use x509.Certificate.Verify, which refuses SHA-1: some providers'
// authorities still sign with it.
func (c *Certificate) verify(set *keys.Set, now time.Time) (key any, fingerprint string, err error) {
	ders, err := certificateDER(c.Text)
	if err != nil {
		return nil, "", Failf(BadSignature, "the certificate in the message is not valid: %w", err)
	}
	if len(set.Roots())+len(set.SM2Roots()) == 0 {
		return nil, "", Failf(NeedsKeys, "the key set has no certificate in the role verify, in which the chain of the message's certificate could end")
	}
	var name string
	var ok bool
	if all, sm2Err := parseAll(ders, gm.ParseCertificate); sm2Err == nil {
		leaf := all[0]
		key, name = leaf.PublicKey, leaf.Subject.CommonName
		ok = leaf.Verify(set.SM2Roots(), all[1:], now) == nil
	} else {
		all, err := parseAll(ders, x509.ParseCertificate)
		if err != nil {
			return nil, "", Failf(BadSignature, "the certificate in the message is not valid: %w", err)
		}
		leaf := all[0]
		key, name = leaf.PublicKey, leaf.Subject.CommonName
		ok = chained(leaf, all[1:], set.Roots(), now, 0)
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

// chained reports whether a certificate is trusted, or was issued by one of those that
// came with it and that is chained itself. below is how many authorities stand between
// it and the message's key.
func chained(cert *x509.Certificate, others, own []*x509.Certificate, now time.Time, below int) bool {
	if trusted(cert, own, now, below) {
		return true
	}
	for i, issuer := range others {
		signs := issuer.KeyUsage == 0 || issuer.KeyUsage&x509.KeyUsageCertSign != 0
		if signs && !restricted(issuer) && issued(issuer, cert, now) && chained(issuer, slices.Concat(others[:i], others[i+1:]), own, now, below+1) {
			return true
		}
	}
	return false
}

// parseAll reads certificates, that of the key first.
func parseAll[T any](ders [][]byte, parse func([]byte) (T, error)) ([]T, error) {
	all := make([]T, len(ders))
	for i, der := range ders {
		var err error
		if all[i], err = parse(der); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// trusted reports whether cert is valid now, and either is one of the key set's
// certificates or was issued by one of them that is valid now.
func trusted(cert *x509.Certificate, own []*x509.Certificate, now time.Time, below int) bool {
	if !validAt(cert, now) || below > 0 && !long(cert, below-1) {
		return false
	}
	return slices.ContainsFunc(own, func(issuer *x509.Certificate) bool {
		return cert.Equal(issuer) || issued(issuer, cert, now) && long(issuer, below)
	})
}

// issued reports whether issuer is an authority that is valid now and has issued cert.
func issued(issuer, cert *x509.Certificate, now time.Time) bool {
	return issuer.IsCA && validAt(issuer, now) &&
		bytes.Equal(issuer.RawSubject, cert.RawIssuer) &&
		issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// restricted reports whether an authority has limits that nothing here reads: name
// constraints, or a critical extension that crypto/x509 does not know.
func restricted(issuer *x509.Certificate) bool {
	return len(issuer.UnhandledCriticalExtensions) > 0 ||
		slices.ContainsFunc(issuer.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(nameConstraints) })
}

// nameConstraints is the extension of RFC 5280, section 4.2.1.10.
var nameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// long reports whether so many authorities may stand below one.
func long(issuer *x509.Certificate, below int) bool {
	limited := issuer.BasicConstraintsValid && (issuer.MaxPathLen > 0 || issuer.MaxPathLen == 0 && issuer.MaxPathLenZero)
	return !limited || below <= issuer.MaxPathLen
}

func validAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// maxCertificates bounds a chain, and the work that it makes.
const maxCertificates = 4

// certificateDER reads PEM, one certificate or those of a chain behind it, or the bare
// Base64 of one.
func certificateDER(text []byte) (ders [][]byte, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if ders = append(ders, block.Bytes); len(ders) > maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	if ders != nil {
		return ders, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	return [][]byte{der}, err
}

// matches reports whether a common name is the expected one.
func (s Subject) matches(name string) bool {
	if !s.Split {
		return name == s.Text
	}
	fields := strings.Split(name, "@")
	return s.Field < len(fields) && fields[s.Field] == s.Text
}
