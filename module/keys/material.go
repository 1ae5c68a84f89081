package keys

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// MinBits is the size of the smallest RSA key that is taken. Some providers'
// test environments still use RSA-1024; Go refuses anything smaller.
const MinBits = 1024

// Material is what a source holds for one reference: the value of each role as
// it stands in a file or a field, and where it came from.
type Material map[Role]Value

// Value is the material of one role.
type Value struct {
	Text   []byte
	Origin string

	// Private takes the place of Text where the keys themselves stay elsewhere,
	// as in Vault's Transit engine.
	Private []*PrivateKey
}

// Parse makes a set of its material. An error names the role and its origin and
// says what to change; it never holds a byte of the material.
func Parse(reference, version string, material Material) (*Set, error) {
	set := &Set{Reference: reference, Version: version, Loaded: time.Now()}
	for _, role := range Roles {
		value, ok := material[role]
		if !ok {
			continue
		}
		if err := set.add(role, value); err != nil {
			return nil, fmt.Errorf("reading the %s key from %s: %w", role, value.Origin, err)
		}
	}
	return set, nil
}

func (s *Set) add(role Role, value Value) error {
	switch role {
	case Sign, Decrypt:
		private := value.Private
		if private == nil {
			var err error
			if private, err = parsePrivate(value); err != nil {
				return err
			}
		}
		if role == Decrypt {
			s.Decrypt = private
			return nil
		}
		if len(private) > 1 {
			return errors.New("there are several keys; only verify and decrypt may hold more than one")
		}
		s.Sign = private[0]
	case Verify, Encrypt:
		public, err := parsePublic(value)
		if err != nil {
			return err
		}
		if role == Verify {
			s.Verify = public
			return nil
		}
		if len(public) > 1 {
			return errors.New("there are several keys; only verify and decrypt may hold more than one")
		}
		s.Encrypt = public[0]
	case SharedSecret:
		secret := trimNewline(value.Text)
		if len(secret) == 0 {
			return errors.New("the secret is empty")
		}
		s.Secret = NewSecret(secret, value.Origin)
		s.VerifySecrets = append([]*Secret{s.Secret}, s.VerifySecrets...)
	case VerifySecret:
		for line := range bytes.Lines(value.Text) {
			secret := trimNewline(line)
			if len(secret) == 0 {
				return errors.New("there is an empty line; every line is one secret")
			}
			s.VerifySecrets = append(s.VerifySecrets, NewSecret(secret, value.Origin))
		}
	}
	return nil
}

// trimNewline removes one trailing LF or CRLF, and nothing else: a secret may
// begin or end with white space.
func trimNewline(text []byte) []byte {
	if cut, found := bytes.CutSuffix(text, []byte("\n")); found {
		text, _ = bytes.CutSuffix(cut, []byte("\r"))
	}
	return bytes.Clone(text)
}

// ders returns the DER of every key in text, each with the PEM label it stood
// under, or the empty label for the bare Base64 that providers hand out.
func ders(text []byte) (labels []string, out [][]byte, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin a file with it
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
		if err != nil || len(der) == 0 {
			return nil, nil, errors.New("it is neither PEM nor Base64; give PEM (PKCS#8, PKCS#1, PKIX or a certificate) or the provider's bare Base64")
		}
		return []string{""}, [][]byte{der}, nil
	}
	// pem.Decode skips what it cannot read, and a half-written file must not
	// lose a key in silence: every beginning has to become a block.
	for begun := bytes.Count(text, []byte("-----BEGIN")); begun > 0; begun-- {
		block, rest := pem.Decode(text)
		if block == nil || bytes.Count(rest, []byte("-----BEGIN")) != begun-1 {
			return nil, nil, errors.New("a PEM block is incomplete; write the file whole and rename it into place")
		}
		if block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, nil, errors.New("the key is encrypted with a pass phrase; store it decrypted, protected by the source")
		}
		labels, out = append(labels, block.Type), append(out, block.Bytes)
		text = rest
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, nil, errors.New("something follows the last PEM block; write the file whole and rename it into place")
	}
	return labels, out, nil
}

func parsePrivate(value Value) ([]*PrivateKey, error) {
	labels, all, err := ders(value.Text)
	if err != nil {
		return nil, err
	}
	out := make([]*PrivateKey, 0, len(all))
	for i, der := range all {
		key, err := privateKey(labels[i], der)
		if err != nil {
			return nil, err
		}
		if err := checkSize(&key.PublicKey); err != nil {
			return nil, err
		}
		private, err := NewRSAKey(key, value.Origin)
		if err != nil {
			return nil, err
		}
		out = append(out, private)
	}
	return out, nil
}

func privateKey(label string, der []byte) (*rsa.PrivateKey, error) {
	switch label {
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errors.New("it is a public key, and this role needs the private one")
	case "EC PRIVATE KEY":
		return nil, errors.New("it is an EC key; the providers take RSA keys only")
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if rsaKey, ok := key.(*rsa.PrivateKey); ok {
			return rsaKey, nil
		}
		return nil, fmt.Errorf("it is a %T; the providers take RSA keys only", key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if _, err := publicKey("", der); err == nil {
		return nil, errors.New("it is a public key, and this role needs the private one")
	}
	return nil, errors.New("it is not a valid RSA private key in PKCS#8 or PKCS#1 form")
}

func parsePublic(value Value) ([]*PublicKey, error) {
	labels, all, err := ders(value.Text)
	if err != nil {
		return nil, err
	}
	out := make([]*PublicKey, 0, len(all))
	for i, der := range all {
		key, err := publicKey(labels[i], der)
		if err != nil {
			return nil, err
		}
		if err := checkSize(key.RSA); err != nil {
			return nil, err
		}
		key.Fingerprint, key.Origin = Fingerprint(key.RSA), value.Origin
		out = append(out, key)
	}
	return out, nil
}

var errPrivate = errors.New("it is a private key, and this role holds the peer's public one; the peer's private key must never be here")

func publicKey(label string, der []byte) (*PublicKey, error) {
	switch label {
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return nil, errPrivate
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return rsaPublic(key, time.Time{})
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return rsaPublic(key, time.Time{})
	}
	if cert, err := x509.ParseCertificate(der); err == nil {
		return rsaPublic(cert.PublicKey, cert.NotAfter)
	}
	_, err8 := x509.ParsePKCS8PrivateKey(der)
	_, err1 := x509.ParsePKCS1PrivateKey(der)
	if err8 == nil || err1 == nil {
		return nil, errPrivate
	}
	return nil, errors.New("it is not a valid RSA public key or certificate")
}

func rsaPublic(key any, expires time.Time) (*PublicKey, error) {
	if rsaKey, ok := key.(*rsa.PublicKey); ok {
		return &PublicKey{RSA: rsaKey, Expires: expires}, nil
	}
	return nil, fmt.Errorf("it is a %T; the providers use RSA keys only", key)
}

func checkSize(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < MinBits {
		return fmt.Errorf("it has %d bits, and at least %d are needed", bits, MinBits)
	}
	return nil
}
