package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, texts map[Role]string) *Set {
	t.Helper()
	material := make(Material)
	for role, text := range texts {
		material[role] = Value{Text: []byte(text), Origin: "file " + role.FileName()}
	}
	set, err := Parse("pay/1", "v1", material)
	require.NoError(t, err)
	return set
}

func TestParseRole(t *testing.T) {
	for text, file := range map[string]string{
		"sign": "sign.pem", "verify_secret": "verify_secret", "secret@iv": "secret@iv",
		"verify@5157F09EFDC096DE": "verify@5157F09EFDC096DE.pem", "verify@PUB_KEY_ID_01": "verify@PUB_KEY_ID_01.pem",
		"sign.serial": "sign.serial", "verify@a.serial": "verify@a.serial.pem",
	} {
		role, ok := ParseRole(text)
		require.True(t, ok, text)
		assert.Equal(t, file, role.FileName())
		again, ok := ParseFileName(file)
		assert.True(t, ok, file)
		assert.Equal(t, role, again)
	}
	for _, text := range []string{"", "nonsense", "verify@", "verify@a/b", "verify@../x", "@a", "verify@a@b", "verify@密", "secret.serial", "nonsense.serial"} {
		_, ok := ParseRole(text)
		assert.False(t, ok, text)
	}
	for _, name := range []string{"sign", "secret.pem", "sign.pem~", "verify@1.pem.bak", "certificate.pem", "sign.serial.pem", ".pem"} {
		_, ok := ParseFileName(name)
		assert.False(t, ok, name)
	}
	assert.True(t, Role("secret@iv").IsPrivate())
	assert.False(t, Role("verify@iv").IsPrivate())
}

func TestNamedKeys(t *testing.T) {
	one, two := &one().PublicKey, &two().PublicKey
	set := parse(t, map[Role]string{
		Verify:        block("CERTIFICATE", certificateOf(t, one, 0x0AB1)),
		"verify@00c2": block("PUBLIC KEY", pkix8(two)),
		"encrypt@E1":  block("PUBLIC KEY", pkix8(two)),
		"secret@iv":   "iv\n", "verify_secret@iv": "older\n",
	})
	keys := func(id string) (out []string) {
		for _, k := range set.VerifyKeys(id) {
			out = append(out, k.Fingerprint)
		}
		return out
	}
	assert.Equal(t, []string{Fingerprint(one), Fingerprint(two)}, keys(""), "the plain one first")
	for _, id := range []string{"00c2", "C2", "0000C2"} {
		assert.Equal(t, []string{Fingerprint(two)}, keys(id), id)
	}
	for _, id := range []string{"0AB1", "ab1", "2737"} {
		assert.Equal(t, []string{Fingerprint(one)}, keys(id), "the serial of its certificate: %s", id)
		assert.True(t, set.Has(Verify.With(id)))
	}
	assert.Empty(t, keys("AB2"))
	assert.ErrorContains(t, set.Need("verify@AB2"), "verify@AB2")

	assert.Equal(t, "E1", set.EncryptKey("").ID, "the only one")
	assert.Equal(t, "E1", set.EncryptKey("e1").ID)
	assert.Nil(t, set.EncryptKey("E2"))
	assert.Equal(t, "iv", string(set.NamedSecret("iv").Bytes()))
	assert.Nil(t, set.NamedSecret(""))
	assert.Nil(t, set.NamedSecret("key"))
	assert.Len(t, set.Secrets("iv"), 2)
	assert.NoError(t, set.Need(Verify, Encrypt, "secret@iv", "verify_secret@iv"))
	assert.ErrorIs(t, set.Need(SharedSecret), ErrMissingRole, "a named secret is not the secret")
	assert.Equal(t, []Role{Verify, "verify@00c2", "encrypt@E1", "secret@iv", "verify_secret@iv"}, set.Roles())
}

// Several keys that encrypt and none of them plain: nobody says which.
func TestAmbiguousNamedKey(t *testing.T) {
	set := parse(t, map[Role]string{
		"encrypt@1": block("PUBLIC KEY", pkix8(&one().PublicKey)),
		"encrypt@2": block("PUBLIC KEY", pkix8(&two().PublicKey)),
	})
	assert.Nil(t, set.EncryptKey(""))
	assert.Equal(t, Fingerprint(&two().PublicKey), set.EncryptKey("2").Fingerprint)
	_, ok := set.Serial(Encrypt)
	assert.False(t, ok)
}

func TestSerials(t *testing.T) {
	key, public := one(), &one().PublicKey
	beside := block("PRIVATE KEY", pkcs8(key)) + block("CERTIFICATE", certificateOf(t, public, 68759663125))
	for name, c := range map[string]struct {
		texts        map[Role]string
		role         Role
		hex, decimal string
	}{
		"certificate beside the key":             {map[Role]string{Sign: beside, "sign.serial": "FFFF"}, Sign, "1002653215", "68759663125"},
		"certificate before the key":             {map[Role]string{Sign: block("CERTIFICATE", certificateOf(t, public, 0x5F)) + block("PRIVATE KEY", pkcs8(key))}, Sign, "5F", "95"},
		"a file for it":                          {map[Role]string{Sign: bare(pkcs8(key)), "sign.serial": "1DDE55AD98ED71D6\n"}, Sign, "1DDE55AD98ED71D6", "2152251876013076950"},
		"a file in decimal":                      {map[Role]string{Sign: bare(pkcs8(key)), "sign.serial": "68759663125"}, Sign, "68759663125", "68759663125"},
		"a certificate of verify":                {map[Role]string{Verify: block("CERTIFICATE", certificateOf(t, public, 0xA0B))}, Verify, "0A0B", "2571"},
		"the only key with an id":                {map[Role]string{"verify@PUB_KEY_ID_01": bare(pkix8(public))}, Verify, "PUB_KEY_ID_01", ""},
		"none":                                   {map[Role]string{Verify: bare(pkix8(public))}, Verify, "", ""},
		"a plain key and one with an id":         {map[Role]string{Verify: bare(pkix8(public)), "verify@AA": bare(pkix8(&two().PublicKey))}, Verify, "", ""},
		"of encrypt, the only key of verify":     {map[Role]string{"verify@AA": bare(pkix8(public))}, Encrypt, "AA", "170"},
		"of encrypt, which verify has as well":   {map[Role]string{"verify@AA": bare(pkix8(public)), Encrypt: bare(pkix8(public))}, Encrypt, "AA", "170"},
		"of encrypt, which is another key":       {map[Role]string{"verify@AA": bare(pkix8(public)), Encrypt: bare(pkix8(&two().PublicKey))}, Encrypt, "", ""},
		"of encrypt, of two keys of verify none": {map[Role]string{"verify@AA": bare(pkix8(public)), "verify@BB": bare(pkix8(&two().PublicKey))}, Encrypt, "", ""},
		"of encrypt, a plain key of verify":      {map[Role]string{Verify: bare(pkix8(public))}, Encrypt, "", ""},
		"of verify, not that of encrypt":         {map[Role]string{"encrypt@AA": bare(pkix8(public))}, Verify, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := parse(t, c.texts)
			serial, ok := set.Serial(c.role)
			assert.Equal(t, c.hex, serial)
			assert.Equal(t, c.hex != "", ok)
			assert.Equal(t, ok, set.Has(c.role+".serial"))
			number, _ := set.SerialDecimal(c.role)
			assert.Equal(t, c.decimal, number)
		})
	}
}

func TestKinds(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	set := parse(t, map[Role]string{
		Sign: block("EC PRIVATE KEY", sec1), Decrypt: block("PRIVATE KEY", pkcs8(ed)) + block("PRIVATE KEY", pkcs8(one())),
		Verify: block("PUBLIC KEY", pkix8(&ec.PublicKey)) + block("PUBLIC KEY", pkix8(edPublic)), SharedSecret: "s",
	})
	assert.Equal(t, []string{KindECDSA}, set.Kinds(Sign))
	assert.Equal(t, []string{KindECDSA, KindEd25519}, set.Kinds(Verify))
	assert.Equal(t, []string{KindEd25519, KindRSA}, set.Kinds(Decrypt))
	assert.Empty(t, set.Kinds(SharedSecret))
	assert.Nil(t, set.Sign.Public)
	assert.Nil(t, set.Verify[1].RSA)
	assert.Equal(t, edPublic, set.Verify[1].Key)
	assert.Equal(t, Fingerprint(edPublic), set.Verify[1].Fingerprint)
}

// With a chain only its leaf verifies: whoever has the issuer's key must not be
// taken for the peer.
func TestChains(t *testing.T) {
	root, middle, leaf := chain(t)
	separate := block("CERTIFICATE", certificateOf(t, &two().PublicKey, 9))
	for name, c := range map[string]struct {
		texts map[Role]string
		want  int
	}{
		"leaf, issuer, root":          {map[Role]string{Verify: leaf + middle + root}, 1},
		"root, issuer, leaf":          {map[Role]string{Verify: root + middle + leaf}, 1},
		"the issuer without the root": {map[Role]string{Verify: leaf + middle}, 1},
		"a chain and another key":     {map[Role]string{Verify: leaf + middle + root + separate}, 2},
		"self-signed and renewed":     {map[Role]string{Verify: block("CERTIFICATE", certificateOf(t, &one().PublicKey, 1)) + block("CERTIFICATE", certificateOf(t, &one().PublicKey, 2))}, 2},
		"the issuer under an id":      {map[Role]string{Verify: leaf, "verify@ca": middle}, 1},
		"roots alone":                 {map[Role]string{Verify: middle + root}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			set := parse(t, c.texts)
			assert.Len(t, set.VerifyKeys(""), c.want)
			for _, key := range set.VerifyKeys("") {
				assert.NotEqual(t, "root", key.Certificate.Subject.CommonName)
				if name != "roots alone" {
					assert.NotEqual(t, "middle", key.Certificate.Subject.CommonName)
				}
			}
			certificates := 0
			for _, text := range c.texts {
				certificates += len(mustEncoded(t, text))
			}
			assert.Len(t, set.Roots(), certificates, "all of them may end a chain")
		})
	}
	set := parse(t, map[Role]string{Encrypt: leaf + middle + root})
	assert.Equal(t, "leaf", set.EncryptKey("").Certificate.Subject.CommonName)
}

func TestBrokenRoles(t *testing.T) {
	good := map[Role]string{SharedSecret: "s", Verify: ""}
	for _, broken := range []string{"", " \n", "rubbish!", block("PUBLIC KEY", pkix8(&one().PublicKey))[:100]} {
		good[Verify] = broken
		set := parse(t, good)
		require.NoError(t, set.Need(SharedSecret))
		err := set.Need(Verify)
		require.ErrorIs(t, err, ErrBroken)
		assert.ErrorContains(t, err, "file verify.pem")
		assert.False(t, set.Has(Verify))
	}
	set := parse(t, map[Role]string{SharedSecret: "s", "verify@1": "x"})
	assert.ErrorIs(t, set.Need(Verify), ErrBroken, "the only key of the role")
	assert.ErrorIs(t, set.Need("verify@1"), ErrBroken)

	_, err := Parse("pay/1", "v1", Material{Verify: {Text: []byte("x")}})
	assert.ErrorIs(t, err, ErrBroken, "nothing is left")
}

// A source keeps the set that it had where a role breaks, and lets a role go
// that was emptied.
func TestLost(t *testing.T) {
	public := block("PUBLIC KEY", pkix8(&one().PublicKey))
	before := parse(t, map[Role]string{SharedSecret: "s", Verify: public})
	assert.ErrorIs(t, parse(t, map[Role]string{SharedSecret: "s", Verify: public + public[:90]}).Lost(before), ErrBroken)
	assert.NoError(t, parse(t, map[Role]string{SharedSecret: "s", Verify: ""}).Lost(before))
	assert.NoError(t, parse(t, map[Role]string{SharedSecret: "s"}).Lost(before))
	assert.NoError(t, parse(t, map[Role]string{SharedSecret: "s", Verify: "x"}).Lost(nil))
	assert.NoError(t, parse(t, map[Role]string{SharedSecret: "s", Encrypt: "x"}).Lost(before), "it never served")
}

// An authority's key verifies no message, whether it has issued the leaf beside it or
// not. Keys that a provider has signed itself stay several.
func TestAnAuthorityThatDidNotIssueTheLeaf(t *testing.T) {
	_, _, leaf := chain(t)
	root, middle, _ := chain(t)
	bare := block("PUBLIC KEY", pkix8(&two().PublicKey))
	selfMade := func(key *rsa.PrivateKey, usage x509.KeyUsage) string {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: usage}
		template.Subject.CommonName = "self"
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		require.NoError(t, err)
		return block("CERTIFICATE", der)
	}
	for name, c := range map[string]struct {
		texts map[Role]string
		names []string
	}{
		"an authority behind the leaf":         {map[Role]string{Verify: leaf + root}, []string{"leaf"}},
		"and in front of it":                   {map[Role]string{Verify: root + leaf}, []string{"leaf"}},
		"an intermediate":                      {map[Role]string{Verify: leaf + middle}, []string{"leaf"}},
		"under an id":                          {map[Role]string{Verify: leaf, "verify@ca": root}, []string{"leaf"}},
		"the leaf under an id":                 {map[Role]string{Verify: root, "verify@1": leaf}, []string{"leaf"}},
		"an intermediate beside a bare key":    {map[Role]string{Verify: bare + middle}, []string{""}},
		"a certificate for certificates":       {map[Role]string{Verify: bare + selfMade(one(), x509.KeyUsageCertSign)}, []string{""}},
		"the provider's own beside a bare key": {map[Role]string{Verify: bare + selfMade(one(), 0)}, []string{"", "self"}},
		"two that the provider made":           {map[Role]string{Verify: selfMade(one(), 0) + selfMade(two(), 0)}, []string{"self", "self"}},
		"one alone":                            {map[Role]string{Verify: selfMade(one(), x509.KeyUsageCertSign)}, []string{"self"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := parse(t, c.texts)
			var names []string
			for _, key := range set.VerifyKeys("") {
				name := ""
				if key.Certificate != nil {
					name = key.Certificate.Subject.CommonName
				}
				names = append(names, name)
			}
			assert.Equal(t, c.names, names)
			assert.Empty(t, set.VerifyKeys("ca"))
			dropped := len(set.Roots()) - len(slices.DeleteFunc(names, func(n string) bool { return n == "" }))
			assert.Len(t, set.Warnings, dropped, "what verifies nothing is said")
		})
	}
	assert.Equal(t, "leaf", parse(t, map[Role]string{Encrypt: leaf + root}).EncryptKey("").Certificate.Subject.CommonName)
}

func certificateOf(t *testing.T, public any, serial int64) []byte {
	t.Helper()
	return issue(t, "provider", public, "provider", serial, false)
}

// issue makes a certificate that the first key of the tests signs in the name of issuer.
func issue(t *testing.T, subject string, public any, issuer string, serial int64, ca bool) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: ca,
	}
	template.Subject.CommonName = subject
	parent := &x509.Certificate{}
	parent.Subject.CommonName = issuer
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, one())
	require.NoError(t, err)
	return der
}

// chain makes a root, an issuer and a leaf, as PEM.
func chain(t *testing.T) (root, middle, leaf string) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return key
	}
	make := func(name string, ca bool, public any, parent *x509.Certificate, signer any) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(len(name))), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true, IsCA: ca,
		}
		template.Subject.CommonName = name
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
		require.NoError(t, err)
		c, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return c
	}
	rootKey, middleKey, leafKey := key(), key(), key()
	r := make("root", true, &rootKey.PublicKey, nil, rootKey)
	m := make("middle", true, &middleKey.PublicKey, r, rootKey)
	l := make("leaf", false, &leafKey.PublicKey, m, middleKey)
	return block("CERTIFICATE", r.Raw), block("CERTIFICATE", m.Raw), block("CERTIFICATE", l.Raw)
}

func mustEncoded(t *testing.T, text string) []encoded {
	t.Helper()
	blocks, err := ders([]byte(text))
	require.NoError(t, err)
	return blocks
}
