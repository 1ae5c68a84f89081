package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// pair is a private key and the texts that a key set is read from.
type pair struct {
	signer  crypto.Signer
	private []byte
	public  []byte
}

// pairs are fresh keys of each kind, of the merchant and of the provider. They are
// made once, as RSA keys take time.
var pairs = sync.OnceValue(func() map[string]pair {
	all := make(map[string]pair)
	for _, side := range []string{"merchant", "provider", "stranger"} {
		for _, kind := range []string{"RSA", "SM2", "Ed25519", "ECDSA"} {
			all[side+kind] = newPair(kind)
		}
	}
	return all
})

func newPair(kind string) pair {
	var signer crypto.Signer
	var err error
	switch kind {
	case "RSA":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "SM2":
		signer, err = gm.GenerateKey()
	case "Ed25519":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case "ECDSA":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	marshalPrivate, marshalPublic := x509.MarshalPKCS8PrivateKey, x509.MarshalPKIXPublicKey
	if kind == "SM2" {
		marshalPrivate, marshalPublic = smx509.MarshalPKCS8PrivateKey, smx509.MarshalPKIXPublicKey
	}
	private, err := marshalPrivate(signer)
	if err != nil {
		panic(err)
	}
	public, err := marshalPublic(signer.Public())
	if err != nil {
		panic(err)
	}
	return pair{
		signer, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	}
}

// serial is the serial number under which each side's key is known.
const serial = "5157F09EFDC096DE"

// keySets are the two sides of a recipe's keys.
type keySets struct {
	merchant, provider *keys.Set
	secrets            map[string]string
	certificate        []byte // of the provider's key, where the recipe reads one
}

// newKeys makes the keys that a recipe needs.
func newKeys(t *testing.T, r recipe.Recipe, p *recipe.Program, s settings) *keySets {
	t.Helper()
	k := &keySets{secrets: secretsOf(r, s)}
	merchant, provider := make(keys.Material), make(keys.Material)
	put := func(m keys.Material, role keys.Role, text []byte) { m[role] = keys.Value{Text: text, Origin: "a test"} }
	for name, secret := range k.secrets {
		put(merchant, keys.SharedSecret.With(name), []byte(secret))
		put(provider, keys.SharedSecret.With(name), []byte(secret))
	}
	kinds := p.Describe().Kinds
	for _, role := range []keys.Role{keys.Sign, keys.Verify, keys.Encrypt, keys.Decrypt} {
		if kinds[role] == "" {
			kinds[role] = "RSA"
		}
	}
	for role, kind := range kinds {
		plain, id := role.Split()
		ours, theirs := pairs()["merchant"+kind], pairs()["provider"+kind]
		switch plain {
		case keys.Sign:
			put(merchant, role, ours.private)
			put(provider, keys.Verify.With(id), ours.public)
			put(merchant, "sign.serial", []byte(serial))
		case keys.Verify:
			put(merchant, role, theirs.public)
			put(merchant, keys.Verify.With(serial), theirs.public)
			put(merchant, "verify.serial", []byte(serial))
			put(provider, keys.Sign.With(id), theirs.private)
		case keys.Encrypt:
			put(merchant, role, theirs.public)
			put(provider, keys.Decrypt.With(id), theirs.private)
			put(merchant, "encrypt.serial", []byte(serial))
		case keys.Decrypt:
			put(merchant, role, ours.private)
			put(provider, keys.Encrypt.With(id), ours.public)
		}
	}
	if hasWord(r.Lines, "certificate") {
		var root []byte
		root, k.certificate = chain(t, pairs()["providerRSA"].signer, pairs()["strangerRSA"].signer, "041@8@中国银联股份有限公司@9")
		delete(merchant, keys.Verify.With(serial))
		put(merchant, keys.Verify, root)
	}
	var err error
	k.merchant, err = keys.Parse("merchant", "1", merchant)
	require.NoError(t, err)
	require.Empty(t, k.merchant.Broken)
	k.provider, err = keys.Parse("provider", "1", provider)
	require.NoError(t, err)
	require.Empty(t, k.provider.Broken)
	return k
}

// chain returns the certificate of an authority, and that of a key under it in a name.
func chain(t *testing.T, key, authority crypto.Signer, name string) (root, leaf []byte) {
	t.Helper()
	template := func(n int64, name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	top := template(1, "root", true)
	rootDER, err := x509.CreateCertificate(rand.Reader, top, top, authority.Public(), authority)
	require.NoError(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, template(2, name, false), top, key.Public(), authority)
	require.NoError(t, err)
	block := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	return block(rootDER), block(leafDER)
}

func hasWord(lines []recipe.Line, word string) bool {
	return slices.ContainsFunc(lines, func(l recipe.Line) bool { return l.Words[0] == word || hasWord(l.Block, word) })
}

// secretsOf returns the secrets that a recipe names, each written and as long as the
// statements that use it say.
func secretsOf(r recipe.Recipe, s settings) map[string]string {
	secrets := map[string]string{"": "shared-secret-of-32-characters-x"}
	var walk func(lines []recipe.Line)
	walk = func(lines []recipe.Line) {
		for _, l := range lines {
			for _, w := range l.Words {
				for rest := w; ; {
					_, after, ok := strings.Cut(rest, "{secret.")
					if !ok {
						break
					}
					name, behind, _ := strings.Cut(after, "}")
					if _, known := secrets[name]; !known {
						secrets[name] = ("secret-named-" + name + "-0123456789abcdef")[:16]
					}
					rest = behind
				}
			}
			walk(l.Block)
			useSecret(secrets, l)
		}
	}
	walk(s.kept(r.Lines))
	return secrets
}

// useSecret gives the secret of a statement the form and the size that it needs.
func useSecret(secrets map[string]string, l recipe.Line) {
	name, form, size, symmetric := "", "", 32, false
	for _, w := range l.Words[1:] {
		if c, err := cipher.Named(w); err == nil && c.Kind() == cipher.Symmetric {
			if symmetric = true; c.KeySize() > 0 {
				size = c.KeySize()
			}
		}
	}
	derived := false
	for _, inner := range l.Block {
		switch inner.Words[0] {
		case "wrap":
			return
		case "key":
			_, name, _ = strings.Cut(inner.Words[1], "@")
		case "secret":
			form = inner.Words[1]
		case "derive":
			derived = true
		case "iv":
			if inner.Words[1] == "hex" && strings.HasPrefix(inner.Words[2], "{secret.") {
				secrets[strings.TrimSuffix(strings.TrimPrefix(inner.Words[2], "{secret."), "}")] = "000102030405060708090a0b0c0d0e0f"
			}
		}
	}
	text := []byte("0123456789abcdefghijklmnopqrstuv")[:size]
	switch {
	case form == "hex":
		secrets[name] = hex.EncodeToString(text)
	case form == "base64":
		secrets[name] = base64.StdEncoding.EncodeToString(text)
	case derived && secrets[name] == "":
		secrets[name] = "a-secret-of-any-length"
	case symmetric && !derived && (l.Words[0] == "encrypt" || l.Words[0] == "decrypt"):
		secrets[name] = string(text)
	}
}
