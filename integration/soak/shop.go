package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// shop is a merchant at one provider: both sides' keys, and how to make a
// request for an order.
type shop struct {
	scheme, reference, path string
	request                 func(order string) string
	provider                provider.Provider
	seed                    func(s *shop, v *vaulttest.Server) error
	rotate                  func(s *shop, v *vaulttest.Server) error

	mu      sync.Mutex
	keys    provider.Keys // as the provider holds them
	secret  string
	private map[string]*rsa.PrivateKey
	fields  map[string]string // of the secret in Vault
}

// providerKeys returns the provider's keys at this moment.
func (s *shop) providerKeys() provider.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// write puts the shop's key set into Vault.
func (s *shop) write(v *vaulttest.Server) error {
	_, err := v.PutSecret("payments", s.reference, s.fields)
	return err
}

// seedSecret begins with a shared secret.
func seedSecret(s *shop, v *vaulttest.Server) error {
	s.secret = rand.Text()
	s.keys.Secrets = [][]byte{[]byte(s.secret)}
	s.fields = map[string]string{"secret": s.secret}
	return s.write(v)
}

// rotateSecret has the provider take a new secret besides the old one, then the
// sidecar. The provider goes on signing with the old one, as providers do until
// they are reported.
func rotateSecret(s *shop, v *vaulttest.Server) error {
	next := rand.Text()
	s.mu.Lock()
	s.keys.Secrets = [][]byte{[]byte(s.secret), []byte(next)}
	s.fields = map[string]string{"secret": next, "verify_secret": s.secret}
	s.secret = next
	s.mu.Unlock()
	return s.write(v)
}

// seedRSA begins with key pairs of both sides.
func seedRSA(s *shop, v *vaulttest.Server) error {
	s.private = make(map[string]*rsa.PrivateKey)
	for _, name := range []string{"merchant sign", "merchant decrypt", "provider sign", "provider decrypt"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		s.private[name] = key
	}
	s.keys = provider.Keys{
		Sign: s.private["provider sign"], Decrypt: s.private["provider decrypt"],
		Verify: publicKeys{&s.private["merchant sign"].PublicKey}, Encrypt: &s.private["merchant decrypt"].PublicKey,
	}
	s.fields = map[string]string{
		"sign": privatePEM(s.private["merchant sign"]), "decrypt": privatePEM(s.private["merchant decrypt"]),
		"verify": publicPEM(&s.private["provider sign"].PublicKey), "encrypt": publicPEM(&s.private["provider decrypt"].PublicKey),
	}
	return s.write(v)
}

// rotateRSA rotates the merchant's signing key and the provider's: the other
// side is reported of the new public key first.
func rotateRSA(s *shop, v *vaulttest.Server) error {
	merchant, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	theirs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.keys.Verify = publicKeys{&s.private["merchant sign"].PublicKey, &merchant.PublicKey}
	s.fields["sign"] = privatePEM(merchant)
	s.fields["verify"] = publicPEM(&s.private["provider sign"].PublicKey) + publicPEM(&theirs.PublicKey)
	s.private["merchant sign"] = merchant
	s.mu.Unlock()
	return s.write(v)
}

// seedTransit begins with a signing key that never leaves Vault.
func seedTransit(s *shop, v *vaulttest.Server) error {
	if err := v.CreateKey("signing", s.scheme, "rsa-2048"); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.private = map[string]*rsa.PrivateKey{"provider sign": key}
	s.keys = provider.Keys{Sign: crypto.Signer(key)}
	s.fields = map[string]string{"sign": "transit:signing/" + s.scheme, "verify": publicPEM(&key.PublicKey)}
	if err := s.learnTransit(v); err != nil {
		return err
	}
	return s.write(v)
}

// rotateTransit makes a new version of the Transit key. The provider is reported at
// once, which the test can and a merchant cannot: it looks at the version before
// the sidecar does.
func rotateTransit(s *shop, v *vaulttest.Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := v.RotateKey("signing", s.scheme); err != nil {
		return err
	}
	return s.learnTransit(v)
}

func (s *shop) learnTransit(v *vaulttest.Server) error {
	public, err := v.PublicKeys("signing", s.scheme)
	if err != nil {
		return err
	}
	s.keys.Verify = nil
	for _, key := range public {
		s.keys.Verify = append(s.keys.Verify, key)
	}
	return nil
}

func privatePEM(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("soak: encoding a key of its own: %v", err))
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(fmt.Sprintf("soak: encoding a key of its own: %v", err))
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: slices.Clip(der)}))
}
