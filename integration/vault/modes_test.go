package vault_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

func TestEveryModeWithTheLeastPolicy(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, inTransit, mixed, withMD5}, s.byRole(), "refresh 1s")

	for _, reference := range []string{inKV, inTransit, mixed, withMD5} {
		a := c.pay(reference)
		require.True(t, a.ok(), "%s: %d %s", reference, a.status, a.body)
		if reference != withMD5 {
			assert.Contains(t, a.body, "分账成功", "the answer's own envelope was opened: %s", reference)
			assert.Contains(t, a.body, `"orderSubDetails":[{`, reference)
		}
	}
	// In Transit both private operations were Vault's, mixed only the signature.
	assert.Equal(t, 2, s.proxy.Count("/v1/signing/sign/shop-sign/sha2-256"))
	assert.Equal(t, 1, s.proxy.Count("/v1/signing/decrypt/shop-decrypt"))
	c.lacks(c.Log(), "lacks a capability")
	c.lacks(c.Log(), "may not")

	k := c.keys(inTransit)
	assert.Equal(t, []string{"sign", "verify", "encrypt", "decrypt"}, k.Roles)
	assert.Equal(t, "version 1, transit:signing/shop-sign version 1, transit:signing/shop-decrypt version 1", k.Version)
	assert.Equal(t, c.keys(inKV).Fingerprints, k.Fingerprints, "the same keys, wherever they are")
}

func TestFormatsOfTheFileSource(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	c := s.start([]string{inKV, withMD5}, s.byRole(), "refresh 100ms")
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(merchantSign())}))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &providerSign().PublicKey, providerSign())
	require.NoError(t, err)
	bare := func(text string) string {
		block, _ := pem.Decode([]byte(text))
		return base64.StdEncoding.EncodeToString(block.Bytes)
	}

	for name, changes := range map[string][]string{
		"PKCS#1":       {"sign", pkcs1},
		"bare Base64":  {"sign", bare(privatePEM(merchantSign())), "verify", bare(publicPEM(providerSign()))},
		"certificate":  {"verify", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))},
		"several keys": {"verify", publicPEM(smallSign(), providerSign()), "decrypt", privatePEM(smallSign(), merchantDecrypt())},
		"white space":  {"sign", "\n" + privatePEM(merchantSign()) + "\r\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			version := s.change(inKV, changes...)
			s.taken(c, inKV, version)
			c.paid(inKV)
		})
	}

	t.Run("a secret, and one that it replaces", func(t *testing.T) {
		s.taken(c, withMD5, s.put(withMD5, map[string]string{"secret": "the new one\r\n", "verify_secret": "older\n" + md5Secret + "\n"}))
		a := c.pay(withMD5) // the provider still has the old one
		assert.NotContains(t, a.body, `"code":0`)
		s.taken(c, withMD5, s.put(withMD5, map[string]string{"secret": md5Secret + "\n"}))
		c.paid(withMD5)
	})

	t.Run("what is wrong keeps the old keys", func(t *testing.T) {
		for _, planted := range []struct {
			changes []string
			says    string
		}{
			{[]string{"sign", publicPEM(merchantSign())}, "it is a public key"},
			{[]string{"verify", privatePEM(providerSign())}, "it is a private key"},
			{[]string{"sign", "not a key"}, "neither PEM nor Base64"},
			{[]string{"verify", "transit:signing/shop-sign"}, "only sign and decrypt can be a Transit key"},
			{[]string{"sign", "transit:shop-sign"}, "transit:<mount>/<key>"},
		} {
			s.change(inKV, planted.changes...)
			c.awaitLog(planted.says)
			c.paid(inKV)
		}
	})
}

// taken waits until the sidecar has a version of a secret.
func (s *shop) taken(c *sidecar, reference string, version int) {
	s.t.Helper()
	want := "version " + strconv.Itoa(version)
	c.Await(reference+" has "+want, func() bool {
		got, _, _ := strings.Cut(c.keys(reference).Version, ",")
		return got == want
	})
}

func TestKeysThatTransitCannotHold(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	require.NoError(t, s.vault.CreateKey("signing", "curve", "ecdsa-p256"))
	require.NoError(t, s.vault.CreateKey("signing", "cipher", "aes256-gcm96"))
	s.policy("kv", policy(t, "kv")+`path "signing/keys/*" { capabilities = ["read"] }`)
	c := s.launch(s.caddyfile([]string{inKV}, s.byRole(), "refresh 100ms"))

	for key, says := range map[string]string{
		"small":  "store an RSA-1024 key in KV, as PEM in this field",
		"curve":  "is of the type ecdsa-p256, and the providers take RSA only",
		"cipher": "is of the type aes256-gcm96, and the providers take RSA only",
	} {
		s.change(inKV, "sign", "transit:signing/"+key)
		c.awaitLog(says)
	}
	// Vault itself refuses to make one.
	require.Error(t, s.vault.CreateKey("signing", "small", "rsa-1024"))

	// And as the errors say, such a key works from KV.
	s.provide(inKV, smallSign())
	s.taken(c, inKV, s.change(inKV, "sign", privatePEM(smallSign())))
	c.paid(inKV)
}

func TestUnknownReferences(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	sample := string(body(t, inKV))
	caddyfile := s.with(s.proxy.URL, []string{inKV}, []string{s.byRole(), "refresh 200ms"}, s.dynamic()...)
	c := s.launch(caddyfile)
	c.Await("ready", c.ready)
	pay := func(org string) answer {
		return c.post("/any/ledger/mpos", []byte(strings.Replace(sample, "ORG000000000007", org, 1)))
	}

	require.True(t, pay("kv").ok())
	s.proxy.ResetCounts()
	for range 20 {
		a := pay("nobody")
		require.Equal(t, http.StatusNotFound, a.status, a.body)
		assert.Equal(t, "unknown_key_set", a.code())
		assert.Equal(t, "not_sent", a.outcome())
	}
	assert.Equal(t, 1, s.proxy.Count("/v1/payments/data/easypay/nobody"), "remembered for a while")
	for _, org := range []string{"..", "kv/../transit", "a%2fb", "", "k v"} {
		assert.Equal(t, "unknown_key_set", pay(org).code(), org)
	}

	// A set that is taken away in Vault is gone.
	require.NoError(t, s.vault.DeleteSecret("payments", inKV))
	c.Await("gone", func() bool { return pay("kv").code() == "unknown_key_set" })
	c.Await("not ready", func() bool { return !c.ready() })
	// And one that comes again, again as version 1, is another one.
	s.put(inKV, fields()[inKV])
	c.Await("back", func() bool { return pay("kv").ok() })

	// So is one that was replaced within a refresh by another version 1.
	other := newKey(2048)()
	s.provide(inKV, other)
	c.Await("the old one is refused", func() bool { return !pay("kv").ok() })
	require.NoError(t, s.vault.DeleteSecret("payments", inKV))
	s.put(inKV, map[string]string{
		"sign": privatePEM(other), "decrypt": privatePEM(merchantDecrypt()),
		"verify": publicPEM(providerSign()), "encrypt": publicPEM(providerDecrypt()),
	})
	c.Await("the new one signs", func() bool { return pay("kv").ok() })
}
