package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// SmallHello is what helps where a box on the way drops a ClientHello that does not
// fit into one packet, which the key share of ML-KEM causes.
const SmallHello = "http { tls_curves x25519 secp256r1 }"

// describeTLS says why a handshake failed, or no text. Of the texts of crypto/tls those
// are known that hold nothing of the other side's but a number.
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
		if sent := e.UnverifiedCertificates; len(sent) > 0 && !issuerSent(sent) {
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

// issuerSent reports whether a server has sent the certificate of its certificate's
// issuer, or a certificate that is signed by itself.
func issuerSent(sent []*x509.Certificate) bool {
	return slices.ContainsFunc(sent, func(c *x509.Certificate) bool {
		return slices.Equal(c.RawSubject, sent[0].RawIssuer)
	})
}

// describeProxy says with which status an HTTP proxy refused to connect, or no text. The
// client has the proxy's own words only: those that the standard has are shown.
func describeProxy(err error) i18n.Text {
	inner := err
	for unwrapped := errors.Unwrap(inner); unwrapped != nil; unwrapped = errors.Unwrap(inner) {
		inner = unwrapped
	}
	text := inner.Error()
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	for status := 300; status < 600; status++ {
		if known := http.StatusText(status); known == "" || !strings.EqualFold(known, text) {
			continue
		}
		if status == http.StatusProxyAuthRequired {
			return i18n.T("the proxy on the way wants credentials (407 Proxy Authentication Required): give them in its address, as in http { network_proxy url http://user:password@proxy:3128 }")
		}
		return i18n.T("the proxy on the way refused to connect, with %d %s", status, http.StatusText(status))
	}
	return i18n.Text{}
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

// Legacy allows a client what crypto/tls no longer offers by itself.
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
