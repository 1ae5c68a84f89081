package gm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// curveN returns the order of the curve.
func curveN() *big.Int { return sm2.P256().Params().N }

func fill(n *big.Int) []byte { return n.FillBytes(make([]byte, scalarSize)) }

// tlv returns an ASN.1 element with a short length.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	if len(content) < 128 {
		return append([]byte{tag, byte(len(content))}, content...)
	}
	return append([]byte{tag, 0x81, byte(len(content))}, content...)
}

// TestForgedSignatures are numbers other than those of a genuine signature. In
// ECDSA (r, n-s) is a second signature of the same text; in SM2 it is none.
func TestForgedSignatures(t *testing.T) {
	key, public := standardKey(t)
	text := []byte("a=1&b=2")
	der, err := Sign(key, nil, text)
	require.NoError(t, err)
	raw, err := DERToRaw(der)
	require.NoError(t, err)
	require.True(t, VerifyRaw(public, nil, text, raw), "the genuine one, or this test would prove nothing")

	r, s, n := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]), curveN()
	zero, one := new(big.Int), big.NewInt(1)
	less := new(big.Int).Sub(n, one)
	sub := func(x *big.Int) *big.Int { return new(big.Int).Sub(n, x) }
	for name, numbers := range map[string][2]*big.Int{
		"s negated": {r, sub(s)}, "r negated": {sub(r), s}, "both negated": {sub(r), sub(s)}, "swapped": {s, r},
		"r zero": {zero, s}, "s zero": {r, zero}, "both zero": {zero, zero}, "ones": {one, one},
		"r is n": {n, s}, "s is n": {r, n}, "both n": {n, n}, "r is n-1": {less, s}, "s is n-1": {r, less},
		"r + s = n": {r, sub(r)}, "the other way": {sub(s), s},
	} {
		forged := slices.Concat(fill(numbers[0]), fill(numbers[1]))
		assert.False(t, VerifyRaw(public, nil, text, forged), name)
		der, err := RawToDER(forged)
		require.NoError(t, err)
		assert.False(t, Verify(public, nil, text, der), name)
	}
	// Numbers that are the same modulo n: they have 257 bits or do not fit.
	for name, numbers := range map[string][2]*big.Int{"r + n": {new(big.Int).Add(r, n), s}, "s + n": {r, new(big.Int).Add(s, n)}} {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{numbers[0], numbers[1]})
		require.NoError(t, err)
		assert.False(t, Verify(public, nil, text, der), name)
	}
	for name, forged := range map[string][]byte{
		"empty": nil, "short": raw[:63], "long": append(slices.Clone(raw), 0), "a zero before": append([]byte{0}, raw...), "DER": der,
	} {
		assert.False(t, VerifyRaw(public, nil, text, forged), name)
	}
	assert.False(t, Verify(public, nil, text, raw), "64 bytes where DER is due")
}

// A small r is genuine as r+n where that fits into 32 bytes; nobody may write
// it so.
func TestNumbersOverTheOrder(t *testing.T) {
	over := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	_, public := standardKey(t)
	for _, n := range []*big.Int{curveN(), over} {
		assert.False(t, VerifyRaw(public, nil, []byte("a"), slices.Concat(fill(n), fill(big.NewInt(5)))))
		assert.False(t, VerifyRaw(public, nil, []byte("a"), slices.Concat(fill(big.NewInt(5)), fill(n))))
	}
}

func TestUserIDs(t *testing.T) {
	key, public := standardKey(t)
	text := []byte("a=1")
	for name, uid := range map[string][]byte{"default": nil, "written out": []byte(DefaultUID), "a merchant's": []byte("N0029900000000000"), "long": make([]byte, 8191)} {
		signature, err := Sign(key, uid, text)
		require.NoError(t, err, name)
		assert.True(t, Verify(public, uid, text, signature), name)
		isDefault := name == "default" || name == "written out"
		assert.Equal(t, isDefault, Verify(public, nil, text, signature), name)
		assert.Equal(t, isDefault, Verify(public, []byte(DefaultUID), text, signature), name)
		assert.False(t, Verify(public, []byte("1234567812345679"), text, signature), name)
		assert.False(t, Verify(public, append([]byte("x"), uid...), text, signature), name)
	}
	_, err := Sign(key, make([]byte, 8192), text)
	require.Error(t, err)
	// A uid and a text that concatenate alike are not alike.
	signature, err := Sign(key, []byte("ab"), []byte("c"))
	require.NoError(t, err)
	assert.False(t, Verify(public, []byte("a"), []byte("bc"), signature))
}

// What banks write, and what nobody may.
func TestLenientDER(t *testing.T) {
	_, public := standardKey(t)
	text := []byte("message digest")
	r := unhex("F5A03B06 48D2C463 0EEAC513 E1BB81A1 5944DA38 27D5B741 43AC7EAC EEE720B3")
	s := unhex("B1B6AA29 DF212FD8 763182BC 0D421CA1 BB9038FD 1F7F42D4 840B69C4 85BBC1AA")
	zero := []byte{0}
	for name, der := range map[string][]byte{
		"strict":             tlv(0x30, tlv(2, zero, r), tlv(2, zero, s)),
		"negative integers":  tlv(0x30, tlv(2, r), tlv(2, s)),
		"one negative":       tlv(0x30, tlv(2, zero, r), tlv(2, s)),
		"more leading zeros": tlv(0x30, tlv(2, zero, zero, r), tlv(2, make([]byte, 8), s)),
	} {
		assert.True(t, Verify(public, nil, text, der), name)
		raw, err := DERToRaw(der)
		require.NoError(t, err)
		written, err := RawToDER(raw)
		require.NoError(t, err)
		assert.Equal(t, tlv(0x30, tlv(2, zero, r), tlv(2, zero, s)), written, "it is written strictly")
	}
	strict := tlv(0x30, tlv(2, zero, r), tlv(2, zero, s))
	bad := map[string][]byte{
		"something behind":               append(slices.Clone(strict), 0),
		"something behind in it":         tlv(0x30, tlv(2, zero, r), tlv(2, zero, s), zero),
		"a third integer":                tlv(0x30, tlv(2, zero, r), tlv(2, zero, s), tlv(2, zero)),
		"one integer":                    tlv(0x30, tlv(2, zero, r)),
		"a set":                          tlv(0x31, tlv(2, zero, r), tlv(2, zero, s)),
		"octet strings":                  tlv(0x30, tlv(4, r), tlv(4, s)),
		"a bit string":                   tlv(0x30, tlv(2, zero, r), tlv(3, zero, s)),
		"context tags":                   tlv(0x30, tlv(0x82, zero, r), tlv(2, zero, s)),
		"33 digits":                      tlv(0x30, tlv(2, []byte{1}, r), tlv(2, zero, s)),
		"an empty integer":               tlv(0x30, tlv(2), tlv(2, zero, s)),
		"a long form of the length":      append([]byte{0x30, 0x81}, strict[1:]...),
		"a long form of an integer":      tlv(0x30, []byte{2, 0x81, 0x20}, r, tlv(2, zero, s)),
		"an indefinite length":           slices.Concat([]byte{0x30, 0x80}, tlv(2, zero, r), tlv(2, zero, s), []byte{0, 0}),
		"twice":                          append(slices.Clone(strict), strict...),
		"nested":                         tlv(0x30, strict),
		"leading zeros cut off the wire": tlv(0x30, tlv(2, r[1:]), tlv(2, s[1:])),
	}
	for i := range strict {
		bad["cut off at "+big.NewInt(int64(i)).String()] = strict[:i]
	}
	for name, der := range bad {
		assert.False(t, Verify(public, nil, text, der), name)
	}
}

// A key that is not on the curve, or on another, verifies nothing, encrypts
// nothing, and is not read.
func TestPointsOffTheCurve(t *testing.T) {
	key, public := standardKey(t)
	text := []byte("a=1")
	signature, err := Sign(key, nil, text)
	require.NoError(t, err)
	off := &ecdsa.PublicKey{Curve: public.Curve, X: public.X, Y: new(big.Int).Add(public.Y, big.NewInt(1))} //nolint:staticcheck // an invalid point is what the test makes
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, bad := range map[string]*ecdsa.PublicKey{
		"off the curve":        off,
		"infinity":             {Curve: public.Curve, X: new(big.Int), Y: new(big.Int)},
		"coordinates too long": {Curve: public.Curve, X: new(big.Int).Lsh(public.X, 8), Y: public.Y},                          //nolint:staticcheck // an invalid point is what the test makes
		"over the field":       {Curve: public.Curve, X: new(big.Int).Add(sm2.P256().Params().P, big.NewInt(1)), Y: public.Y}, //nolint:staticcheck // an invalid point is what the test makes
		"NIST P-256":           &nist.PublicKey,
	} {
		assert.False(t, Verify(bad, nil, text, signature), name)
		_, err := Encrypt(bad, text, C1C3C2)
		require.Error(t, err, name)
	}
	assert.False(t, Verify(nil, nil, text, signature))
	_, err = Sign(nist, nil, text)
	require.ErrorIs(t, err, errNotSM2)
	_, err = MarshalPublicKey(&nist.PublicKey)
	require.ErrorIs(t, err, errNotSM2)

	for name, point := range map[string][]byte{
		"off the curve": slices.Concat([]byte{4}, standardX, standardX), "64 bytes off the curve": slices.Concat(standardX, standardX),
		"zeros": make([]byte, 64), "infinity": make([]byte, 65), "ones": bytes.Repeat([]byte{0xff}, 64),
		"another first byte": slices.Concat([]byte{5}, standardX, standardY), "hybrid": slices.Concat([]byte{6}, standardX, standardY),
	} {
		_, err := ParsePublicKey(point)
		require.ErrorIs(t, err, errNotSM2, name)
	}
}

// An attacker who gets a point of a small or another curve multiplied by the
// private key learns the key: no such C1 is multiplied.
func TestInvalidCiphertexts(t *testing.T) {
	key, public := standardKey(t)
	text := []byte("encryption standard")
	_, err := Encrypt(public, nil, C1C3C2)
	require.Error(t, err, "an empty text")
	_, err = Encrypt(public, text, "c2c1c3")
	require.ErrorContains(t, err, `unknown order "c2c1c3"`)
	for _, order := range []Order{C1C3C2, C1C2C3, ASN1} {
		good, err := Encrypt(public, text, order)
		require.NoError(t, err)
		got, err := Decrypt(key, good, order)
		require.NoError(t, err)
		require.Equal(t, text, got)
		for i := range good {
			changed := slices.Clone(good)
			changed[i] ^= 1
			got, err := Decrypt(key, changed, order)
			require.Equal(t, ErrDecrypt, err, "%s byte %d", order, i)
			require.Nil(t, got)
			_, err = Decrypt(key, good[:i], order)
			require.Equal(t, ErrDecrypt, err, "%s cut at %d", order, i)
		}
		_, err = Decrypt(key, append(good, 0), order)
		require.Equal(t, ErrDecrypt, err)
		if order != ASN1 { // as programs write it that leave the 04 out
			got, err = Decrypt(key, good[1:], order)
			require.NoError(t, err)
			require.Equal(t, text, got)
		}
	}
	plain, err := Encrypt(public, text, C1C3C2)
	require.NoError(t, err)
	_, err = Decrypt(key, plain, C1C2C3)
	require.Equal(t, ErrDecrypt, err, "the other order")
	stranger, err := GenerateKey()
	require.NoError(t, err)
	_, err = Decrypt(stranger, plain, C1C3C2)
	require.Equal(t, ErrDecrypt, err, "another's key")

	tail := plain[65:]
	nist, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	nistPoint, err := nist.PublicKey.Bytes()
	require.NoError(t, err)
	coordinate := func(n int64) []byte { return fill(big.NewInt(n)) }
	for name, c1 := range map[string][]byte{
		"a point of P-256": nistPoint, "zeros": slices.Concat([]byte{4}, make([]byte, 64)), "infinity": {0},
		"y of another point": slices.Concat([]byte{4}, plain[1:33], standardY), "(1, 1)": slices.Concat([]byte{4}, coordinate(1), coordinate(1)),
		"over the field": slices.Concat([]byte{4}, bytes.Repeat([]byte{0xff}, 64)), "x without y": slices.Concat([]byte{2}, bytes.Repeat([]byte{0xff}, 32)),
		"hybrid": slices.Concat([]byte{6 + plain[64]&1}, plain[1:65]), "another type": slices.Concat([]byte{1}, plain[1:65]),
	} {
		_, err := Decrypt(key, slices.Concat(c1, tail), C1C3C2)
		require.Equal(t, ErrDecrypt, err, name)
	}
}
