package keys

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// foreign says what to do with PEM blocks that hold neither a key nor a
// certificate that can be read.
var foreign = map[string]error{
	"ENCRYPTED PRIVATE KEY":   errPassPhrase,
	"OPENSSH PRIVATE KEY":     i18n.Errorf("it is an OpenSSH key; convert a copy of it with ssh-keygen -p -m PKCS8 -f FILE"),
	"CERTIFICATE REQUEST":     isRequest,
	"NEW CERTIFICATE REQUEST": isRequest,
	"PKCS7":                   isBundle,
	"PGP PUBLIC KEY BLOCK":    i18n.Errorf("it is a PGP key, which no provider uses"),
	"PGP PRIVATE KEY BLOCK":   i18n.Errorf("it is a PGP key, which no provider uses"),
}

var (
	isRequest = i18n.Errorf("it is a certificate request, not a certificate: take what the provider or the authority sent back for it")
	isBundle  = i18n.Errorf("it is a PKCS #7 bundle (.p7b); take the certificates out with openssl pkcs7 -print_certs -in FILE")
	isStore   = i18n.Errorf("it is a PKCS #12 key store (.pfx, .p12); take the key out of it with caddy countersign keys import")
)

// foreignText returns an error that names what a text is that people take for a key, or
// nil.
func foreignText(text string) error {
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "\xfe\xed\xfe\xed"):
		return i18n.Errorf("it is a Java key store (.jks); take the key out of it with caddy countersign keys import")
	case strings.HasPrefix(text, "\xce\xce\xce\xce"):
		return i18n.Errorf("it is a Java key store (.jceks); make it a .p12 with keytool -importkeystore, then caddy countersign keys import")
	case strings.HasPrefix(trimmed, "ssh-"), strings.Contains(text, "BEGIN SSH2"):
		return i18n.Errorf("it is an OpenSSH public key; convert it with ssh-keygen -e -m PKCS8 -f FILE")
	case strings.Contains(text, "<RSAKeyValue>"):
		return i18n.Errorf("it is the XML of a .NET key; export it as PEM or PKCS#8")
	case strings.HasPrefix(trimmed, "{"), strings.HasPrefix(trimmed, "<"):
		return i18n.Errorf("it is JSON or XML; take the key's text out of it")
	case strings.Contains(text, pemBegin):
		return nil
	case strings.Contains(text, "BEGIN ") && strings.Contains(text, "END "):
		return errHyphens
	case strings.Contains(text, hyphens) && strings.Contains(strings.ToUpper(text), pemBegin):
		return i18n.Errorf("its BEGIN and END lines have small letters; write them in capitals")
	case strings.Contains(text, pemEnd):
		return errIncomplete
	default:
		return nil
	}
}

// foreignDER returns an error that names what DER without a plain key is, or nil.
func foreignDER(der []byte) error {
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return isRequest
	}
	if gm.IsCFCA(der) {
		return i18n.Errorf("it is a .sm2 file of CFCA with a password; take the key out of it with caddy countersign keys import")
	}
	var outer []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || len(outer) < 2 {
		return nil //nolint:nilerr // other DER is not reported here
	}
	var version int
	var kind asn1.ObjectIdentifier
	var algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	isVersion := func() bool { _, err := asn1.Unmarshal(outer[0].FullBytes, &version); return err == nil }
	isKind := func() bool { _, err := asn1.Unmarshal(outer[0].FullBytes, &kind); return err == nil }
	isAlgorithm := func() bool { _, err := asn1.Unmarshal(outer[0].FullBytes, &algorithm); return err == nil }
	switch {
	case isVersion() && version == 3 && outer[1].Tag == asn1.TagSequence:
		return isStore
	case isKind() && strings.HasPrefix(kind.String(), "1.2.840.113549.1.7.") || strings.HasPrefix(kind.String(), "1.2.156.10197.6.1.4.2."):
		return isBundle
	case isAlgorithm() && outer[1].Tag == asn1.TagOctetString && len(outer) == 2:
		return errPassPhrase
	default:
		return nil
	}
}
