package cipher

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/gm"
)

func named(t require.TestingT, name string) Cipher {
	c, err := Named(name)
	require.NoError(t, err)
	return c
}

func unhex(text string) []byte {
	out, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return out
}

// NIST SP 800-38A (F.1, F.2), the GCM specification (test cases 4 and 16), NIST
// SP 800-20 for 3DES, and GB/T 32907-2016 with the GM/T 0002 examples for SM4.
func TestVectors(t *testing.T) {
	key128 := "2b7e151628aed2a6abf7158809cf4f3c"
	key256 := "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	block, iv := "6bc1bee22e409f96e93d7e117393172a", "000102030405060708090a0b0c0d0e0f"
	gcmText := "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
	gcmAAD, gcmNonce := unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), unhex("cafebabefacedbaddecaf888")
	sm4Key := "0123456789abcdeffedcba9876543210"
	for _, v := range []struct {
		name, key, text, want string
		p                     Params
	}{
		{"aes-128-ecb", key128, block, "3ad77bb40d7a3660a89ecaf32466ef97", Params{}},
		{"aes-256-ecb", key256, block, "f3eed1bdb5d2a03c064b5a7e3db181f8", Params{}},
		{"aes-ecb", key256, block, "f3eed1bdb5d2a03c064b5a7e3db181f8", Params{}},
		{"aes-192-ecb", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", block, "bd334f1d6e45f25ff712a214571fa5cc", Params{}},
		{"aes-128-cbc", key128, block, "7649abac8119b246cee98e9b12e9197d", Params{IV: unhex(iv)}},
		{"aes-256-cbc", key256, block, "f58c4c04d6e5f1ba779eabfb5f7bfbd6", Params{IV: unhex(iv)}},
		{
			"aes-128-gcm", "feffe9928665731c6d6a8f9467308308", gcmText, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e" +
				"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" + "5bc94fbc3221a5db94fae95ae7121a47", Params{Nonce: gcmNonce, AAD: gcmAAD},
		},
		{
			"aes-256-gcm", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", gcmText, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
				"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" + "76fc6ece0f4e1768cddf8853bb2d551b", Params{Nonce: gcmNonce, AAD: gcmAAD},
		},
		{"sm4-ecb", sm4Key, sm4Key, "681edf34d206965e86b3e94f536e4246", Params{}},
		{"3des-ecb", "0101010101010101" + "0101010101010101" + "0101010101010101", "8000000000000000", "95f8a5e5dd31d900", Params{}},
		{"3des-ecb", "0123456789abcdef" + "23456789abcdef01" + "456789abcdef0123", "5468652071756663", "a826fd8ce53b855f", Params{}},
	} {
		c := named(t, v.name)
		v.p.Binary = true
		if c.mode == ecb || c.mode == cbc {
			v.p.Padding = PadNone
		}
		got, err := c.Encrypt(unhex(v.key), unhex(v.text), v.p)
		require.NoError(t, err, v.name)
		assert.Equal(t, v.want, hex.EncodeToString(got), v.name)
		back, err := c.Decrypt(unhex(v.key), got, v.p)
		require.NoError(t, err, v.name)
		assert.Equal(t, v.text, hex.EncodeToString(back), v.name)
	}
}

// easypay's vectors: computed with a general-purpose library.
func TestPaddingVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var vectors []struct {
		Key        string            `json:"key_ascii"`
		Plaintext  string            `json:"plaintext"`
		Ciphertext map[string]string `json:"ciphertext"`
	}
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.Len(t, vectors, 1)
	for _, v := range vectors {
		require.Len(t, v.Ciphertext, 3)
		for padding, want := range v.Ciphertext {
			c := named(t, "aes-256-ecb")
			got, err := c.Encrypt([]byte(v.Key), []byte(v.Plaintext), Params{Padding: padding})
			require.NoError(t, err)
			assert.Equal(t, want, base64.StdEncoding.EncodeToString(got))
			back, err := c.Decrypt([]byte(v.Key), got, Params{Padding: padding})
			require.NoError(t, err)
			assert.Equal(t, v.Plaintext, string(back))
		}
	}
}

func keyFor(c Cipher) []byte {
	if c.keySize == 0 {
		return NewKey(KeyBytes, 32)
	}
	return NewKey(KeyBytes, c.keySize)
}

// Every symmetric cipher opens what it seals, with the iv given or prepended.
func TestEncryptThenDecrypt(t *testing.T) {
	for _, c := range ciphers {
		if c.Kind() != Symmetric {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := rapid.String().Draw(t, "text")
				key := keyFor(c)
				var p Params
				if c.mode != gcm {
					p.Padding = rapid.SampledFrom([]string{"", PadSpace, PadZero, PadPKCS7, PadPKCS7Wide}).Draw(t, "padding")
				} else {
					p.AAD = rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
				}
				if c.IVSize() > 0 {
					if p.IVPrepended = rapid.Bool().Draw(t, "prepended"); !p.IVPrepended {
						p.IV = NewKey(KeyBytes, c.IVSize())
					}
				}
				require.NoError(t, c.Check(p))
				sealed, err := c.Encrypt(key, []byte(text), p)
				require.NoError(t, err)
				if len(sealed) == 0 || len(text) == 0 && c.mode != gcm && (p.Padding == PadSpace || p.Padding == PadZero) {
					return // no block at all
				}
				got, err := c.Decrypt(key, sealed, p)
				require.NoError(t, err)
				want := text
				if p.Padding == PadSpace || p.Padding == PadZero {
					want = strings.TrimRightFunc(text, func(r rune) bool { return r <= ' ' })
				}
				require.Equal(t, want, string(got))
				if c.mode != gcm {
					return
				}
				at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
				sealed[at] ^= 1
				_, err = c.Decrypt(key, sealed, p)
				require.Equal(t, ErrDecrypt, err)
			})
		})
	}
}

var testKeys = sync.OnceValue(func() map[string]interface {
	crypto.Signer
	crypto.Decrypter
} {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024) // as in easypay's test environment
	if err != nil {
		panic(err)
	}
	sm2Key, err := gm.GenerateKey()
	if err != nil {
		panic(err)
	}
	return map[string]interface {
		crypto.Signer
		crypto.Decrypter
	}{"RSA": rsaKey, "SM2": sm2Key}
})

func TestAsymmetric(t *testing.T) {
	for _, c := range ciphers {
		if c.Kind() != Asymmetric {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			key := testKeys()[c.KeyKind()]
			for _, size := range []int{1, 16, 32, 62, 63, 86, 87, 117, 118, 500, 1000} {
				text := NewKey(KeyBytes, size)
				for _, order := range []string{"", "c1c3c2", "c1c2c3", "asn1"} {
					if order != "" && c.KeyKind() != "SM2" {
						continue
					}
					p := Params{Order: order}
					require.NoError(t, c.Check(p))
					sealed, err := c.EncryptTo(key.Public(), text, p)
					require.NoError(t, err)
					got, err := c.DecryptWith(key, sealed, p)
					require.NoError(t, err, "%d %s", size, order)
					assert.Equal(t, text, got)

					for name, bad := range map[string][]byte{
						"nothing": nil, "short": sealed[1:], "long": append(sealed[:len(sealed):len(sealed)], 0),
						"zeros": make([]byte, len(sealed)), "cut": sealed[:len(sealed)-1],
					} {
						got, err := c.DecryptWith(key, bad, p)
						if name == "short" && c.KeyKind() == "SM2" && order != "asn1" { // only the 04 in front is missing
							assert.NoError(t, err, order)
							assert.Equal(t, text, got)
							continue
						}
						assert.Equal(t, ErrDecrypt, err, name)
						assert.Nil(t, got)
					}
				}
			}
			for kind, other := range testKeys() {
				if kind != c.KeyKind() {
					_, err := c.EncryptTo(other.Public(), []byte("x"), Params{})
					require.ErrorContains(t, err, "needs a key of kind "+c.KeyKind())
					_, err = c.DecryptWith(other, make([]byte, 128), Params{})
					assert.Equal(t, ErrDecrypt, err)
				}
			}
			_, err := c.EncryptTo(ed25519.PublicKey{}, []byte("x"), Params{})
			require.Error(t, err)
			_, err = c.Encrypt([]byte("0123456789abcdef"), []byte("x"), Params{})
			require.Error(t, err)
			_, err = c.Decrypt([]byte("0123456789abcdef"), make([]byte, 128), Params{})
			assert.Equal(t, ErrDecrypt, err)
		})
	}
	_, err := named(t, "aes-ecb").EncryptTo(testKeys()["RSA"].Public(), []byte("x"), Params{})
	require.Error(t, err)
	_, err = named(t, "aes-ecb").DecryptWith(testKeys()["RSA"], make([]byte, 128), Params{})
	assert.Equal(t, ErrDecrypt, err)
}
