package keys

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The keys of the tests, made once.
var (
	one = sync.OnceValue(func() *rsa.PrivateKey { return generate(1024) })
	two = sync.OnceValue(func() *rsa.PrivateKey { return generate(2048) })
)

func generate(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func pkix8(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func certificate(public any, signer *rsa.PrivateKey, expires time.Time) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider"}, NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, signer)
	if err != nil {
		panic(err)
	}
	return der
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func bare(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

// folded is Base64 in lines of 64 letters.
func folded(der []byte, newline string) string {
	var out strings.Builder
	for text := bare(der); text != ""; {
		n := min(64, len(text))
		out.WriteString(text[:n] + newline)
		text = text[n:]
	}
	return out.String()
}

func parseOne(role Role, text string) (*Set, error) {
	return Parse("easypay/1", "v1", Material{role: {Text: []byte(text), Origin: "file keys/easypay/1/" + string(role)}})
}

func TestPrivateFormats(t *testing.T) {
	key := one()
	want := Fingerprint(&key.PublicKey)
	for name, text := range map[string]string{
		"PKCS#8":                      block("PRIVATE KEY", pkcs8(key)),
		"PKCS#1":                      block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"PKCS#8 with CRLF":            strings.ReplaceAll(block("PRIVATE KEY", pkcs8(key)), "\n", "\r\n"),
		"PKCS#8 without a newline":    strings.TrimSpace(block("PRIVATE KEY", pkcs8(key))),
		"PKCS#8 behind a comment":     "Bag Attributes\n  friendlyName: x\n" + block("PRIVATE KEY", pkcs8(key)),
		"PKCS#1 under a wrong label":  block("PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"bare PKCS#8":                 bare(pkcs8(key)),
		"bare PKCS#1":                 bare(x509.MarshalPKCS1PrivateKey(key)),
		"bare PKCS#8 in lines":        folded(pkcs8(key), "\n"),
		"bare PKCS#8 in CRLF lines":   folded(pkcs8(key), "\r\n"),
		"bare PKCS#8 between blanks":  "  " + bare(pkcs8(key)) + " \n\n",
		"bare PKCS#8 with a final LF": bare(pkcs8(key)) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, role := range []Role{Sign, Decrypt} {
				set, err := parseOne(role, text)
				require.NoError(t, err)
				require.True(t, set.Has(role))
				assert.Equal(t, []string{want}, set.Fingerprints(role))
				private := set.Sign
				if role == Decrypt {
					private = set.Decrypt[0]
				}
				assert.Equal(t, &key.PublicKey, private.Public)
				assert.Equal(t, "file keys/easypay/1/"+string(role), private.Origin)
				assert.NotNil(t, private.Signer)
				assert.NotNil(t, private.Decrypter)
			}
		})
	}
}

func TestPublicFormats(t *testing.T) {
	key := &one().PublicKey
	expires := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, c := range map[string]struct {
		text    string
		expires time.Time
	}{
		"PKIX":                {text: block("PUBLIC KEY", pkix8(key))},
		"PKCS#1":              {text: block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(key))},
		"certificate":         {block("CERTIFICATE", certificate(key, one(), expires)), expires},
		"bare PKIX":           {text: bare(pkix8(key))},
		"bare PKIX in lines":  {text: folded(pkix8(key), "\r\n")},
		"bare PKCS#1":         {text: bare(x509.MarshalPKCS1PublicKey(key))},
		"a bare certificate":  {bare(certificate(key, one(), expires)), expires},
		"PKIX as CERTIFICATE": {text: block("CERTIFICATE", pkix8(key))},
	} {
		t.Run(name, func(t *testing.T) {
			for _, role := range []Role{Verify, Encrypt} {
				set, err := parseOne(role, c.text)
				require.NoError(t, err)
				public := set.Encrypt
				if role == Verify {
					require.Len(t, set.Verify, 1)
					public = set.Verify[0]
				}
				assert.Equal(t, key, public.RSA)
				assert.Equal(t, Fingerprint(key), public.Fingerprint)
				assert.True(t, public.Expires.Equal(c.expires))
			}
		})
	}
}

func TestSeveralKeys(t *testing.T) {
	public := block("PUBLIC KEY", pkix8(&one().PublicKey)) + "\n# the new one\n" + block("CERTIFICATE", certificate(&two().PublicKey, one(), time.Now())) +
		"\n \t\r\n"
	private := block("PRIVATE KEY", pkcs8(one())) + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(two()))
	prints := []string{Fingerprint(&one().PublicKey), Fingerprint(&two().PublicKey)}

	set, err := parseOne(Verify, public)
	require.NoError(t, err)
	assert.Equal(t, prints, set.Fingerprints(Verify), "all of them, in their order")
	set, err = parseOne(Decrypt, private)
	require.NoError(t, err)
	assert.Equal(t, prints, set.Fingerprints(Decrypt))

	_, err = parseOne(Encrypt, public)
	assert.ErrorContains(t, err, "several keys")
	_, err = parseOne(Sign, private)
	assert.ErrorContains(t, err, "several keys")
}

func TestRefusedKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	private := block("PRIVATE KEY", pkcs8(one()))
	public := block("PUBLIC KEY", pkix8(&one().PublicKey))
	small := small512(t)

	for name, c := range map[string]struct {
		role Role
		text string
		want string
	}{
		"a public key as sign":                 {Sign, public, "needs the private one"},
		"a bare public key as sign":            {Sign, bare(pkix8(&one().PublicKey)), "needs the private one"},
		"a certificate as decrypt":             {Decrypt, block("CERTIFICATE", certificate(&one().PublicKey, one(), time.Now())), "needs the private one"},
		"a bare certificate as decrypt":        {Decrypt, bare(certificate(&one().PublicKey, one(), time.Now())), "needs the private one"},
		"a private key as verify":              {Verify, private, "must never be here"},
		"a bare private key as verify":         {Verify, bare(pkcs8(one())), "must never be here"},
		"a PKCS#1 private key as encrypt":      {Encrypt, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(one())), "must never be here"},
		"a bare PKCS#1 private as encrypt":     {Encrypt, bare(x509.MarshalPKCS1PrivateKey(one())), "must never be here"},
		"an EC key on another curve as sign":   {Sign, block("PRIVATE KEY", pkcs8(p384)), "P-256 and SM2 are taken"},
		"an EC key on another curve as verify": {Verify, block("PUBLIC KEY", pkix8(&p384.PublicKey)), "Ed25519 and SM2 keys are taken"},
		"a key of another kind as sign":        {Sign, block("PRIVATE KEY", pkcs8(x25519)), "Ed25519 and SM2 keys are taken"},
		"a key of another kind as verify":      {Verify, block("PUBLIC KEY", pkix8(x25519.PublicKey())), "Ed25519 and SM2 keys are taken"},
		"one good and one of another kind":     {Verify, public + block("PUBLIC KEY", pkix8(&p384.PublicKey)), "Ed25519 and SM2 keys are taken"},
		"512 bits":                             {Verify, block("PUBLIC KEY", small), "at least 1024"},
		"empty":                                {Sign, "", "it is empty"},
		"white space":                          {Verify, " \n", "it is empty"},
		"text":                                 {Sign, "my secret key", "neither PEM nor Base64"},
		"Base64 of something else":             {Sign, bare([]byte("my secret key")), "not a valid private key"},
		"Base64 of another thing":              {Verify, bare([]byte("my secret key")), "not a valid public key"},
		"half of bare Base64":                  {Sign, bare(pkcs8(one()))[:400], "it is cut off"},
		"DER with bytes behind it":             {Verify, bare(append(pkix8(&one().PublicKey), 0)), "something follows the key: 1 bytes"},
		"half a PEM block":                     {Sign, private[:len(private)/2], "incomplete"},
		"a PEM block without its last -":       {Sign, strings.TrimSpace(private)[:len(private)-3], "incomplete"},
		"the beginning alone":                  {Verify, "-----BEGIN PUBLIC KEY-----\n", "incomplete"},
		"a good block and half of another":     {Verify, public + public[:len(public)/2], "incomplete"},
		"half a block and a good one":          {Verify, public[:len(public)/2] + "\n" + public, "incomplete"},
		"half a block of three":                {Verify, public + public[:len(public)/2] + "\n" + public, "incomplete"},
		"a block that is not Base64":           {Verify, "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n" + public, "not whole Base64"},
		"text behind the last block":           {Verify, public + "MIGfMA0GCSqGSIb3DQEB", "without BEGIN and END"},
		"PKCS#8 with a pass phrase":            {Sign, block("ENCRYPTED PRIVATE KEY", []byte("xxxx")), "pass phrase"},
		"PKCS#1 with a pass phrase": {Sign, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("xxxx")})), "pass phrase"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := parseOne(c.role, c.text)
			require.ErrorContains(t, err, c.want)
			assert.Nil(t, set)
			assert.ErrorContains(t, err, "file keys/easypay/1/"+string(c.role), "the error names the place")
			assert.ErrorContains(t, err, string(c.role)+" key")
			for _, secret := range []string{"my secret key", "xxxx", "!!!!", "MIGfMA0"} {
				assert.NotContains(t, err.Error(), secret, "the error holds material")
			}
		})
	}
}

// small512 returns a public key that is too short. Go itself no longer makes one.
func small512(t *testing.T) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), 511)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
	require.NoError(t, err)
	return der
}

func TestNeed(t *testing.T) {
	set, err := Parse("easypay/1", "v1", Material{
		Sign:   {Text: []byte(bare(pkcs8(one())))},
		Verify: {Text: []byte(bare(pkix8(&two().PublicKey)))},
	})
	require.NoError(t, err)
	assert.NoError(t, set.Need())
	assert.NoError(t, set.Need(Sign, Verify))
	for _, role := range []Role{Encrypt, Decrypt, SharedSecret, VerifySecret, "nonsense"} {
		err := set.Need(Sign, role, Verify)
		require.ErrorIs(t, err, ErrMissingRole)
		assert.ErrorContains(t, err, `"easypay/1" has no `+string(role))
	}
}

// A key that stays elsewhere is taken as it is.
func TestPrivateElsewhere(t *testing.T) {
	key := NewPrivateKey(one(), nil, &one().PublicKey, "transit:pay/east")
	set, err := Parse("easypay/1", "v1", Material{Sign: {Private: []*PrivateKey{key}}, Decrypt: {Private: []*PrivateKey{key}}})
	require.NoError(t, err)
	assert.Same(t, key, set.Sign)
	assert.Equal(t, []*PrivateKey{key}, set.Decrypt)
}

// No way of printing a set shows a key or a secret.
func TestNothingPrintsAKey(t *testing.T) {
	const planted = "planted-secret-4111111111111111"
	set, err := Parse("x/1", "v1", Material{
		Sign:         {Text: []byte(bare(pkcs8(one())))},
		Decrypt:      {Text: []byte(bare(pkcs8(two())))},
		SharedSecret: {Text: []byte(planted)},
		VerifySecret: {Text: []byte(planted + "2")},
	})
	require.NoError(t, err)
	var printed strings.Builder
	for _, v := range []any{set.Secret, *set.Secret, set.Sign, *set.Sign, set.Decrypt[0], set.VerifySecrets, set, *set} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&printed, verb, v)
		}
		if text, err := json.Marshal(v); err == nil {
			printed.Write(text)
		}
	}
	text := strings.ToLower(printed.String())
	for name, secret := range map[string]string{
		"the secret":            planted,
		"the secret in hex":     fmt.Sprintf("%x", planted),
		"the secret in numbers": strings.Trim(fmt.Sprint([]byte(planted)), "[]"),
		"the secret in base64":  strings.ToLower(bare([]byte(planted))),
		"the exponent":          one().D.String(),
		"the exponent in hex":   one().D.Text(16),
		"a prime":               one().Primes[0].String(),
		"another exponent":      two().D.String(),
		"a prime of another":    two().Primes[0].Text(16),
	} {
		assert.False(t, strings.Contains(text, secret), "it shows %s", name) // NotContains would show it again
	}
	assert.True(t, strings.Contains(text, set.Secret.Fingerprint), "the check itself sees what is printed")
}
