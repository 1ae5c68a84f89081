package cipher

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var key32 = []byte("0123456789abcdef0123456789abcdef")

// Whatever is wrong with a ciphertext, the error is one and the same.
func TestDecryptHasOneError(t *testing.T) {
	e := named(t, "aes-256-ecb")
	encrypt := func(text string) []byte {
		out, err := e.Encrypt(key32, []byte(text), Params{Padding: PadNone})
		require.NoError(t, err)
		return out
	}
	block, iv := strings.Repeat("x", 15), make([]byte, 16)
	for name, c := range map[string]struct {
		cipher    string
		key, text []byte
		p         Params
	}{
		"empty":                         {"aes-ecb", key32, nil, Params{Padding: PadSpace}},
		"not whole blocks":              {"aes-ecb", key32, make([]byte, 17), Params{Padding: PadSpace}},
		"a short key":                   {"aes-ecb", key32[:15], encrypt(block + "x"), Params{Padding: PadSpace}},
		"a key of another size":         {"aes-128-ecb", key32, encrypt(block + "x"), Params{Padding: PadSpace}},
		"not UTF-8":                     {"aes-ecb", key32, encrypt(block + "\xff"), Params{Padding: PadSpace}},
		"not UTF-8 without padding":     {"aes-ecb", key32, encrypt(block + "\xff"), Params{Padding: PadNone}},
		"padding of zero":               {"aes-ecb", key32, encrypt(block + "\x00"), Params{}},
		"padding beyond the block":      {"aes-ecb", key32, encrypt(block + "\x11"), Params{}},
		"padding that is not all alike": {"aes-ecb", key32, encrypt(block + "\x02"), Params{}},
		"padding that starts wrong":     {"aes-ecb", key32, encrypt("x\x0f" + strings.Repeat("\x10", 14)), Params{}},
		"an unknown padding":            {"aes-ecb", key32, encrypt(block + "x"), Params{Padding: "iso10126"}},
		"the wrong key":                 {"aes-ecb", NewKey(KeyASCII, 32), encrypt(block + "\xff"), Params{}},
		"no iv":                         {"aes-cbc", key32, make([]byte, 32), Params{}},
		"a short iv":                    {"aes-cbc", key32, make([]byte, 32), Params{IV: iv[1:]}},
		"an iv and no text":             {"aes-cbc", key32, make([]byte, 16), Params{IVPrepended: true}},
		"part of an iv":                 {"aes-cbc", key32, make([]byte, 15), Params{IVPrepended: true}},
		"no nonce":                      {"aes-gcm", key32, make([]byte, 32), Params{}},
		"a short nonce":                 {"aes-gcm", key32, make([]byte, 32), Params{Nonce: iv[:8]}},
		"a tag that does not fit":       {"aes-gcm", key32, make([]byte, 32), Params{Nonce: iv[:12]}},
		"a tag cut off":                 {"aes-gcm", key32, make([]byte, 15), Params{Nonce: iv[:12]}},
		"a pair's cipher":               {"sm2", key32, make([]byte, 128), Params{}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := named(t, c.cipher).Decrypt(c.key, c.text, c.p)
			assert.Nil(t, text)
			assert.Equal(t, ErrDecrypt, err)
		})
	}
	sealed := encrypt(block + "\xff")
	got, err := e.Decrypt(key32, sealed, Params{Padding: PadNone, Binary: true})
	require.NoError(t, err)
	assert.Equal(t, block+"\xff", string(got))
}

// Each length of PKCS #7 padding, and each of its bytes spoilt.
func TestPKCS7(t *testing.T) {
	for _, size := range []int{8, 16} {
		for n := 1; n <= size; n++ {
			good := append(bytes.Repeat([]byte{'x'}, 2*size-n), bytes.Repeat([]byte{byte(n)}, n)...)
			got, ok := unpadPKCS7(good, size)
			require.True(t, ok)
			require.Len(t, got, 2*size-n)
			for i := 2*size - n; i < 2*size; i++ {
				bad := slices.Clone(good)
				bad[i] = 0x77
				_, ok := unpadPKCS7(bad, size)
				require.False(t, ok, "%d of %d", i, n)
			}
		}
	}
}

// Under space and zero, trailing bytes up to 0x20 are removed; nothing is
// removed at the front, and nothing under the other paddings.
func TestDecryptStrips(t *testing.T) {
	e := named(t, "aes-256-ecb")
	text := " \t[1]\x00\x01\r\n\t    "
	text += strings.Repeat(" ", 16-len(text)%16)
	sealed, err := e.Encrypt(key32, []byte(text), Params{Padding: PadNone})
	require.NoError(t, err)
	for padding, want := range map[string]string{PadSpace: " \t[1]", PadZero: " \t[1]", PadNone: text} {
		got, err := e.Decrypt(key32, sealed, Params{Padding: padding})
		require.NoError(t, err)
		assert.Equal(t, want, string(got), padding)
	}
}

// PKCS #7 over blocks of 32 bytes is written so, and read over the cipher's own blocks
// too; nothing longer than 32 bytes, or than the text, is a padding.
func TestWidePadding(t *testing.T) {
	e := named(t, "aes-256-ecb")
	wide := Params{Padding: PadPKCS7Wide}
	for size := range 70 {
		text := strings.Repeat("a", size)
		sealed, err := e.Encrypt(key32, []byte(text), wide)
		require.NoError(t, err)
		assert.Equal(t, size/32*32+32, len(sealed))
		got, err := e.Decrypt(key32, sealed, wide)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))

		narrow, err := e.Encrypt(key32, []byte(text), Params{})
		require.NoError(t, err)
		got, err = e.Decrypt(key32, narrow, wide)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
	}
	for name, text := range map[string]string{
		"33 bytes":                strings.Repeat("\x21", 48),
		"longer than the text":    strings.Repeat("\x20", 16),
		"none":                    strings.Repeat("\x00", 32),
		"another byte among them": strings.Repeat("a", 16) + "\x1f" + strings.Repeat("\x20", 31),
	} {
		sealed, err := e.Encrypt(key32, []byte(text), Params{Padding: PadNone})
		require.NoError(t, err)
		_, err = e.Decrypt(key32, sealed, wide)
		assert.ErrorIs(t, err, ErrDecrypt, name)
	}
}

func TestEncryptRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cipher, want string
		key          []byte
		p            Params
	}{
		"part of a block":       {"aes-ecb", "the text is 3 bytes long, and without padding it must be a multiple of 16", key32, Params{Padding: PadNone}},
		"an unknown padding":    {"aes-ecb", `unknown padding "iso10126"`, key32, Params{Padding: "iso10126"}},
		"a short key":           {"aes-256-ecb", "aes-256-ecb needs a key of 32 bytes, and this one has 31", key32[:31], Params{}},
		"another size":          {"aes-128-cbc", "aes-128-cbc needs a key of 16 bytes, and this one has 32", key32, Params{IV: key32[:16]}},
		"a size that AES lacks": {"aes-gcm", "aes-gcm does not take a key of 20 bytes", key32[:20], Params{Nonce: key32[:12]}},
		"no iv":                 {"sm4-cbc", "sm4-cbc needs an iv of 16 bytes, and this one has 0", key32[:16], Params{}},
		"a long iv":             {"3des-cbc", "3des-cbc needs an iv of 8 bytes, and this one has 16", key32[:24], Params{IV: key32[:16]}},
		"3DES":                  {"3des-ecb", "3des-ecb needs a key of 24 bytes, and this one has 8", key32[:8], Params{}},
		"no nonce":              {"aes-gcm", "gcm needs a nonce of at least 12 bytes, and this one has 0", key32, Params{}},
		"a pair's cipher":       {"rsa-pkcs1", "rsa-pkcs1 needs a pair of keys, not a secret", key32, Params{}},
	} {
		_, err := named(t, c.cipher).Encrypt(c.key, []byte("abc"), c.p)
		assert.EqualError(t, err, c.want, name)
	}
}

// Encrypt must not write into what it was given, and a prepended iv is fresh.
func TestEncryptLeavesItsText(t *testing.T) {
	for _, name := range []string{"aes-ecb", "aes-cbc", "aes-gcm"} {
		c := named(t, name)
		text := make([]byte, 3, 64)
		copy(text, "abc")
		full := text[:64]
		p := Params{IVPrepended: c.IVSize() > 0}
		one, err := c.Encrypt(key32, text, p)
		require.NoError(t, err)
		assert.Equal(t, "abc", string(text))
		assert.Equal(t, make([]byte, 61), full[3:])
		sealed := slices.Clone(one)
		_, err = c.Decrypt(key32, one, p)
		require.NoError(t, err)
		assert.Equal(t, sealed, one)
		two, err := c.Encrypt(key32, text, p)
		require.NoError(t, err)
		assert.Equal(t, c.mode == ecb, bytes.Equal(one, two))
	}
}

func TestCheck(t *testing.T) {
	_, err := Named("des")
	require.ErrorContains(t, err, `unknown cipher "des": write one of aes-128-ecb, aes-128-cbc, aes-128-gcm, `)
	require.ErrorContains(t, err, "3des-ecb, 3des-cbc, sm4-ecb, sm4-cbc, rsa-pkcs1, rsa-oaep-sha1, rsa-oaep-sha256, sm2")
	for _, c := range []struct {
		cipher, want string
		p            Params
	}{
		{"aes-gcm", "has no padding", Params{Padding: PadZero}}, {"sm2", "has no padding", Params{Padding: PadZero}},
		{"aes-cbc", `unknown padding "x": write one of pkcs7, pkcs7-32, zero, space, none`, Params{Padding: "x"}},
		{"aes-ecb", "has no iv", Params{IV: key32}}, {"rsa-pkcs1", "has no iv", Params{IVPrepended: true}},
		{"aes-cbc", "either given or prepended", Params{IV: key32, IVPrepended: true}},
		{"aes-cbc", "no nonce", Params{Nonce: key32}}, {"sm4-ecb", "no additional data", Params{AAD: key32}},
		{"rsa-pkcs1", "has no order", Params{Order: "c1c2c3"}}, {"sm2", `unknown order "c2": write one of`, Params{Order: "c2"}},
	} {
		require.ErrorContains(t, named(t, c.cipher).Check(c.p), c.want, c.cipher)
	}
	for name, size := range map[string]int{"aes-192-gcm": 24, "aes-gcm": 0, "sm4-ecb": 16, "3des-cbc": 24, "sm2": 0} {
		assert.Equal(t, size, named(t, name).KeySize(), name)
	}
	for _, c := range ciphers {
		assert.Equal(t, strings.HasSuffix(c.Name(), "-ecb") || strings.HasPrefix(c.Name(), "des-"), c.Weak() != "", c.Name())
	}
	two, err := named(t, "3des-ecb").Encrypt(key32[:16], []byte("abc"), Params{})
	require.NoError(t, err)
	three, err := named(t, "3des-ecb").Encrypt(slices.Concat(key32[:16], key32[:8]), []byte("abc"), Params{})
	require.NoError(t, err)
	assert.Equal(t, three, two)
}

// A key is made of characters of [0-9A-Za-z], each equally likely. With 62
// characters and 200000 draws the chi-squared statistic has 61 degrees of
// freedom; 130 is passed by chance once in a million runs. A byte taken modulo
// 62 would give about 2700.
func TestNewKey(t *testing.T) {
	const draws = 200000
	counts, seen := make(map[byte]int), make(map[string]bool)
	for range draws / 32 {
		key := NewKey(KeyASCII, 32)
		require.True(t, ValidKey(KeyASCII, 32, key))
		require.False(t, seen[string(key)])
		seen[string(key)] = true
		for _, c := range key {
			require.Contains(t, alphabet, string(c))
			counts[c]++
		}
	}
	require.Len(t, counts, 62)
	expected := float64(draws) / 62
	var chi float64
	for _, n := range counts {
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	assert.Less(t, chi, 130.0)

	assert.Len(t, NewKey(KeyBytes, 16), 16)
	assert.Len(t, NewKey(KeyASCII, 100), 100)
	assert.NotEqual(t, NewKey(KeyBytes, 16), NewKey(KeyBytes, 16))
	assert.Panics(t, func() { NewKey("base64", 16) })
	for name, key := range map[string]string{"short": "abc", "blank": "ab d", "NUL": "ab\x00d", "DEL": "ab\x7fd", "8 bits": "abc\xe4"} {
		assert.False(t, ValidKey(KeyASCII, 4, []byte(key)), name)
	}
	assert.True(t, ValidKey(KeyBytes, 4, []byte("ab\x00\xff")))
	assert.False(t, ValidKey("", 4, []byte("abcd")))
}

// Blocks that are not what PKCS #1 v1.5 prescribes, and Vault when it is sealed:
// one error.
func TestRSABlocks(t *testing.T) {
	c := named(t, "rsa-pkcs1")
	key := testKeys()["RSA"].(*rsa.PrivateKey)
	k := key.Size()
	raw := func(em []byte) []byte {
		m := new(big.Int).SetBytes(em)
		return m.Exp(m, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, k))
	}
	block := func(first, kind, filler byte, padding int, tail ...byte) []byte {
		em := append([]byte{first, kind}, bytes.Repeat([]byte{filler}, padding)...)
		return append(em, tail...)
	}
	text, err := c.DecryptWith(key, raw(block(0, 2, 7, k-6, 0, 'a', 'b', 'c')), Params{})
	require.NoError(t, err)
	require.Equal(t, "abc", string(text), "the genuine block, or this test would prove nothing")
	for name, em := range map[string][]byte{
		"type 1": block(0, 1, 0xff, k-6, 0, 'a', 'b', 'c'), "type 0": block(0, 0, 7, k-6, 0, 'a', 'b', 'c'),
		"a first byte": block(1, 2, 7, k-6, 0, 'a', 'b', 'c'), "no zero": block(0, 2, 7, k-2),
		"short padding": append(block(0, 2, 7, 7, 0), bytes.Repeat([]byte{'a'}, k-10)...), "nothing": make([]byte, k),
	} {
		require.Len(t, em, k, name)
		text, err := c.DecryptWith(key, raw(em), Params{})
		assert.Equal(t, ErrDecrypt, err, name)
		assert.Nil(t, text)
	}
	_, err = c.DecryptWith(key, key.N.Bytes(), Params{})
	assert.Equal(t, ErrDecrypt, err, "the modulus")
	_, err = c.DecryptWith(sealed{key}, raw(block(0, 2, 7, k-6, 0, 'a', 'b', 'c')), Params{})
	assert.Equal(t, ErrDecrypt, err)

	// A second block that is bad takes the first with it.
	good, err := c.EncryptTo(key.Public(), []byte("abc"), Params{})
	require.NoError(t, err)
	text, err = c.DecryptWith(key, append(good, make([]byte, k)...), Params{})
	assert.Equal(t, ErrDecrypt, err)
	assert.Nil(t, text)

	empty, err := c.EncryptTo(key.Public(), nil, Params{})
	require.NoError(t, err)
	assert.Len(t, empty, k)
}

type sealed struct{ *rsa.PrivateKey }

func (sealed) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, errors.New("vault is sealed")
}

// Each OAEP uses its digest for the label and for MGF1.
func TestOAEP(t *testing.T) {
	key := testKeys()["RSA"].(*rsa.PrivateKey)
	for name, h := range map[string]crypto.Hash{"rsa-oaep-sha1": crypto.SHA1, "rsa-oaep-sha256": crypto.SHA256} {
		out, err := rsa.EncryptOAEP(h.New(), rand.Reader, &key.PublicKey, []byte("abc"), nil)
		require.NoError(t, err)
		for _, c := range ciphers {
			if c.KeyKind() == "RSA" {
				text, err := c.DecryptWith(key, out, Params{})
				if c.Name() == name {
					require.NoError(t, err)
					assert.Equal(t, "abc", string(text))
				} else {
					assert.Equal(t, ErrDecrypt, err, c.Name())
				}
			}
		}
	}
}

// FuzzDecrypt looks for a panic, and for a second error.
func FuzzDecrypt(f *testing.F) {
	f.Add(byte(0), []byte("0123456789abcdef"), []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef"), true)
	f.Add(byte(5), key32, make([]byte, 40), []byte(nil), false)
	f.Fuzz(func(t *testing.T, which byte, key, ciphertext, iv []byte, prepended bool) {
		c := ciphers[int(which)%len(ciphers)]
		p := Params{IV: iv, IVPrepended: prepended, Padding: paddings[int(which)%len(paddings)]}
		if c.Kind() == Symmetric {
			if _, err := c.Decrypt(key, ciphertext, p); err != nil {
				require.Equal(t, ErrDecrypt, err)
			}
			if out, err := c.Encrypt(key, ciphertext, p); err == nil && len(ciphertext) > 0 {
				p.Binary = true
				_, err := c.Decrypt(key, out, p)
				require.NoError(t, err)
			}
		} else if _, err := c.DecryptWith(testKeys()[c.KeyKind()], ciphertext, Params{}); err != nil {
			require.Equal(t, ErrDecrypt, err)
		}
	})
}
