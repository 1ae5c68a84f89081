package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
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
	defer wipe(blocks, value.Text)
	var out []*PrivateKey
	var beside []*PublicKey
	for _, block := range blocks {
		if public, err := publicKey(block, value.Origin); err == nil {
			beside = append(beside, public)
			continue
		}
		key, err := privateKey(block, value.Origin)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	switch {
	case len(out) == 0:
		return nil, errPublic
	case len(beside) > 0 && !match(out, beside):
		return nil, i18n.Errorf("beside the private key stands the certificate or public key of another key; put the right one there, or none")
	}
	return out, nil
}

// wipe overwrites what was decoded of a text, which a parsed key holds in its own
// form: a key is kept once.
func wipe(blocks []encoded, text []byte) {
	for _, block := range blocks {
		if len(block.der) > 0 && len(text) > 0 && &block.der[0] != &text[0] { // DER that was given is the caller's
			clear(block.der)
		}
	}
}

// match gives private keys the serial numbers of their certificates. It
// returns false if none of the public keys belongs to one of them.
func match(private []*PrivateKey, public []*PublicKey) bool {
	found := false
	for _, p := range public {
		for _, key := range private {
			if p.Fingerprint != key.Fingerprint {
				continue
			}
			found = true
			if p.Serial != "" {
				key.Serial, key.Certificate = p.Serial, bytes.Clone(p.CertificateDER) // what was read is wiped
			}
		}
	}
	return found
}

var errPublic = i18n.Errorf("it is a public key, and this role needs the private one")

func privateKey(block encoded, origin string) (*PrivateKey, error) {
	key, err := parsePrivateDER(block.der)
	if err == nil {
		return newPrivateKey(key, origin)
	}
	if _, _, err := parsePublicDER(block.der); err == nil {
		return nil, errPublic // of a kind that is not taken
	}
	if why := foreignDER(block.der); why != nil {
		return nil, why
	}
	return nil, i18n.Errorf("it is not a valid private key in PKCS#8, PKCS#1 or SEC 1 form")
}

func parsePrivateDER(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := gm.ParsePrivateKey(der)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// newPrivateKey describes a private key of any kind in memory.
func newPrivateKey(key any, origin string) (*PrivateKey, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if err := checkRSA(&key.PublicKey); err != nil {
			return nil, err
		}
		return NewRSAKey(key, origin)
	case *ecdsa.PrivateKey:
		if KindOf(&key.PublicKey) == "" {
			return nil, i18n.Errorf("it is an EC key on the curve %s; P-256 and SM2 are taken", key.Params().Name)
		}
		return NewPrivateKey(key, nil, &key.PublicKey, origin), nil
	case ed25519.PrivateKey:
		return NewPrivateKey(key, nil, key.Public(), origin), nil
	case gm.PrivateKey:
		return NewPrivateKey(key, key, key.Public(), origin), nil
	default:
		return nil, i18n.Errorf("it is a %T; RSA, ECDSA P-256, Ed25519 and SM2 keys are taken", key)
	}
}

var _ crypto.Signer = ed25519.PrivateKey(nil)
