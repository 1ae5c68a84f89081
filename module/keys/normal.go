package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Normalize returns the PEM of every key and certificate in text, in whatever
// of the accepted forms it is: PKCS #8, PKIX and certificates.
func Normalize(text []byte) ([]byte, error) {
	blocks, err := ders(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, block := range blocks {
		label, der, err := normal(block)
		if err != nil {
			return nil, err
		}
		_ = pem.Encode(&out, &pem.Block{Type: label, Bytes: der}) // a buffer takes all
	}
	return out.Bytes(), nil
}

func normal(block encoded) (label string, der []byte, err error) {
	public, err := publicKey(block, "")
	switch {
	case err == nil && public.CertificateDER != nil:
		return "CERTIFICATE", public.CertificateDER, nil
	case err == nil:
		der, err = MarshalPublicKey(public.Key)
		return "PUBLIC KEY", der, err
	case !errors.Is(err, errPrivate):
		return "", nil, err
	}
	key, err := parsePrivateDER(block.der)
	if err != nil {
		return "", nil, i18n.Errorf("it is not a valid private key in PKCS#8, PKCS#1 or SEC 1 form")
	}
	if _, err := newPrivateKey(key, ""); err != nil {
		return "", nil, err
	}
	der, err = MarshalPrivateKey(key)
	return "PRIVATE KEY", der, err
}

// MarshalPrivateKey returns the PKCS #8 form of a private key of any kind, as
// DER.
func MarshalPrivateKey(key any) ([]byte, error) {
	if signer, ok := key.(crypto.Signer); ok && KindOf(signer.Public()) == KindSM2 {
		return gm.MarshalPrivateKey(signer)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// IsPKCS12 reports whether DER is a PKCS #12 key store.
func IsPKCS12(der []byte) bool { return errors.Is(foreignDER(der), isStore) }

// DecodeBase64 decodes Base64 with blanks and line breaks anywhere.
func DecodeBase64(text []byte) ([]byte, error) {
	if out, ok := decodeBase64(string(text)); ok {
		return out, nil
	}
	return nil, errNeither
}
