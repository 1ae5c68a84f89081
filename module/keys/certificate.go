package keys

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// expiresSoon is how long before its expiry a certificate is reported: providers need
// days to issue a new one.
const expiresSoon = 30 * 24 * time.Hour

// Validity says whether a certificate is valid at a given time.
type Validity string

// The values of Validity.
const (
	Valid       Validity = "valid"
	ExpiresSoon Validity = "expires soon"
	Expired     Validity = "expired"
	NotYet      Validity = "not yet valid"
)

// Certificate is the part of a certificate in a set that logs and the doctor show.
type Certificate struct {
	Role          Role
	Origin        string // where it came from
	Subject       string // its common name, else its organization
	Issuer        string // that of its issuer
	Serial        string // upper-case hex
	Own           bool   // it stands beside an own private key
	Authority     bool   // its key verifies certificates only
	Starts, Until time.Time
	Digest        [sha256.Size]byte // of the whole certificate
}

// At returns the validity of the certificate at a time.
func (c Certificate) At(now time.Time) Validity {
	switch {
	case now.After(c.Until):
		return Expired
	case now.Before(c.Starts):
		return NotYet
	case c.Until.Sub(now) < expiresSoon:
		return ExpiresSoon
	}
	return Valid
}

// Name returns a phrase that identifies the certificate.
func (c Certificate) Name() i18n.Text {
	switch {
	case c.Own:
		return i18n.T("your own certificate %q, serial %s, issued by %q", c.Subject, c.Serial, c.Issuer)
	case c.Authority:
		return i18n.T("the authority's certificate %q, serial %s", c.Subject, c.Serial)
	}
	return i18n.T("the provider's certificate %q, serial %s", c.Subject, c.Serial)
}

// Words returns a clause about the validity of the certificate at a time, such as "it
// has expired on 2026-01-31".
func (c Certificate) Words(now time.Time) i18n.Text {
	until := c.Until.UTC().Format(time.DateOnly)
	switch c.At(now) {
	case Expired:
		return i18n.T("it has expired on %s", until)
	case NotYet:
		return i18n.T("it is not valid before %s", c.Starts.UTC().Format(time.DateOnly))
	case ExpiresSoon:
		return i18n.T("it expires on %s, in %d days", until, int(c.Until.Sub(now).Hours()/24))
	}
	return i18n.T("it is valid until %s", until)
}

// Advice returns what to do about a certificate that is not simply valid, and what
// works until then. For a valid one it returns the zero Text.
func (c Certificate) Advice(now time.Time) i18n.Text {
	plain, _ := c.Role.Split()
	switch {
	case c.At(now) == Valid:
		return i18n.Text{}
	case c.At(now) == NotYet:
		return i18n.T("look at the clock of this machine; if that is right, ask whoever gave you the certificate from when on it is used")
	case c.Own:
		return i18n.T("have a new one issued for the same key, or for a new key, and give the provider its serial number: it may refuse what is signed with this one")
	case c.Authority:
		return i18n.T("ask the provider for the certificate of its authority that follows this one, and put it beside this one: a certificate in a message that only this one has issued is refused from its end on")
	case plain == Encrypt:
		return i18n.T("ask the provider for the certificate with which it decrypts now, and put it in the place of this one; the sidecar uses this one until then")
	}
	return i18n.T("ask the provider for the certificate that follows this one, and put it beside this one; the sidecar takes what its key has signed until this one is removed")
}

// Certificates returns those in which the keys of a set came, each role for itself, and
// those of authorities beside them.
func (s *Set) Certificates() []Certificate { return s.certificates }

// collect finds what Certificates returns.
func (s *Set) collect() []Certificate {
	var out []Certificate
	add := func(c Certificate) {
		if !slices.ContainsFunc(out, func(o Certificate) bool { return o.Role == c.Role && o.Digest == c.Digest }) {
			out = append(out, c)
		}
	}
	for _, id := range append([]string{""}, s.ids()...) {
		of := s
		if id != "" {
			of = s.Named[id]
		}
		for _, key := range append(slices.Clone(of.Verify), optional(of.Encrypt)...) {
			role := Verify
			if key == of.Encrypt {
				role = Encrypt
			}
			if c, ok := ReadCertificate(key.CertificateDER); ok {
				c.Role, c.Origin = role.With(id), key.Origin
				add(c)
			}
		}
		for i, key := range append(optional(of.Sign), of.Decrypt...) {
			role := Decrypt
			if i == 0 && key == of.Sign {
				role = Sign
			}
			if c, ok := ReadCertificate(key.Certificate); ok {
				c.Role, c.Origin, c.Own = role.With(id), key.Origin, true
				add(c)
			}
		}
		for _, key := range of.authorities {
			if c, ok := ReadCertificate(key.CertificateDER); ok {
				c.Role, c.Origin, c.Authority = Verify.With(id), key.Origin, true
				add(c)
			}
		}
	}
	return out
}

// ReadCertificate reads what may be shown of a certificate.
func ReadCertificate(der []byte) (Certificate, bool) {
	if len(der) == 0 {
		return Certificate{}, false
	}
	name := func(common string, organization []string) string {
		if common == "" && len(organization) > 0 {
			return organization[0]
		}
		return common
	}
	digest := sha256.Sum256(der)
	if c, err := x509.ParseCertificate(der); err == nil {
		return Certificate{
			Subject: name(c.Subject.CommonName, c.Subject.Organization), Issuer: name(c.Issuer.CommonName, c.Issuer.Organization),
			Serial: hexSerial(c.SerialNumber), Starts: c.NotBefore, Until: c.NotAfter, Digest: digest,
		}, true
	}
	c, err := gm.ParseCertificate(der)
	if err != nil {
		return Certificate{}, false
	}
	return Certificate{
		Subject: name(c.Subject.CommonName, c.Subject.Organization), Issuer: name(c.Issuer.CommonName, c.Issuer.Organization),
		Serial: hexSerial(c.SerialNumber), Starts: c.NotBefore, Until: c.NotAfter, Digest: digest,
	}, true
}

// leaves returns keys without those of authorities, and those. An authority beside what
// it has issued makes a chain, and the peer signs with the leaf's key: the authority's
// must not verify in its place, whether it has issued this leaf or an earlier one.
// Where authorities are all there is, they are the peer's own, signed by themselves, as
// OpenSSL makes them by default.
func leaves(keys, all []*PublicKey) (peers, authorities []*PublicKey) {
	beside := slices.ContainsFunc(all, func(key *PublicKey) bool {
		return key.CertificateDER != nil && !key.mayIssue()
	})
	bare := slices.ContainsFunc(all, func(key *PublicKey) bool { return key.CertificateDER == nil })
	for _, key := range keys {
		if issuedAny(key.Certificate, all) || issuedSM2(key.sm2, all) || beside && key.mayIssue() || bare && key.onlyIssues() {
			authorities = append(authorities, key)
		} else {
			peers = append(peers, key)
		}
	}
	return peers, authorities
}

// mayIssue reports whether a key stands in a certificate of an authority.
func (k *PublicKey) mayIssue() bool {
	return k.Certificate != nil && k.Certificate.BasicConstraintsValid && k.Certificate.IsCA || k.sm2 != nil && k.sm2.IsAuthority()
}

// onlyIssues reports whether such a certificate says that its key signs certificates,
// or names another issuer: one that a peer made for itself does neither.
func (k *PublicKey) onlyIssues() bool {
	switch {
	case !k.mayIssue():
		return false
	case k.sm2 != nil:
		return k.sm2.SignsCertificates()
	}
	c := k.Certificate
	return c.KeyUsage&x509.KeyUsageCertSign != 0 || !bytes.Equal(c.RawIssuer, c.RawSubject)
}

// issuedSM2 is issuedAny of certificates of SM2 keys.
func issuedSM2(issuer *gm.Certificate, all []*PublicKey) bool {
	return issuer != nil && slices.ContainsFunc(all, func(key *PublicKey) bool {
		return key.sm2 != nil && !key.sm2.PublicKey.Equal(issuer.PublicKey) && issuer.Issued(key.sm2)
	})
}

func issuedAny(issuer *x509.Certificate, all []*PublicKey) bool {
	if issuer == nil {
		return false
	}
	for _, key := range all {
		c := key.Certificate
		if c == nil || !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
			continue
		}
		if bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
			continue // a self-signed certificate, or one that was renewed with the same key
		}
		// CheckSignature takes SHA-1, which the test chains of UnionPay still have.
		if issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return true
		}
	}
	return false
}
