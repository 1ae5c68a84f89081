package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// SmallHello is the option with which a ClientHello fits into one packet. The key share
// of ML-KEM makes it larger, and some middleboxes drop such a ClientHello.
const SmallHello = "http { tls_curves x25519 secp256r1 }"

// describeTLS returns why a handshake failed, or the zero Text for an unknown error. It
// knows the texts of crypto/tls that quote nothing but a number of the other side.
func describeTLS(err error) i18n.Text {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return i18n.T("its TLS certificate does not verify: %v", certificateReason(e))
	}
	if alert, ok := RemoteAlert(err); ok {
		return describeAlert(alert)
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return i18n.T("the TLS handshake failed: %s", e.Error())
	}
	if Is[tls.RecordHeaderError](err) {
		return i18n.T("the TLS handshake failed: the other side does not speak TLS")
	}
	switch text := err.Error(); {
	case strings.Contains(text, "tls: server selected unsupported protocol version"):
		return i18n.T("the TLS handshake failed: it speaks TLS 1.1 or older only; legacy_tls 1.0 reaches it")
	case strings.Contains(text, "x509: negative serial number"):
		return i18n.T("its TLS certificate has a negative serial number, which is not allowed: have a new one issued; until then the environment variable GODEBUG=x509negativeserial=1 reaches it")
	case strings.Contains(text, "tls: failed to parse certificate from server"):
		return i18n.T("its TLS certificate cannot be read")
	case strings.Contains(text, "TLS handshake timeout") || strings.Contains(text, "HTTP transport TLS handshake"):
		return i18n.T("the TLS handshake timed out; if the address is right, a box on the way may drop a large ClientHello: %s makes it small", SmallHello)
	}
	return i18n.Text{}
}

// certificateReason says why a certificate does not verify, and what to change.
func certificateReason(e *tls.CertificateVerificationError) i18n.Text {
	if host, ok := errors.AsType[x509.HostnameError](e.Err); ok {
		if c := host.Certificate; c != nil && len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 && c.Subject.CommonName != "" {
			return i18n.T("it has its name in the Common Name only, which has not counted since 2000: have one issued with a Subject Alternative Name")
		}
		return i18n.T("it is for another name; where that is meant, give the name with http { tls_server_name }")
	}
	if Is[x509.UnknownAuthorityError](e.Err) {
		if sent := e.UnverifiedCertificates; Outdated(sent) {
			return i18n.T("it is signed with %s, which no client takes any more: have a new one issued", sent[0].SignatureAlgorithm.String())
		}
		if LacksIssuer(e.UnverifiedCertificates) {
			return i18n.T("it is signed by an unknown authority, and the server sends no intermediate certificate: have the server send its chain, or give the authority's certificates with http { tls_trust_pool file <file> }")
		}
		return i18n.T("it is signed by an unknown authority; a private one is given with http { tls_trust_pool file <file> }")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](e.Err); ok {
		switch c := invalid.Cert; {
		case invalid.Reason == x509.Expired && c != nil && time.Now().Before(c.NotBefore):
			return i18n.T("it is not valid yet: only from %s; look at the clock of this machine", c.NotBefore.UTC().Format(time.DateOnly))
		case invalid.Reason == x509.Expired && c != nil:
			return i18n.T("it has expired on %s", c.NotAfter.UTC().Format(time.DateOnly))
		case invalid.Reason == x509.IncompatibleUsage:
			return i18n.T("it was not issued for a server (extended key usage): have one issued for server authentication")
		}
	}
	return i18n.T("it is not valid")
}

// outdated are the signatures that crypto/x509 does not verify.
var outdated = map[x509.SignatureAlgorithm]bool{
	x509.MD2WithRSA: true, x509.MD5WithRSA: true, x509.SHA1WithRSA: true, x509.ECDSAWithSHA1: true, x509.DSAWithSHA1: true,
}

// Outdated reports whether the first of the certificates that a server has sent is
// signed with an algorithm that crypto/x509 refuses.
func Outdated(sent []*x509.Certificate) bool {
	return len(sent) > 0 && outdated[sent[0].SignatureAlgorithm]
}

// LacksIssuer reports whether a server has sent neither the certificate of its
// certificate's issuer nor one that is signed by itself.
func LacksIssuer(sent []*x509.Certificate) bool {
	return len(sent) > 0 && !slices.ContainsFunc(sent, func(c *x509.Certificate) bool {
		return slices.Equal(c.RawSubject, sent[0].RawIssuer)
	})
}

// The words of legacy_tls.
const (
	LegacyTLS10 = "1.0" // the versions 1.0 and 1.1
	LegacyRSA   = "rsa" // RSA key exchange, without forward secrecy
	Legacy3DES  = "3des"
)

// CheckLegacy refuses words that legacy_tls does not have.
func CheckLegacy(words []string) error {
	for _, word := range words {
		if word != LegacyTLS10 && word != LegacyRSA && word != Legacy3DES {
			return i18n.Errorf("legacy_tls takes 1.0, rsa and 3des, not %q", word)
		}
	}
	return nil
}

// Legacy allows a client the outdated parts of TLS that words names, which crypto/tls
// does not offer by default.
func Legacy(config *tls.Config, words []string) {
	if slices.Contains(words, LegacyTLS10) {
		config.MinVersion = tls.VersionTLS10
	}
	triple, rsa := slices.Contains(words, Legacy3DES), slices.Contains(words, LegacyRSA)
	if !triple && !rsa && !slices.Contains(words, LegacyTLS10) {
		return
	}
	config.CipherSuites = nil
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		keyExchange, is3DES := strings.HasPrefix(suite.Name, "TLS_RSA_"), strings.Contains(suite.Name, "3DES")
		if strings.Contains(suite.Name, "RC4") || keyExchange && !rsa || is3DES && !triple {
			continue
		}
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
}
