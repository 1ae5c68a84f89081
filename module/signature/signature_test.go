package signature

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"crypto"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

func set(t *testing.T, material map[keys.Role]string) *keys.Set {
	t.Helper()
	m := make(keys.Material)
	for role, text := range material {
		m[role] = keys.Value{Text: []byte(text)}
	}
	s, err := keys.Parse("test", "1", m)
	require.NoError(t, err)
	return s
}

// rsaSet is a set whose verify keys are those of the private keys given.
func rsaSet(t *testing.T, sign *rsa.PrivateKey, verify ...*rsa.PrivateKey) *keys.Set {
	t.Helper()
	s := new(keys.Set)
	if sign != nil {
		var err error
		s.Sign, err = keys.NewRSAKey(sign, "a test")
		require.NoError(t, err)
	}
	for _, key := range verify {
		s.Verify = append(s.Verify, &keys.PublicKey{RSA: &key.PublicKey, Fingerprint: keys.Fingerprint(&key.PublicKey)})
	}
	return s
}

func newKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	_, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return key
}

func TestDigests(t *testing.T) {
	message, secret := []byte("a=1&"), "s3cret"
	s := set(t, map[keys.Role]string{keys.SharedSecret: secret})
	// printf 'a=1&key=s3cret' | md5sum, printf 'a=1&s3cret' | md5sum,
	// printf 'a=1&' | openssl dgst -sha256 -hmac s3cret
	for want, algorithm := range map[string]Algorithm{
		"557665E0156E9D90B5AFF410E1F7AF27": UpperHex(MD5WithSecret("key=")), "DC26DAB83B3B4A82A2F310471E466512": UpperHex(MD5WithSecret("")), "59e421d0d3d21e2d71add24d176141e8531ff463752456e0162a10397ab55b32": LowerHex(HMACSHA256),
	} {
		sig, fingerprint, err := algorithm.Sign(s, message)
		require.NoError(t, err)
		assert.Equal(t, want, sig)
		assert.Equal(t, s.Secret.Fingerprint, fingerprint)
		assert.Equal(t, keys.SharedSecret, algorithm.SignRole())
		assert.Equal(t, keys.SharedSecret, algorithm.VerifyRole())

		for _, good := range []string{want, strings.ToLower(want), strings.ToUpper(want)} {
			_, err = algorithm.Verify(s, message, good)
			assert.NoError(t, err)
		}
		for _, bad := range []string{"", "0", want[1:], want + "00", " " + want, want + "\n", "0x" + want, strings.Repeat("g", len(want)), strings.Repeat("0", len(want))} {
			_, err = algorithm.Verify(s, message, bad)
			assert.ErrorIs(t, err, ErrVerify, bad)
		}
		_, err = algorithm.Verify(s, []byte("a=2&"), want)
		assert.ErrorIs(t, err, ErrVerify)
	}
}

func TestASecretThatIsBeingRotated(t *testing.T) {
	algorithm := LowerHex(HMACSHA256)
	old := set(t, map[keys.Role]string{keys.SharedSecret: "old"})
	sig, _, err := algorithm.Sign(old, []byte("m"))
	require.NoError(t, err)

	both := set(t, map[keys.Role]string{keys.SharedSecret: "new", keys.VerifySecret: "older\nold\n"})
	fingerprint, err := algorithm.Verify(both, []byte("m"), sig)
	require.NoError(t, err)
	assert.Equal(t, old.Secret.Fingerprint, fingerprint)

	mine, _, err := algorithm.Sign(both, []byte("m"))
	require.NoError(t, err)
	_, err = algorithm.Verify(old, []byte("m"), mine)
	assert.ErrorIs(t, err, ErrVerify, "only secret signs")

	_, err = algorithm.Verify(set(t, map[keys.Role]string{keys.SharedSecret: "new"}), []byte("m"), sig)
	assert.ErrorIs(t, err, ErrVerify)
}

func TestSHA256WithRSA(t *testing.T) {
	old, current := newKey(t, 1024), newKey(t, 2048)
	for _, key := range []*rsa.PrivateKey{old, current} {
		sig, fingerprint, err := SHA256WithRSA.Sign(rsaSet(t, key), []byte("a=1"))
		require.NoError(t, err)
		assert.Equal(t, keys.Fingerprint(&key.PublicKey), fingerprint)

		used, err := SHA256WithRSA.Verify(rsaSet(t, nil, old, current), []byte("a=1"), sig)
		require.NoError(t, err)
		assert.Equal(t, fingerprint, used)
		_, err = SHA256WithRSA.Verify(rsaSet(t, nil, old, current), []byte("a=2"), sig)
		assert.ErrorIs(t, err, ErrVerify)
		_, err = SHA256WithRSA.Verify(rsaSet(t, nil), []byte("a=1"), sig)
		assert.ErrorIs(t, err, ErrVerify, "no key verifies nothing")

		raw, err := base64.StdEncoding.DecodeString(sig)
		require.NoError(t, err)
		for name, bad := range map[string]string{
			"empty": "", "short": base64.StdEncoding.EncodeToString(raw[1:]), "long": base64.StdEncoding.EncodeToString(append([]byte{0}, raw...)),
			"url-safe": base64.URLEncoding.EncodeToString(raw) + "_", "unpadded": strings.TrimRight(sig, "="), "zero": base64.StdEncoding.EncodeToString(make([]byte, len(raw))),
		} {
			if bad != sig {
				_, err = SHA256WithRSA.Verify(rsaSet(t, nil, old, current), []byte("a=1"), bad)
				assert.ErrorIs(t, err, ErrVerify, name)
			}
		}
	}
	assert.Equal(t, keys.Sign, SHA256WithRSA.SignRole())
	assert.Equal(t, keys.Verify, SHA256WithRSA.VerifyRole())
}

// failing is a signer that does not sign, as Vault when it is sealed.
type failing struct{ public *rsa.PublicKey }

func (f failing) Public() crypto.PublicKey { return f.public }
func (failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errSealed
}

var errSealed = errors.New("sealed")

func TestASignerThatFails(t *testing.T) {
	key := newKey(t, 1024)
	s := &keys.Set{Sign: keys.NewPrivateKey(failing{&key.PublicKey}, nil, &key.PublicKey, "vault transit/east")}
	_, _, err := SHA256WithRSA.Sign(s, []byte("secret message"))
	require.ErrorIs(t, err, errSealed)
	assert.Contains(t, err.Error(), "vault transit/east", "the log says which key failed")
	assert.NotContains(t, err.Error(), "secret message")
}
