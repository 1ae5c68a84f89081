package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// Sides are the two key sets of an exchange under a recipe: fresh keys for every
// role that the recipe needs.
type Sides struct{ Merchant, Provider map[keys.Role]string }

// Subject is the common name of the provider's certificates, with the subject in
// it that unionpay's recipe names.
const Subject = "041@Z2024@中国银联股份有限公司@00000001"

// NewSides makes keys for both sides of a recipe.
func NewSides(t testing.TB, p *recipe.Program) Sides {
	t.Helper()
	s := Sides{make(map[keys.Role]string), make(map[keys.Role]string)}
	kinds := p.Describe().Kinds
	for _, role := range p.Roles() {
		plain, id := role.Split()
		switch plain {
		case keys.SharedSecret:
			secret := newSecret(id)
			if size := p.SecretSizes()[role]; size > 0 && size < len(secret) {
				secret = secret[:size]
			}
			s.Merchant[role], s.Provider[role] = secret, secret
		case keys.Sign:
			s.pair(t, kinds[role], s.Merchant, role, s.Provider, keys.Verify.With(id), false)
		case keys.Verify:
			_, known := kinds[role]
			s.pair(t, kinds[role], s.Provider, keys.Sign.With(id), s.Merchant, role, !known)
		case keys.Encrypt:
			s.pair(t, kinds[role], s.Provider, keys.Decrypt.With(id), s.Merchant, role, false)
		case keys.Decrypt:
			s.pair(t, kinds[role], s.Merchant, role, s.Provider, keys.Encrypt.With(id), false)
		}
	}
	return s
}

// newSecret returns a secret that is a key of AES, and hex and Base64 too. One that is
// called iv is as long as a block.
func newSecret(id string) string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	if id == "iv" {
		raw = raw[:8]
	}
	return hex.EncodeToString(raw)
}

// pair makes a pair of keys: the private one with its certificate for one side, the
// certificate, or that of its authority, for the other.
func (s Sides) pair(t testing.TB, kind string, own map[keys.Role]string, private keys.Role, peer map[keys.Role]string, public keys.Role, authority bool) {
	t.Helper()
	key := newKey(t, kind)
	der, err := keys.MarshalPrivateKey(key)
	require.NoError(t, err)
	own[private] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if kind == "SM2" {
		der, err := keys.MarshalPublicKey(key.Public())
		require.NoError(t, err)
		peer[public] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		return
	}
	leaf, root := certificates(t, key)
	own[private] += leaf
	if peer[public] = leaf; authority {
		peer[public] = root
	}
}

// newKey returns a key of a kind. RSA keys are made once and reused, because making
// them is slow.
func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "SM2":
		key, err = gm.GenerateKey()
	case "ECDSA":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = nextRSA()
	}
	require.NoError(t, err)
	return key
}

var pool struct {
	sync.Mutex
	keys []*rsa.PrivateKey
	next int
}

func nextRSA() (*rsa.PrivateKey, error) {
	pool.Lock()
	defer pool.Unlock()
	if len(pool.keys) < 6 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		pool.keys = append(pool.keys, key)
		return key, nil
	}
	pool.next++
	return pool.keys[pool.next%len(pool.keys)], nil
}

// certificates are that of a key, and that of the authority which has issued it.
func certificates(t testing.TB, key crypto.Signer) (leaf, root string) {
	t.Helper()
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	require.NoError(t, err)
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority " + serial.String()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, issuer, issuer, authority.Public(), authority)
	require.NoError(t, err)
	root = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: Subject},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err = x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), authority)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), root
}

// Sets returns the two key sets.
func (s Sides) Sets(t testing.TB) (merchant, provider *keys.Set) {
	t.Helper()
	return Keys(t, s.Merchant), Keys(t, s.Provider)
}

// Write writes the key sets as files below two folders, under a reference.
func (s Sides) Write(t testing.TB, merchant, provider, reference string) {
	t.Helper()
	for dir, material := range map[string]map[keys.Role]string{merchant: s.Merchant, provider: s.Provider} {
		folder := filepath.Join(dir, filepath.FromSlash(reference))
		require.NoError(t, os.MkdirAll(folder, 0o700))
		for role, text := range material {
			name := role.FileName()
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(strings.TrimRight(text, "\n")), 0o600))
		}
	}
}
