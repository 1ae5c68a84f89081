package envelope

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/keys"
)

var private = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024) // as in easypay's test environment
	if err != nil {
		panic(err)
	}
	return key
})

// decrypter is private as the sidecar uses it.
var decrypter = sync.OnceValue(func() crypto.Decrypter {
	key, err := keys.NewRSAKey(private(), "a test")
	if err != nil {
		panic(err)
	}
	return key.Decrypter
})

var key32 = []byte("0123456789abcdef0123456789abcdef")

// The published vectors: computed with a general-purpose library.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var vectors []struct {
		ID         string            `json:"id"`
		Key        string            `json:"key_ascii"`
		Plaintext  string            `json:"plaintext"`
		Ciphertext map[string]string `json:"ciphertext"`
	}
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.Len(t, vectors, 1)
	for _, v := range vectors {
		require.Len(t, v.Ciphertext, 3)
		for name, want := range v.Ciphertext {
			padding := Padding(name)
			t.Run(v.ID+" "+name, func(t *testing.T) {
				got, err := Encrypt([]byte(v.Key), []byte(v.Plaintext), padding)
				require.NoError(t, err)
				assert.Equal(t, want, base64.StdEncoding.EncodeToString(got))
				back, err := Decrypt([]byte(v.Key), got, padding)
				require.NoError(t, err)
				assert.Equal(t, v.Plaintext, string(back))
			})
		}
	}
}

// A symmetric key is 32 characters of [0-9A-Za-z], each equally likely. With
// 62 characters and 200000 draws the chi-squared statistic has 61 degrees of
// freedom; 130 is passed by chance once in a million runs. A byte taken modulo
// 62 would give about 2700.
func TestNewKeyIsUnbiased(t *testing.T) {
	const draws = 6250 * KeySize
	counts := make(map[byte]int)
	for range draws / KeySize {
		key := NewKey()
		require.Len(t, key, KeySize)
		for _, c := range key {
			counts[c]++
		}
	}
	require.Len(t, counts, 62)
	expected := float64(draws) / 62
	var chi float64
	for c, n := range counts {
		require.Contains(t, alphabet, string(c))
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	assert.Less(t, chi, 130.0)
}

func TestNewKeyIsFresh(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		key := string(NewKey())
		require.False(t, seen[key])
		seen[key] = true
	}
}

func TestEncryptThenDecrypt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		padding := rapid.SampledFrom([]Padding{PadSpace, PadZero, PadPKCS7, PadNone}).Draw(t, "padding")
		key := NewKey()
		sealed, err := Encrypt(key, []byte(text), padding)
		if padding == PadNone && len(text)%aes.BlockSize != 0 {
			require.ErrorContains(t, err, "multiple of 16")
			require.NotContains(t, err.Error(), text+"\x00")
			return
		}
		require.NoError(t, err)
		require.Zero(t, len(sealed)%aes.BlockSize)
		if len(sealed) == 0 {
			require.Empty(t, text)
			return
		}
		back, err := Decrypt(key, sealed, padding)
		require.NoError(t, err)
		want := text
		if padding == PadSpace || padding == PadZero {
			want = strings.TrimRightFunc(text, func(r rune) bool { return r <= ' ' })
		}
		require.Equal(t, want, string(back))
	})
}

func TestEncryptRefuses(t *testing.T) {
	_, err := Encrypt(key32, []byte("abc"), PadNone)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "abc")
	_, err = Encrypt(key32, []byte("abc"), "iso10126")
	require.ErrorContains(t, err, "iso10126")
	_, err = Encrypt(key32[:31], []byte("abc"), PadSpace)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), string(key32[:31]))
}

// Encrypt must not write into what it was given.
func TestEncryptLeavesItsText(t *testing.T) {
	text := make([]byte, 3, 64)
	copy(text, "abc")
	full := text[:64]
	_, err := Encrypt(key32, text, PadSpace)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(text))
	assert.Equal(t, make([]byte, 61), full[3:])
}

// Whatever is wrong with a ciphertext, the error is one and the same.
func TestDecryptHasOneError(t *testing.T) {
	encrypt := func(text string) []byte {
		out, err := Encrypt(key32, []byte(text), PadNone)
		require.NoError(t, err)
		return out
	}
	block := strings.Repeat("x", 15)
	for name, c := range map[string]struct {
		key, text []byte
		padding   Padding
	}{
		"empty":                         {key32, nil, PadSpace},
		"not whole blocks":              {key32, make([]byte, 17), PadSpace},
		"a short key":                   {key32[:15], encrypt(block + "x"), PadSpace},
		"not UTF-8":                     {key32, encrypt(block + "\xff"), PadSpace},
		"not UTF-8 without padding":     {key32, encrypt(block + "\xff"), PadNone},
		"padding of zero":               {key32, encrypt(block + "\x00"), PadPKCS7},
		"padding beyond the block":      {key32, encrypt(block + "\x11"), PadPKCS7},
		"padding that is not all alike": {key32, encrypt(block + "\x02"), PadPKCS7},
		"the wrong key":                 {NewKey(), encrypt(block + "x"), PadPKCS7},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Decrypt(c.key, c.text, c.padding)
			assert.Nil(t, text)
			assert.Equal(t, ErrOpen, err)
		})
	}
	_, err := Decrypt(key32, make([]byte, 16), "iso10126")
	assert.ErrorContains(t, err, "iso10126")
}

// Under space and zero, trailing bytes up to 0x20 are stripped; nothing is
// stripped at the front, and nothing under the other paddings.
func TestDecryptStrips(t *testing.T) {
	text := " \t[1]\x00\x01\r\n\t    "
	text += strings.Repeat(" ", 16-len(text)%16)
	for padding, want := range map[Padding]string{PadSpace: " \t[1]", PadZero: " \t[1]", PadNone: text} {
		sealed, err := Encrypt(key32, []byte(text), PadNone)
		require.NoError(t, err)
		got, err := Decrypt(key32, sealed, padding)
		require.NoError(t, err)
		assert.Equal(t, want, string(got), padding)
	}
	sealed, err := Encrypt(key32, []byte("  "), PadPKCS7)
	require.NoError(t, err)
	got, err := Decrypt(key32, sealed, PadPKCS7)
	require.NoError(t, err)
	assert.Equal(t, "  ", string(got))
}

func TestWrapThenUnwrap(t *testing.T) {
	for _, prefix := range []string{"", "01|"} {
		key := NewKey()
		wrapped, err := Wrap(&private().PublicKey, prefix, key)
		require.NoError(t, err)
		back, err := Unwrap(decrypter(), prefix, wrapped)
		require.NoError(t, err)
		assert.Equal(t, key, back)
		folded := wrapped[:76] + "\r\n" + wrapped[76:]
		back, err = Unwrap(decrypter(), prefix, folded)
		require.NoError(t, err, "Java's MIME encoder breaks lines")
		assert.Equal(t, key, back)
	}
	_, err := Wrap(&private().PublicKey, strings.Repeat("planted", 20), NewKey())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "planted")
}

// stubborn is a decrypter that says what it is told to.
type stubborn struct {
	plain []byte
	err   error
}

func (stubborn) Public() crypto.PublicKey { return nil }

func (s stubborn) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return s.plain, s.err
}

// Whatever is wrong with an envelope, the error is one and the same: telling
// bad padding from a bad key is an oracle.
func TestUnwrapHasOneError(t *testing.T) {
	good := string(key32)
	wrap := func(text string) string {
		sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &private().PublicKey, []byte(text))
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(sealed)
	}
	other, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	alien, err := Wrap(&other.PublicKey, "", key32)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		private  crypto.Decrypter
		prefix   string
		envelope string
	}{
		"empty":                         {decrypter(), "", ""},
		"not Base64":                    {decrypter(), "", "&&&&"},
		"url-safe Base64":               {decrypter(), "", strings.NewReplacer("+", "-", "/", "_").Replace(wrap(good)) + "-"},
		"too short":                     {decrypter(), "", base64.StdEncoding.EncodeToString(make([]byte, 127))},
		"too long":                      {decrypter(), "", base64.StdEncoding.EncodeToString(make([]byte, 129))},
		"zero":                          {decrypter(), "", base64.StdEncoding.EncodeToString(make([]byte, 128))},
		"over the modulus":              {decrypter(), "", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 128)))},
		"for another key":               {decrypter(), "", alien},
		"31 characters":                 {decrypter(), "", wrap(good[:31])},
		"33 characters":                 {decrypter(), "", wrap(good + "x")},
		"no character":                  {decrypter(), "", wrap("")},
		"a control character":           {decrypter(), "", wrap(good[:31] + "\n")},
		"a blank":                       {decrypter(), "", wrap(good[:31] + " ")},
		"DEL":                           {decrypter(), "", wrap(good[:31] + "\x7f")},
		"not ASCII":                     {decrypter(), "", wrap(good[:30] + "é")},
		"no prefix":                     {decrypter(), "01|", wrap(good)},
		"another prefix":                {decrypter(), "01|", wrap("02|" + good)},
		"a prefix that is not asked":    {decrypter(), "", wrap("01|" + good)},
		"a key store that is not there": {stubborn{err: errors.New("the key store is away")}, "", wrap(good)},
		"a random key":                  {stubborn{plain: make([]byte, 32)}, "", wrap(good)},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := Unwrap(c.private, c.prefix, c.envelope)
			assert.Nil(t, key)
			require.ErrorIs(t, err, ErrOpen)
			assert.EqualError(t, err, ErrOpen.Error())
		})
	}
}

// OpenSSL 3.2 and later answer a wrong padding with random bytes of a random
// length (implicit rejection) where others have an error. They are no key: not
// even of the right length do they pass, but once in 10^14 times.
func TestUnwrapTakesNoRandomBytes(t *testing.T) {
	envelope := base64.StdEncoding.EncodeToString(make([]byte, 128))
	for round := range 20000 {
		plain := make([]byte, KeySize)
		if round%2 == 0 {
			plain = make([]byte, round%118)
		}
		_, _ = rand.Read(plain)
		key, err := Unwrap(stubborn{plain: plain}, "", envelope)
		require.Nil(t, key)
		require.Equal(t, ErrOpen.Error(), err.Error())
	}
}

// Every printable character may stand in a key that a provider made.
func TestUnwrapTakesPrintableKeys(t *testing.T) {
	key := []byte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"[:KeySize])
	wrapped, err := Wrap(&private().PublicKey, "", key)
	require.NoError(t, err)
	back, err := Unwrap(decrypter(), "", wrapped)
	require.NoError(t, err)
	assert.Equal(t, key, back)
}

// FuzzDecrypt looks for a ciphertext that is taken and should not be.
func FuzzDecrypt(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), "space")
	f.Add(make([]byte, 32), "pkcs7")
	f.Add(make([]byte, 15), "zero")
	f.Fuzz(func(t *testing.T, ciphertext []byte, padding string) {
		text, err := Decrypt(key32, ciphertext, Padding(padding))
		if err != nil {
			require.Nil(t, text)
			return
		}
		require.True(t, utf8.Valid(text))
		require.LessOrEqual(t, len(text), len(ciphertext))
	})
}

// FuzzUnwrap looks for an envelope that is taken and should not be, and for
// errors that differ.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), "", true)
	f.Add([]byte("01|0123456789abcdef0123456789abcdef"), "01|", true)
	f.Add([]byte("Ogw2XHRgRElQF1wIXYe3"), "", false)
	f.Fuzz(func(t *testing.T, plain []byte, prefix string, wrapped bool) {
		envelope := string(plain)
		if wrapped {
			sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &private().PublicKey, plain)
			if err != nil {
				return
			}
			envelope = base64.StdEncoding.EncodeToString(sealed)
		}
		key, err := Unwrap(decrypter(), prefix, envelope)
		if err != nil {
			require.Nil(t, key)
			require.EqualError(t, err, ErrOpen.Error())
			return
		}
		require.True(t, wrapped)
		require.Equal(t, string(plain), prefix+string(key))
		require.Len(t, key, KeySize)
	})
}
