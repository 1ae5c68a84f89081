package algorithm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/encoding"
)

// unhex returns the bytes of a DER prefix.
func unhex(text string) []byte {
	out, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return out
}

// The start of a DigestInfo: what stands before the digest.
var (
	infoSHA256 = unhex("30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20")
	infoNoNull = unhex("30 2f 30 0b 06 09 60 86 48 01 65 03 04 02 01 04 20")
	infoSHA384 = unhex("30 31 30 0d 06 09 60 86 48 01 65 03 04 02 02 05 00 04 20")
	infoSHA512 = unhex("30 31 30 0d 06 09 60 86 48 01 65 03 04 02 03 05 00 04 20")
	infoSHA224 = unhex("30 31 30 0d 06 09 60 86 48 01 65 03 04 02 04 05 00 04 20")
	infoSHA1   = unhex("30 2d 30 09 06 05 2b 0e 03 02 1a 05 00 04 20")
	infoMD5    = unhex("30 30 30 0c 06 08 2a 86 48 86 f7 0d 02 05 05 00 04 20")
	// The same SHA-256 in another encoding of BER, and with bytes behind it.
	infoLongOuter  = unhex("30 81 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20")
	infoLongInner  = unhex("30 32 30 81 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20")
	infoLongOctet  = unhex("30 32 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 81 20")
	infoLongNull   = unhex("30 32 30 0e 06 09 60 86 48 01 65 03 04 02 01 05 81 00 04 20")
	infoFullNull   = unhex("30 35 30 11 06 09 60 86 48 01 65 03 04 02 01 05 04 de ad be ef 04 20")
	infoMore       = unhex("30 33 30 0f 06 09 60 86 48 01 65 03 04 02 01 05 00 05 00 04 20")
	infoZero       = unhex("30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 09 00 04 20")
	infoIndefinite = unhex("30 80 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20")
)

func newKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func verifies(public *rsa.PublicKey, message, signature []byte) bool {
	return rsaSHA256.Verify(public, message, signature, Options{})
}

var rsaSHA256, _ = Named("rsa-sha256")

// block returns an encoded message of k bytes: 00, the type, padding, 00, and info
// with the digest. What is too short is filled up with padding, or, if padded
// is not negative, with garbage behind.
func block(k int, kind byte, filler byte, padded int, parts ...[]byte) []byte {
	tail := bytes.Join(parts, nil)
	if padded < 0 {
		padded = k - 3 - len(tail)
	}
	out := append([]byte{0, kind}, bytes.Repeat([]byte{filler}, padded)...)
	out = append(append(out, 0), tail...)
	for len(out) < k {
		out = append(out, 0x5a)
	}
	return out[:k]
}

// raw returns the bare RSA operation on a block.
func raw(key *rsa.PrivateKey, em []byte) []byte {
	m := new(big.Int).SetBytes(em)
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// TestForgedPadding makes signatures with the right key over blocks that are
// not the one that PKCS #1 v1.5 prescribes. Verifiers that parse the block
// instead of comparing it have taken each of these.
func TestForgedPadding(t *testing.T) {
	message := []byte("a=1&b=2")
	sum := sha256.Sum256(message)
	digest := sum[:]
	for _, key := range []*rsa.PrivateKey{newKey(t, 1024), newKey(t, 2048)} {
		k := key.Size()
		full := func(info []byte) []byte { return block(k, 1, 0xff, -1, info, digest) }
		spoilt := func(at int, b byte) []byte {
			em := full(infoSHA256)
			em[at] = b
			return em
		}
		require.True(t, verifies(&key.PublicKey, message, raw(key, full(infoSHA256))), "the genuine block, or this test would prove nothing")

		wrong := sha256.Sum256([]byte("a=1&b=3"))
		for name, em := range map[string][]byte{
			"short padding":                         block(k, 1, 0xff, 8, infoSHA256, digest),
			"no padding":                            block(k, 1, 0xff, 0, infoSHA256, digest),
			"one byte of padding less":              block(k, 1, 0xff, k-3-len(infoSHA256)-32-1, infoSHA256, digest),
			"garbage after the digest":              block(k, 1, 0xff, -1, infoSHA256, digest, []byte{0}),
			"much garbage after the digest":         block(k, 1, 0xff, -1, infoSHA256, digest, make([]byte, 20)),
			"another digest":                        block(k, 1, 0xff, -1, infoSHA256, wrong[:]),
			"a digest cut off":                      block(k, 1, 0xff, -1, infoSHA256, digest[:31]),
			"no digest info":                        block(k, 1, 0xff, -1, digest),
			"the identifier of SHA-1":               full(infoSHA1),
			"the identifier of MD5":                 full(infoMD5),
			"the identifier of SHA-224":             full(infoSHA224),
			"the identifier of SHA-384":             full(infoSHA384),
			"the identifier of SHA-512":             full(infoSHA512),
			"no NULL":                               full(infoNoNull),
			"a NULL that holds something":           full(infoFullNull),
			"two NULLs":                             full(infoMore),
			"another type than NULL":                full(infoZero),
			"a long form of the outer length":       full(infoLongOuter),
			"a long form of the inner length":       full(infoLongInner),
			"a long form of the digest's length":    full(infoLongOctet),
			"a long form of the length of NULL":     full(infoLongNull),
			"an indefinite length":                  full(infoIndefinite),
			"type 0":                                block(k, 0, 0, -1, infoSHA256, digest),
			"type 0 with ff":                        block(k, 0, 0xff, -1, infoSHA256, digest),
			"type 2":                                block(k, 2, 0xff, -1, infoSHA256, digest),
			"padding that is not ff":                block(k, 1, 0xfe, -1, infoSHA256, digest),
			"the first byte of padding":             spoilt(2, 0xfe),
			"the last byte of padding":              spoilt(k-len(infoSHA256)-32-2, 0xfe),
			"a zero in the padding":                 spoilt(10, 0),
			"no zero before the info":               spoilt(k-len(infoSHA256)-32-1, 0xff),
			"a first byte that is not zero":         spoilt(0, 1),
			"the digest alone, as a bare number":    slices.Concat(make([]byte, k-32), digest),
			"the message itself, as a bare number":  slices.Concat(make([]byte, k-len(message)), message),
			"nothing":                               make([]byte, k),
			"PSS, or what a stranger takes for one": append(bytes.Repeat([]byte{0x77}, k-1), 0xbc),
		} {
			require.Len(t, em, k, name)
			assert.False(t, verifies(&key.PublicKey, message, raw(key, em)), "%d bits: %s", key.N.BitLen(), name)
		}
	}
}

// TestForgedNumbers are signatures that are other numbers, or other lengths,
// than the one of the genuine signature.
func TestForgedNumbers(t *testing.T) {
	key := newKey(t, 1024)
	k := key.Size()
	signed := func(accept func(sig *big.Int) bool) ([]byte, *big.Int) {
		for n := range 1 << 14 {
			message := []byte("n=" + strings.Repeat("x", n%64) + string(rune('a'+n/64%26)) + string(rune('a'+n/64/26)))
			digest := sha256.Sum256(message)
			sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
			require.NoError(t, err)
			if s := new(big.Int).SetBytes(sig); accept(s) {
				return message, s
			}
		}
		t.Fatal("no such signature")
		return nil, nil
	}
	fits := new(big.Int).Lsh(big.NewInt(1), uint(8*k))
	fits.Sub(fits, key.N)
	small := new(big.Int).Lsh(big.NewInt(1), uint(8*(k-1)))

	message, s := signed(func(s *big.Int) bool { return s.Cmp(fits) < 0 })
	over := new(big.Int).Add(s, key.N)
	for name, sig := range map[string][]byte{
		"over the modulus":            over.FillBytes(make([]byte, k)),
		"negated":                     new(big.Int).Sub(key.N, s).FillBytes(make([]byte, k)),
		"the modulus":                 key.N.FillBytes(make([]byte, k)),
		"the modulus less one":        new(big.Int).Sub(key.N, big.NewInt(1)).FillBytes(make([]byte, k)),
		"zero":                        make([]byte, k),
		"one":                         big.NewInt(1).FillBytes(make([]byte, k)),
		"all ones":                    bytes.Repeat([]byte{0xff}, k),
		"a leading zero":              append([]byte{0}, s.FillBytes(make([]byte, k))...),
		"a zero behind":               append(s.FillBytes(make([]byte, k)), 0),
		"twice":                       append(s.FillBytes(make([]byte, k)), s.FillBytes(make([]byte, k))...),
		"over the modulus and longer": new(big.Int).Add(s, new(big.Int).Lsh(key.N, 8)).FillBytes(make([]byte, k+1)),
		"turned round":                reversed(s.FillBytes(make([]byte, k))),
		"empty":                       nil,
	} {
		assert.False(t, verifies(&key.PublicKey, message, sig), name)
	}
	require.True(t, verifies(&key.PublicKey, message, s.FillBytes(make([]byte, k))))

	// A signature that begins with a zero byte has it: without, it is refused.
	message, s = signed(func(s *big.Int) bool { return s.Cmp(small) < 0 })
	require.True(t, verifies(&key.PublicKey, message, s.FillBytes(make([]byte, k))))
	assert.False(t, verifies(&key.PublicKey, message, s.Bytes()), "its leading zero is left out")
}

func reversed(text []byte) []byte {
	for i, j := 0, len(text)-1; i < j; i, j = i+1, j-1 {
		text[i], text[j] = text[j], text[i]
	}
	return text
}

// TestExponentThree is Bleichenbacher's forgery of 2006: under a key with the
// exponent 3 anybody can make a number whose cube begins as a signed block
// does. It fools whoever does not look at what stands behind the digest.
func TestExponentThree(t *testing.T) {
	const bits = 2048
	key := newKey(t, bits)
	public := &rsa.PublicKey{N: key.N, E: 3}

	message := []byte("transAmt=1")
	sum := sha256.Sum256(message)
	want := block(bits/8, 1, 0xff, 8, infoSHA256, sum[:])
	for i := 2 + 8 + 1 + len(infoSHA256) + 32; i < len(want); i++ {
		want[i] = 0xff // as high as the cube may be
	}
	root := cubeRoot(new(big.Int).SetBytes(want))
	cube := new(big.Int).Exp(root, big.NewInt(3), nil).FillBytes(make([]byte, bits/8))
	head := 2 + 8 + 1 + len(infoSHA256) + 32
	require.Equal(t, want[:head], cube[:head], "the forgery is a good one: a careless verifier takes it")

	assert.False(t, verifies(public, message, root.FillBytes(make([]byte, bits/8))))
}

// cubeRoot returns the largest number whose cube is at most n.
func cubeRoot(n *big.Int) *big.Int {
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for {
		middle := new(big.Int).Add(low, high)
		middle.Rsh(middle, 1)
		if middle.Cmp(low) == 0 {
			return low
		}
		if new(big.Int).Exp(middle, big.NewInt(3), nil).Cmp(n) <= 0 {
			low = middle
		} else {
			high = middle
		}
	}
}

// TestSpellingsOfASignature writes a genuine signature in other ways. Line
// breaks are Java's; everything else is refused, so that a signature has one
// text and nobody can make a second message of one.
func TestSpellingsOfASignature(t *testing.T) {
	key := newKey(t, 1024)
	message := []byte("a=1")
	base, err := encoding.Named("base64")
	require.NoError(t, err)
	var sig string
	for n := 0; !strings.Contains(sig, "+") || !strings.Contains(sig, "/"); n++ {
		require.Less(t, n, 100)
		message = append(message, 'x')
		signature, err := named(t, "rsa-sha256").Sign(key, message, Options{})
		require.NoError(t, err)
		sig = base.Encode(signature)
	}
	require.Len(t, sig, 172)
	require.True(t, strings.HasSuffix(sig, "="))
	verify := func(text string) bool {
		signature, err := base.Decode([]byte(text))
		return err == nil && verifies(&key.PublicKey, message, signature)
	}
	for name, text := range map[string]string{
		"as it is": sig, "CR LF every 76": sig[:76] + "\r\n" + sig[76:152] + "\r\n" + sig[152:], "LF": sig[:64] + "\n" + sig[64:],
		"a line break at the end": sig + "\r\n", "CR": sig[:1] + "\r" + sig[1:],
	} {
		assert.True(t, verify(text), name)
	}
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", sig[170])
	for name, text := range map[string]string{
		"url-safe":              strings.NewReplacer("+", "-", "/", "_").Replace(sig),
		"url-safe in part":      strings.Replace(sig, "+", "-", 1),
		"no padding":            strings.TrimRight(sig, "="),
		"more padding":          sig + "=",
		"a blank":               sig[:10] + " " + sig[10:],
		"a blank before":        " " + sig,
		"a blank behind":        sig + " ",
		"a tab":                 sig[:10] + "\t" + sig[10:],
		"a blank for a plus":    strings.Replace(sig, "+", " ", 1),
		"percent":               strings.ReplaceAll(sig, "+", "%2B"),
		"NUL behind":            sig + "\x00",
		"a byte order mark":     "\ufeff" + sig,
		"trailing bits":         sig[:170] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last|1]) + "=",
		"something behind":      sig + "QQ==",
		"twice encoded":         base64.StdEncoding.EncodeToString([]byte(sig)),
		"in hexadecimal":        hex.EncodeToString(must(base64.StdEncoding.DecodeString(sig))),
		"quoted":                `"` + sig + `"`,
		"a line break in place": strings.Replace(sig, "=", "\n", 1),
		"full-width letters":    "Ａ" + sig[1:],
		"case":                  strings.ToUpper(sig),
	} {
		require.NotEqual(t, sig, text, name)
		assert.False(t, verify(text), name)
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}
