package keyscmd

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// store is what a key store with a password holds.
type store struct {
	key          []byte   // PKCS #8, or nil
	certificates [][]byte // DER, the key's own first
}

// private returns the key with its own certificate, for sign and decrypt.
func (s store) private() ([]byte, error) {
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: s.key})
	if len(s.certificates) > 0 {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificates[0]})...)
	}
	return keys.Normalize(text)
}

// public returns the certificates, for verify and encrypt.
func (s store) public() []byte {
	var text []byte
	for _, der := range s.certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

// openStore opens data if it is a key store.
func openStore(data []byte, password func() ([]byte, error)) (found store, isStore bool, err error) {
	open := openPKCS12
	der := data
	if decoded, err := keys.DecodeBase64(data); err == nil {
		der = decoded
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		open, der = openJKS, data
	case gm.IsCFCA(der):
		open = openCFCA
	case !keys.IsPKCS12(der):
		return store{}, false, nil
	}
	secret, err := password()
	if err != nil {
		return store{}, true, err
	}
	found, err = open(der, secret)
	return found, true, err
}

func openPKCS12(data, password []byte) (store, error) {
	key, leaf, issuers, err := pkcs12.DecodeChain(data, string(password))
	if err == nil {
		der, err := keys.MarshalPrivateKey(key)
		if err != nil {
			return store{}, err
		}
		found := store{key: der, certificates: [][]byte{leaf.Raw}}
		for _, issuer := range issuers {
			found.certificates = append(found.certificates, issuer.Raw)
		}
		return found, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return store{}, i18n.Errorf("the password is wrong")
	}
	if strings.Contains(err.Error(), "unsupported elliptic curve") { // the package has no error value for it
		return store{}, i18n.Errorf("the key in the PKCS #12 key store is an SM2 key, or one on another curve, which is not read from there; take it out with `openssl pkcs12 -nodes -in FILE -out key.pem` and import key.pem")
	}
	trusted, errTrust := pkcs12.DecodeTrustStore(data, string(password))
	if errTrust != nil && strings.Contains(err.Error(), "private key missing") {
		return store{}, i18n.Errorf("the PKCS #12 key store holds certificates alone and is none of Java's, and they are not read from there; take them out with `openssl pkcs12 -nokeys -in FILE -out certificate.pem` and import certificate.pem to verify or encrypt")
	}
	if errTrust != nil {
		return store{}, i18n.Errorf("opening the PKCS #12 key store: %w", err)
	}
	return store{certificates: raw(trusted)}, nil
}

func raw(certificates []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range certificates {
		out = append(out, c.Raw)
	}
	return out
}

func openJKS(data, password []byte) (store, error) {
	opened := keystore.New()
	if err := opened.Load(bytes.NewReader(data), password); err != nil {
		return store{}, i18n.Errorf("opening the Java key store (is the password right?): %w", err)
	}
	var found store
	for _, alias := range opened.Aliases() {
		switch {
		case opened.IsPrivateKeyEntry(alias) && found.key != nil:
			return store{}, i18n.Errorf("the Java key store holds several private keys; export the one that is meant with keytool -importkeystore -srcalias")
		case opened.IsPrivateKeyEntry(alias):
			entry, err := opened.GetPrivateKeyEntry(alias, password)
			if err != nil {
				return store{}, i18n.Errorf("opening the key of the Java key store (has it a password of its own?): %w", err)
			}
			found.key = entry.PrivateKey
			var chain [][]byte
			for _, c := range entry.CertificateChain {
				chain = append(chain, c.Content)
			}
			found.certificates = append(chain, found.certificates...)
		case opened.IsTrustedCertificateEntry(alias):
			entry, err := opened.GetTrustedCertificateEntry(alias)
			if err != nil {
				return store{}, i18n.Errorf("reading a certificate of the Java key store: %w", err)
			}
			found.certificates = append(found.certificates, entry.Certificate.Content)
		}
	}
	return found, nil
}

func openCFCA(data, password []byte) (store, error) {
	key, certificate, err := gm.ParseCFCA(data, password)
	if err != nil {
		return store{}, err
	}
	der, err := keys.MarshalPrivateKey(key)
	return store{der, [][]byte{certificate.Raw}}, err
}
