package gm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"

	"github.com/emmansun/gmsm/cfca"
	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"github.com/countersign/caddy-countersign/module/i18n"
)

var errNotSM2 = i18n.Errorf("not an SM2 key")

// PrivateKey is an SM2 private key: [Sign] and [Decrypt] take it.
type PrivateKey interface {
	crypto.Signer
	crypto.Decrypter
}

// IsPublicKey reports whether key is an *ecdsa.PublicKey on the curve of SM2.
func IsPublicKey(key crypto.PublicKey) bool {
	public, ok := key.(*ecdsa.PublicKey)
	return ok && public != nil && sm2.IsSM2PublicKey(public)
}

// GenerateKey makes a fresh private key.
func GenerateKey() (PrivateKey, error) { return sm2.GenerateKey(rand.Reader) }

// ParsePrivateKey reads a private key: PKCS #8 or SEC 1 in DER or PEM, with the curve
// named or written out, or the bare number of 32 bytes, or of 64 hexadecimal digits. A number that no key
// can have (0, n-1, n and above) is refused.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	data = plain(data, scalarSize)
	if len(data) == scalarSize {
		return privateKey(new(big.Int).SetBytes(data))
	}
	if number := explicitPrivate(data); number != nil {
		return privateKey(number)
	}
	if key, err := smx509.ParsePKCS8PrivateKey(data); err == nil {
		if found, ok := key.(*sm2.PrivateKey); ok {
			return privateKey(found.D)
		}
		return nil, i18n.Errorf("%w: the PKCS #8 holds a %T", errNotSM2, key)
	}
	key, err := smx509.ParseSM2PrivateKey(data)
	if err != nil {
		return nil, i18n.Errorf("%w: neither PKCS #8 nor SEC 1 nor 32 bytes", errNotSM2)
	}
	return privateKey(key.D)
}

// privateKey makes the key of a number, and so checks it: smx509 does not.
func privateKey(d *big.Int) (PrivateKey, error) {
	if d.BitLen() > 8*scalarSize {
		return nil, i18n.Errorf("%w: the number is too large", errNotSM2)
	}
	key, err := sm2.NewPrivateKeyFromInt(d)
	if err != nil {
		return nil, i18n.Errorf("%w: the number is not in [1, n-2]", errNotSM2)
	}
	return key, nil
}

// ParsePublicKey reads a public key: SPKI in DER or PEM, or the point: 65
// bytes that begin with 04, 64 without, or the same in hexadecimal.
func ParsePublicKey(data []byte) (*ecdsa.PublicKey, error) {
	data = plain(data, 2*scalarSize, 1+2*scalarSize)
	switch len(data) {
	case 2 * scalarSize:
		data = append([]byte{4}, data...)
		fallthrough
	case 1 + 2*scalarSize:
		key, err := sm2.NewPublicKey(data)
		if err != nil {
			return nil, i18n.Errorf("%w: not a point on the curve", errNotSM2)
		}
		return key, nil
	}
	key, err := smx509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil, i18n.Errorf("%w: neither SPKI nor a point of 64 or 65 bytes", errNotSM2)
	}
	return publicKey(key)
}

func publicKey(key any) (*ecdsa.PublicKey, error) {
	if !IsPublicKey(key) {
		return nil, i18n.Errorf("%w: it is a %T", errNotSM2, key)
	}
	return key.(*ecdsa.PublicKey), nil
}

// plain decodes PEM, or hexadecimal of one of the sizes in bytes.
func plain(data []byte, sizes ...int) []byte {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		// openssl ecparam -genkey writes the curve's name before the key.
		if block.Type != "EC PARAMETERS" && block.Type != "SM2 PARAMETERS" {
			return block.Bytes
		}
	}
	text := bytes.TrimSpace(data)
	for _, size := range sizes {
		if len(text) == 2*size {
			if out, err := hex.AppendDecode(nil, text); err == nil {
				return out
			}
		}
	}
	return data
}

// MarshalPrivateKey writes a private key that this package made in PKCS #8, DER.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) { return smx509.MarshalPKCS8PrivateKey(key) }

// MarshalPublicKey writes a public key as SPKI, DER. Fingerprints are made of it.
func MarshalPublicKey(key *ecdsa.PublicKey) ([]byte, error) {
	if !IsPublicKey(key) {
		return nil, errNotSM2
	}
	return smx509.MarshalPKIXPublicKey(key)
}

// NewCertificateRequest makes a PKCS #10 request in DER for the subject of
// template, signed with SM2 and SM3.
func NewCertificateRequest(template *x509.CertificateRequest, key crypto.Signer) ([]byte, error) {
	return smx509.CreateCertificateRequest(rand.Reader, &smx509.CertificateRequest{
		Subject: template.Subject, DNSNames: template.DNSNames, EmailAddresses: template.EmailAddresses,
	}, key)
}

// ParseCFCA reads a .sm2 file as CFCA (中国金融认证中心) issues it: a private key
// under a password, and its certificate; Base64, DER or PEM. A wrong password
// and a damaged file have the same error.
func ParseCFCA(data, password []byte) (key PrivateKey, certificate *Certificate, err error) {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	} else if der, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(data)); err == nil {
		data = der
	}
	// cfca.ParseSM2 panics on a ciphertext that is not whole blocks, and on a
	// number that is too long, as one wrong password in 256 yields.
	defer func() {
		if recover() != nil {
			key, certificate, err = nil, nil, errCFCA
		}
	}()
	private, found, err := cfca.ParseSM2(password, data)
	if err != nil {
		return nil, nil, errCFCA
	}
	if certificate, err = newCertificate(found); err != nil {
		return nil, nil, err
	}
	if key, err = privateKey(private.D); err != nil {
		return nil, nil, err
	}
	return key, certificate, nil
}

var errCFCA = i18n.Errorf("not a .sm2 file of CFCA, or not its password")

// IsCFCA reports whether data, in DER, looks like a .sm2 file of CFCA: such a
// file needs a password.
func IsCFCA(der []byte) bool {
	var file struct {
		Version int
		Key     struct {
			ContentType asn1.ObjectIdentifier
			Algorithm   asn1.ObjectIdentifier
			Content     asn1.RawValue
		}
		Certificate asn1.RawValue
	}
	rest, err := asn1.Unmarshal(der, &file)
	return err == nil && len(rest) == 0 && file.Key.ContentType.String() == "1.2.156.10197.6.1.4.2.1"
}
