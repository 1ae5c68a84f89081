package keys

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"math"
	"math/big"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// The sizes of RSA keys that are taken, in bits. Some providers' test
// environments still use RSA-1024; Go refuses anything smaller.
const (
	MinBits = 1024
	maxBits = 16384
)

// parsePublic reads the public keys of a value, those of issuers among them,
// and all certificates in it.
func parsePublic(value Value) ([]*PublicKey, []*x509.Certificate, error) {
	blocks, err := ders(value.Text)
	if err != nil {
		return nil, nil, err
	}
	var found []*PublicKey
	var certificates []*x509.Certificate
	for _, block := range blocks {
		key, err := publicKey(block, value.Origin)
		if err != nil {
			return nil, nil, err
		}
		if key.Certificate != nil {
			certificates = append(certificates, key.Certificate)
		}
		found = append(found, key)
	}
	return distinct(found), certificates, nil
}

// distinct leaves out keys without a certificate that stand in one as well.
func distinct(keys []*PublicKey) []*PublicKey {
	return slices.DeleteFunc(slices.Clone(keys), func(key *PublicKey) bool {
		return key.CertificateDER == nil && slices.ContainsFunc(keys, func(other *PublicKey) bool {
			return other.CertificateDER != nil && other.Fingerprint == key.Fingerprint
		})
	})
}

var errPrivate = i18n.Errorf("it is a private key, and this role holds the peer's public one; the peer's private key must never be here")

// publicKey reads PKIX, PKCS#1 or a certificate.
func publicKey(from encoded, origin string) (*PublicKey, error) {
	switch from.label {
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return nil, errPrivate
	}
	public, certificate, err := parsePublicDER(from.der)
	if err != nil {
		return nil, err
	}
	if err := checkPublic(public); err != nil {
		return nil, err
	}
	key := NewPublicKey(public, origin)
	if certificate == nil && key.Kind == KindSM2 {
		if c, err := gm.ParseCertificate(from.der); err == nil {
			key.sm2 = c
			key.CertificateDER, key.Serial, key.Expires = c.Raw, hexSerial(c.SerialNumber), c.NotAfter
		}
	}
	if certificate != nil {
		key.Certificate, key.CertificateDER = certificate, certificate.Raw
		key.Serial, key.Expires = hexSerial(certificate.SerialNumber), certificate.NotAfter
	}
	return key, nil
}

func parsePublicDER(der []byte) (crypto.PublicKey, *x509.Certificate, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil, nil
	}
	certificate, err := x509.ParseCertificate(der)
	if err == nil {
		return certificate.PublicKey, certificate, nil
	}
	if key, err := gm.ParsePublicKey(der); err == nil {
		return key, nil, nil
	}
	if c, err := gm.ParseCertificate(der); err == nil {
		return c.PublicKey, nil, nil
	}
	if _, err := parsePrivateDER(der); err == nil {
		return nil, nil, errPrivate
	}
	if why := foreignDER(der); why != nil {
		return nil, nil, why
	}
	return nil, nil, i18n.Errorf("it is not a valid public key or certificate")
}

func checkPublic(public crypto.PublicKey) error {
	if key, ok := public.(*rsa.PublicKey); ok {
		return checkRSA(key)
	}
	if KindOf(public) == "" {
		return i18n.Errorf("it is a %T that no provider uses; RSA, ECDSA P-256, Ed25519 and SM2 keys are taken", public)
	}
	return nil
}

// checkRSA refuses what crypto/rsa would refuse only when it is used.
func checkRSA(key *rsa.PublicKey) error {
	switch bits := key.N.BitLen(); {
	case bits < MinBits:
		return i18n.Errorf("it has %d bits, and at least %d are needed", bits, MinBits)
	case bits > maxBits:
		return i18n.Errorf("it has %d bits, and at most %d are taken", bits, maxBits)
	case key.N.Bit(0) == 0:
		return i18n.Errorf("its modulus is even, so it is no RSA key; fetch it anew from the provider")
	case hasSmallFactor(key.N):
		return i18n.Errorf("its modulus has a small factor, so it is no RSA key: it was damaged when it was copied; fetch it anew from the provider")
	case key.E < 3 || key.E&1 == 0:
		return i18n.Errorf("its exponent is %d, so it is no RSA key; fetch it anew from the provider", key.E)
	case int64(key.E) > math.MaxInt32:
		return i18n.Errorf("its exponent is %d, and at most %d is taken; ask for a key with the usual exponent 65537", key.E, math.MaxInt32)
	}
	return nil
}

// smallPrimes is the product of the odd primes below 2048.
var smallPrimes = sync.OnceValue(func() *big.Int {
	product := big.NewInt(1)
	var composite [2048]bool
	for n := 3; n < len(composite); n += 2 {
		if composite[n] {
			continue
		}
		product.Mul(product, big.NewInt(int64(n)))
		for m := n * n; m < len(composite); m += 2 * n {
			composite[m] = true
		}
	}
	return product
})

// hasSmallFactor recognises six of seven moduli in which a letter was changed.
func hasSmallFactor(n *big.Int) bool {
	return new(big.Int).GCD(nil, nil, n, smallPrimes()).BitLen() > 1
}
