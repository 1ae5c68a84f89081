package algorithm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/gm"
)

func named(t testing.TB, name string) Algorithm {
	t.Helper()
	a, err := Named(name)
	require.NoError(t, err)
	return a
}

// testKeys holds one key of each kind.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	sm2Key, err := gm.GenerateKey()
	if err != nil {
		panic(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"RSA": rsaKey, "SM2": sm2Key, "Ed25519": edKey, "ECDSA": ecKey}
})

// RFC 1321, FIPS 180 and RFC 2202, 4231 where they have the text; the others are
// what openssl dgst prints for "abc".
func TestSums(t *testing.T) {
	for name, want := range map[string]string{
		"md5":    "900150983cd24fb0d6963f7d28e17f72",
		"sha1":   "a9993e364706816aba3e25717850c26c9cd0d89d",
		"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		"sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		"sm3":    "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
	} {
		a := named(t, name)
		assert.Equal(t, Digest, a.Kind())
		assert.Equal(t, want, hex.EncodeToString(a.Sum([]byte("ignored"), []byte("abc"))), name)
		sum, err := DigestNamed(name)
		require.NoError(t, err)
		assert.Equal(t, want, hex.EncodeToString(sum([]byte("abc"))), name)
	}
	text, key := []byte("what do ya want for nothing?"), []byte("Jefe")
	for name, want := range map[string]string{
		"hmac-md5":    "750c783e6ab0b503eaa86e310a5db738",
		"hmac-sha1":   "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		"hmac-sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"hmac-sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
		"hmac-sm3":    "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
	} {
		a := named(t, name)
		assert.Equal(t, MAC, a.Kind())
		assert.Empty(t, a.KeyKind())
		assert.Equal(t, want, hex.EncodeToString(a.Sum(key, text)), name)

		good := a.Sum(key, text)
		assert.True(t, a.VerifySum(key, text, good))
		for what, bad := range map[string][]byte{"empty": nil, "short": good[1:], "long": append([]byte{0}, good...), "zeros": make([]byte, len(good))} {
			assert.False(t, a.VerifySum(key, text, bad), what)
		}
		assert.False(t, a.VerifySum([]byte("jefe"), text, good))
		assert.False(t, a.VerifySum(key, text[1:], good))
	}
}

func TestNames(t *testing.T) {
	_, err := Named("SHA256withRSA")
	assert.EqualError(t, err, `unknown algorithm "SHA256withRSA": write one of md5, sha1, sha256, sha384, sha512, sm3, `+
		`hmac-md5, hmac-sha1, hmac-sha256, hmac-sha512, hmac-sm3, rsa-md5, rsa-sha1, rsa-sha256, rsa-sha512, rsa-pss-sha256, `+
		`sm2, sm2-rs, ed25519, ecdsa-sha256`)
	_, err = DigestNamed("hmac-md5")
	assert.EqualError(t, err, `unknown digest "hmac-md5": write one of md5, sha1, sha256, sha384, sha512, sm3`)
	for _, a := range algorithms {
		assert.Equal(t, a.name, named(t, a.name).Name())
		weak := map[string]bool{"md5": true, "sha1": true, "hmac-md5": true, "hmac-sha1": true, "rsa-md5": true, "rsa-sha1": true}
		assert.Equal(t, weak[a.name], a.Weak() != "", a.name)
	}
}

// Every algorithm verifies what it signs, and nothing else does; a key of
// another kind neither signs nor verifies.
func TestSignThenVerify(t *testing.T) {
	text := []byte("a=1&b=2")
	for _, a := range algorithms {
		if a.Kind() != Public {
			_, err := a.Sign(testKeys()["RSA"], text, Options{})
			require.Error(t, err)
			assert.False(t, a.Verify(testKeys()["RSA"].Public(), text, nil, Options{}))
			continue
		}
		assert.Nil(t, a.Sum(nil, text))
		assert.False(t, a.VerifySum(nil, text, nil), "an absent sum must not equal an absent signature")
		for kind, key := range testKeys() {
			signature, err := a.Sign(key, text, Options{})
			if kind != a.KeyKind() {
				assert.ErrorContains(t, err, a.Name()+" needs a key of kind "+a.KeyKind()+", and this is one of kind "+kind)
				continue
			}
			require.NoError(t, err, a.Name())
			assert.True(t, a.Verify(key.Public(), text, signature, Options{}), a.Name())
			assert.False(t, a.Verify(key.Public(), []byte("a=1&b=3"), signature, Options{}), a.Name())
			assert.False(t, a.Verify(key.Public(), text, nil, Options{}), a.Name())
			for i := range signature {
				changed := append([]byte{}, signature...)
				changed[i] ^= 1
				assert.False(t, a.Verify(key.Public(), text, changed, Options{}), "%s byte %d", a.Name(), i)
			}
			for _, other := range algorithms {
				if other.Name() != a.Name() && other.Kind() == Public {
					assert.False(t, other.Verify(key.Public(), text, signature, Options{}), "%s as %s", a.Name(), other.Name())
				}
			}
			for otherKind, otherKey := range testKeys() {
				if otherKind != kind {
					assert.False(t, a.Verify(otherKey.Public(), text, signature, Options{}))
				}
			}
		}
	}
	for kind, key := range testKeys() {
		assert.Equal(t, kind, KeyKind(key.Public()))
	}
	assert.Empty(t, KeyKind(nil))
	assert.Empty(t, KeyKind("a key"))
	assert.Empty(t, KeyKind((*ecdsa.PublicKey)(nil)))
	assert.Empty(t, KeyKind((*rsa.PublicKey)(nil)))
}

// A remote signer gets what crypto/rsa, crypto/ecdsa and crypto/ed25519 get.
func TestRemoteSigner(t *testing.T) {
	text := []byte("a=1&b=2")
	for _, a := range algorithms {
		if a.Kind() != Public {
			continue
		}
		remote := &recorder{Signer: testKeys()[a.KeyKind()]}
		signature, err := a.Sign(remote, text, Options{})
		require.NoError(t, err)
		assert.True(t, a.Verify(remote.Public(), text, signature, Options{}))
		switch a.Name() {
		case "ed25519":
			assert.Equal(t, text, remote.digest)
			assert.Equal(t, crypto.Hash(0), remote.opts)
		case "sm2", "sm2-rs":
			assert.Len(t, remote.digest, 32)
			assert.Equal(t, crypto.Hash(0), remote.opts)
		case "rsa-pss-sha256":
			assert.IsType(t, &rsa.PSSOptions{}, remote.opts)
			fallthrough
		default:
			assert.Len(t, remote.digest, remote.opts.HashFunc().Size())
		}

		_, err = a.Sign(failing{remote}, text, Options{})
		require.ErrorIs(t, err, errSealed)
		assert.NotContains(t, err.Error(), string(text))
	}
}

type recorder struct {
	crypto.Signer
	digest []byte
	opts   crypto.SignerOpts
}

func (r *recorder) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r.digest, r.opts = digest, opts
	return r.Signer.Sign(random, digest, opts)
}

type failing struct{ crypto.Signer }

var errSealed = errors.New("sealed")

func (failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errSealed }

// Node's default salt is the longest that fits.
func TestPSSSalts(t *testing.T) {
	a, text := named(t, "rsa-pss-sha256"), []byte("a=1")
	key := testKeys()["RSA"].(*rsa.PrivateKey)
	sum, err := DigestNamed("sha256")
	require.NoError(t, err)
	for _, salt := range []int{0, 20, 32, key.Size() - 32 - 2} {
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum(text), &rsa.PSSOptions{SaltLength: max(salt, rsa.PSSSaltLengthAuto)})
		require.NoError(t, err)
		assert.True(t, a.Verify(key.Public(), text, signature, Options{}), salt)
	}
}
