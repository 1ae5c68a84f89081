package signature

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

func TestRSA(t *testing.T) {
	sides := providertest.RSA(t, 1024)
	keys := []*rsa.PublicKey{&sides.Merchant.PublicKey, &sides.Provider.PublicKey}

	genuine, err := SignRSA(provider.NoFault, sides.Provider, "message")
	require.NoError(t, err)
	which, err := VerifyRSA(keys, "message", genuine)
	require.NoError(t, err)
	assert.Equal(t, 2, which, "the second key made it")

	broken := genuine[:40] + "\r\n" + genuine[40:]
	_, err = VerifyRSA(keys, "message", broken)
	assert.NoError(t, err, "line breaks are skipped")

	for _, fault := range []provider.Fault{provider.BadSignature, provider.WrongKey} {
		sig, err := SignRSA(fault, sides.Provider, "message")
		require.NoError(t, err)
		raw, err := base64.StdEncoding.DecodeString(sig)
		require.NoError(t, err)
		assert.Len(t, raw, 128, "it is well-formed")
		_, err = VerifyRSA(keys, "message", sig)
		assert.ErrorIs(t, err, ErrWrong, string(fault))
	}
	again, err := SignRSA(provider.WrongKey, sides.Provider, "message")
	require.NoError(t, err)
	once, err := SignRSA(provider.WrongKey, sides.Merchant, "message")
	require.NoError(t, err)
	assert.Equal(t, again, once, "one strange key for each size")

	// 128 bytes leave two bits over in the last letter, which must be zero.
	letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := letters[strings.IndexByte(letters, genuine[len(genuine)-2])+1]
	for name, sig := range map[string]string{
		"none":          "",
		"url-safe":      strings.NewReplacer("+", "-", "/", "_").Replace(genuine) + "-_",
		"trailing bits": genuine[:len(genuine)-2] + string(last) + "=",
		"no padding":    strings.TrimRight(genuine, "="),
		"space":         " " + genuine,
		"too short":     base64.StdEncoding.EncodeToString(make([]byte, 127)),
	} {
		_, err := VerifyRSA(keys, "message", sig)
		assert.Error(t, err, name)
	}
	_, err = VerifyRSA(nil, "message", genuine)
	assert.ErrorIs(t, err, ErrWrong, "no keys")
	_, err = SignRSA(provider.NoFault, nil, "message")
	assert.Error(t, err)
}

func TestDigest(t *testing.T) {
	digest := func(secret []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("message"))
		return mac.Sum(nil)
	}
	secrets := [][]byte{[]byte("new"), []byte("old")}
	genuine, err := SignDigest(provider.NoFault, secrets, digest)
	require.NoError(t, err)
	for i, sig := range []string{genuine, strings.ToUpper(genuine)} {
		which, err := VerifyDigest(secrets, digest, sig)
		require.NoError(t, err, i)
		assert.Equal(t, 1, which)
	}
	which, err := VerifyDigest([][]byte{[]byte("other"), []byte("new")}, digest, genuine)
	require.NoError(t, err)
	assert.Equal(t, 2, which)

	for _, fault := range []provider.Fault{provider.BadSignature, provider.WrongKey} {
		sig, err := SignDigest(fault, secrets, digest)
		require.NoError(t, err)
		assert.Len(t, sig, 64)
		_, err = VerifyDigest(secrets, digest, sig)
		assert.ErrorIs(t, err, ErrWrong, string(fault))
	}
	assert.Equal(t, "new", string(secrets[0]), "the secret is left alone")
	for _, sig := range []string{"", "zz", genuine[:62], genuine + "00"} {
		_, err := VerifyDigest(secrets, digest, sig)
		assert.Error(t, err, sig)
	}
	_, err = SignDigest(provider.NoFault, nil, digest)
	assert.Error(t, err)
}

func TestAnotherStaysOfTheSameType(t *testing.T) {
	for _, c := range []struct{ value, want wire.Value }{
		{wire.Str("ORG1"), wire.Str("ORG2")},
		{wire.Str("9"), wire.Str("0")},
		{wire.Str("success"), wire.Str("success0")},
		{wire.Str("分账"), wire.Str("分账0")},
		{wire.Num("19"), wire.Num("10")},
		{wire.Num("0"), wire.Num("1")},
		{wire.Num("0.99"), wire.Num("0.90")},
		{wire.Flag(true), wire.Flag(false)},
		{wire.Str(""), wire.Str("another")},
		{wire.Value{}, wire.Str("another")},
		{wire.Arr(), wire.Str("another")},
	} {
		assert.Equal(t, c.want, Another(c.value))
	}
}

func TestTamperChangesOneMember(t *testing.T) {
	message := wire.Obj(wire.M("a", wire.Str("")), wire.M("b", wire.Num("1")), wire.M("c", wire.Num("1")))
	assert.Equal(t, `{"a":"","b":2,"c":1}`, Tamper(message, "absent", "a", "b", "c").Encode())
	assert.Equal(t, message, Tamper(message, "a"))
}
