package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// parsePrivate reads the private keys of a value. A certificate beside a key
// gives the key its serial number.
func parsePrivate(value Value) ([]*PrivateKey, error) {
	if value.Private != nil {
		return value.Private, nil
	}
	blocks, err := ders(value.Text)
	if err != nil {
		return nil, err
	}
	var out []*PrivateKey
	var beside []*x509.Certificate
	for _, block := range blocks {
		if certificate, err := x509.ParseCertificate(block.der); err == nil {
			beside = append(beside, certificate)
			continue
		}
		key, err := privateKey(block, value.Origin)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, errPublic
	}
	for _, certificate := range beside {
		for _, key := range out {
			if Fingerprint(certificate.PublicKey) == key.Fingerprint {
				key.Serial = hexSerial(certificate.SerialNumber)
			}
		}
	}
	return out, nil
}

var errPublic = errors.New("it is a public key, and this role needs the private one")

func privateKey(block encoded, origin string) (*PrivateKey, error) {
	switch block.label {
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errPublic
	}
	var key any
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(block.der); err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(block.der); err != nil {
			key, err = x509.ParseECPrivateKey(block.der)
		}
	}
	if err == nil {
		return newPrivateKey(key, origin)
	}
	if _, _, err := publicKey(block.der); err == nil {
		return nil, errPublic
	}
	return nil, errors.New("it is not a valid private key in PKCS#8, PKCS#1 or SEC 1 form")
}

// newPrivateKey describes a private key of any kind that is held in memory.
func newPrivateKey(key any, origin string) (*PrivateKey, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if err := checkRSA(&key.PublicKey); err != nil {
			return nil, err
		}
		return NewRSAKey(key, origin)
	case *ecdsa.PrivateKey:
		if KindOf(&key.PublicKey) == "" {
			return nil, fmt.Errorf("it is an EC key on the curve %s; P-256 and SM2 are taken", key.Params().Name)
		}
		return NewPrivateKey(key, nil, &key.PublicKey, origin), nil
	case ed25519.PrivateKey:
		return NewPrivateKey(key, nil, key.Public(), origin), nil
	default:
		return nil, fmt.Errorf("it is a %T; RSA, ECDSA P-256, Ed25519 and SM2 keys are taken", key)
	}
}

var _ crypto.Signer = ed25519.PrivateKey(nil)
