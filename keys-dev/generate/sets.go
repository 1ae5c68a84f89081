package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// The sides of an exchange, each with its directory.
const (
	merchant = "merchant"
	provider = "provider"
)

// marker stands before the PEM block of every key, where RFC 7468 section 2
// allows text that parsers skip. A PEM header would say it closer to the key,
// but OpenSSL refuses headers that it does not know.
const marker = "DEVELOPMENT KEY, PUBLISHED WITH THE SOURCE: FOR TESTS ONLY, NEVER FOR MONEY\n"

// keySet is what one reference holds, on both sides.
type keySet struct {
	reference string
	pairs     []keyPair
	secret    bool // whether the two sides share a secret
}

// keyPair is one RSA key: its owner holds the private half under one role, the
// other side the public half under another.
type keyPair struct {
	owner   string
	bits    int
	private string
	public  string
}

// sets are the key sets of the quickstart. The references are the merchant
// numbers of the providers' own sample requests. easypay's sizes are those of
// its test environment; signing and envelope keys differ, so that a mix-up of
// roles cannot go unseen.
var sets = []keySet{
	{
		reference: "easypay/ORG000000000007",
		pairs: []keyPair{
			{owner: merchant, bits: 1024, private: "sign", public: "verify"},
			{owner: merchant, bits: 1024, private: "decrypt", public: "encrypt"},
			{owner: provider, bits: 1024, private: "sign", public: "verify"},
			{owner: provider, bits: 1024, private: "decrypt", public: "encrypt"},
		},
	},
	{reference: "jeepay/M1623997351", pairs: signingPairs, secret: true},
	{reference: "hbsk/d787d45a68b48", secret: true},
	{reference: "hkrt/405544499f016a9b3d8f57000f", secret: true},
	{reference: "hongwen/2014072300007148", pairs: signingPairs},
}

var signingPairs = []keyPair{
	{owner: merchant, bits: 2048, private: "sign", public: "verify"},
	{owner: provider, bits: 2048, private: "sign", public: "verify"},
}

// fingerprint names one published key by its SHA-256, in lower-case hex.
type fingerprint struct {
	sum  string
	what string
}

// write makes the keys of the set below dir and returns their fingerprints.
func (s keySet) write(dir string) ([]fingerprint, error) {
	var made []fingerprint
	for _, pair := range s.pairs {
		sum, err := pair.write(dir, s.reference)
		if err != nil {
			return nil, err
		}
		made = append(made, fingerprint{sum, fmt.Sprintf("%s, %s key of the %s", s.reference, pair.private, pair.owner)})
	}
	if s.secret {
		secret := "dev-only-" + rand.Text()
		for _, side := range []string{merchant, provider} {
			if err := writeFile(filepath.Join(dir, side, s.reference, "secret"), []byte(secret+"\n")); err != nil {
				return nil, err
			}
		}
		made = append(made, fingerprint{hexSum([]byte(secret)), s.reference + ", shared secret"})
	}
	return made, nil
}

// write makes the key, gives each side its half, and returns the SHA-256 of
// the public half.
func (p keyPair) write(dir, reference string) (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, p.bits)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	peer := provider
	if p.owner == provider {
		peer = merchant
	}
	if err := writePEM(filepath.Join(dir, p.owner, reference, p.private+".pem"), "PRIVATE KEY", private); err != nil {
		return "", err
	}
	return hexSum(public), writePEM(filepath.Join(dir, peer, reference, p.public+".pem"), "PUBLIC KEY", public)
}

func writePEM(file, kind string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return writeFile(file, append([]byte(marker), block...))
}

// writeFile writes a key file, readable by its owner alone.
func writeFile(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
