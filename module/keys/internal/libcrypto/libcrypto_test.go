//go:build fastrsa

package libcrypto

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a digest that the library is not asked for
	"crypto/sha256"
	"math/big"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is one key in both implementations.
type pair struct {
	plain *rsa.PrivateKey
	fast  *PrivateKey
}

func newPair(t *testing.T, bits int) pair {
	t.Helper()
	plain, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	fast, err := New(plain)
	require.NoError(t, err)
	return pair{plain, fast}
}

// raw returns the bare RSA operation with the public key on a block.
func (p pair) raw(block []byte) []byte {
	m := new(big.Int).SetBytes(block)
	return m.Exp(m, big.NewInt(int64(p.plain.E)), p.plain.N).FillBytes(make([]byte, p.plain.Size()))
}

func TestVersion(t *testing.T) {
	assert.Regexp(t, `^OpenSSL [3-9]\.`, Version())
}

// Signatures of PKCS #1 v1.5 have no chance in them: both give the same bytes.
func TestSignsAsGoDoes(t *testing.T) {
	for _, bits := range []int{1024, 1032, 1536, 2048, 3072} {
		p := newPair(t, bits)
		for i := range 50 {
			digest := sha256.Sum256([]byte{byte(i)})
			want, err := p.plain.Sign(rand.Reader, digest[:], crypto.SHA256)
			require.NoError(t, err)
			got, err := p.fast.Sign(nil, digest[:], crypto.SHA256)
			require.NoError(t, err)
			require.Equal(t, want, got, bits)
		}
	}
}

// What the library is not asked for has Go's answers, its errors among them.
func TestOtherPaddings(t *testing.T) {
	p := newPair(t, 1024)
	digest := sha256.Sum256(nil)
	assert.Equal(t, p.plain.Public(), p.fast.Public())

	sig, err := p.fast.Sign(rand.Reader, digest[:], &rsa.PSSOptions{Hash: crypto.SHA256})
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPSS(&p.plain.PublicKey, crypto.SHA256, digest[:], sig, nil))
	short := sha1.Sum(nil) //nolint:gosec // see the import
	sig, err = p.fast.Sign(rand.Reader, short[:], crypto.SHA1)
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPKCS1v15(&p.plain.PublicKey, crypto.SHA1, short[:], sig))
	_, err = p.fast.Sign(rand.Reader, digest[:31], crypto.SHA256)
	require.Error(t, err, "a digest of another length")

	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &p.plain.PublicKey, []byte("text"), nil)
	require.NoError(t, err)
	text, err := p.fast.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA256})
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))
	// With a length a wrong padding has no error, but a random key.
	text, err = p.fast.Decrypt(rand.Reader, sealed, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16})
	require.NoError(t, err)
	assert.Len(t, text, 16)
}

func TestDecryptsAsGoDoes(t *testing.T) {
	for _, bits := range []int{1024, 1032, 2048} {
		p := newPair(t, bits)
		for length := range p.plain.Size() - 10 {
			want := make([]byte, length)
			_, _ = rand.Read(want)
			sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &p.plain.PublicKey, want)
			require.NoError(t, err)
			var opts crypto.DecrypterOpts
			if length%2 == 0 {
				opts = &rsa.PKCS1v15DecryptOptions{}
			}
			got, err := p.fast.Decrypt(rand.Reader, sealed, opts)
			require.NoError(t, err)
			require.Equal(t, want, got, "%d bits, %d bytes", bits, length)
		}
	}
}

// What Go does not open is not opened. There is one error; or, from OpenSSL 3.2
// on, something random.
func TestDecryptHasOneError(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	p := newPair(t, 1024)
	k := p.plain.Size()
	block := func(first, kind, filler byte, padding int) []byte {
		out := bytes.Repeat([]byte{filler}, k)
		out[0], out[1] = first, kind
		out[2+padding] = 0
		copy(out[3+padding:], secret)
		return out
	}
	full := k - 3 - len(secret)
	for name, sealed := range map[string][]byte{
		"nothing":                     nil,
		"one byte":                    {1},
		"short":                       p.raw(block(0, 2, 0xaa, full))[1:],
		"zero":                        make([]byte, k),
		"one":                         append(make([]byte, k-1), 1),
		"the modulus":                 p.plain.N.Bytes(),
		"over the modulus":            bytes.Repeat([]byte{0xff}, k),
		"a zero more before":          append([]byte{0}, p.raw(block(0, 2, 0xaa, full))...),
		"a byte more behind":          append(p.raw(block(0, 2, 0xaa, full)), 0),
		"a first byte that is not 0":  p.raw(block(1, 2, 0xaa, full)),
		"type 0":                      p.raw(block(0, 0, 0xaa, full)),
		"type 1":                      p.raw(block(0, 1, 0xff, full)),
		"type 3":                      p.raw(block(0, 3, 0xaa, full)),
		"no padding":                  p.raw(block(0, 2, 0xaa, 0)),
		"seven bytes of padding":      p.raw(block(0, 2, 0xaa, 7)),
		"no zero after the padding":   p.raw(bytes.Replace(block(0, 2, 0xaa, full), []byte{0xaa, 0}, []byte{0xaa, 0xaa}, 1)),
		"OAEP, or what looks like it": p.raw(append([]byte{0}, bytes.Repeat([]byte{0x5c}, k-1)...)),
	} {
		_, err := p.plain.Decrypt(nil, sealed, nil)
		require.ErrorIs(t, err, rsa.ErrDecryption, name)
		text, err := p.fast.Decrypt(nil, sealed, nil)
		if err == nil {
			assert.NotContains(t, string(text), secret, name)
			continue
		}
		assert.Equal(t, rsa.ErrDecryption, err, name)
		assert.Nil(t, text, name)
	}
	text, err := p.fast.Decrypt(nil, p.raw(block(0, 2, 0xaa, full)), nil)
	require.NoError(t, err, "the genuine block, or this test would prove nothing")
	require.Equal(t, secret, string(text))
}

// The library gets no key that Go finds fault with, and none that it computes
// wrongly with.
func TestRefusesBrokenKeys(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for name, key := range map[string]*rsa.PrivateKey{
		"nothing":          {},
		"no primes":        {PublicKey: good.PublicKey, D: good.D},
		"another modulus":  {PublicKey: other.PublicKey, D: good.D, Primes: good.Primes},
		"another exponent": {PublicKey: good.PublicKey, D: other.D, Primes: good.Primes},
	} {
		_, err := New(key)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), good.D.String(), name)
	}
}

// One key serves every connection at once, and a signature that fails in one
// goroutine says nothing in another.
func TestManyAtOnce(t *testing.T) {
	p := newPair(t, 1024)
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &p.plain.PublicKey, []byte("text"))
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			digest := sha256.Sum256([]byte{byte(i)})
			for range 20 {
				sig, err := p.fast.Sign(nil, digest[:], crypto.SHA256)
				if !assert.NoError(t, err) || !assert.NoError(t, rsa.VerifyPKCS1v15(&p.plain.PublicKey, crypto.SHA256, digest[:], sig)) {
					return
				}
				text, err := p.fast.Decrypt(nil, sealed, nil)
				assert.NoError(t, err)
				assert.Equal(t, "text", string(text))
				_, err = p.fast.Decrypt(nil, bytes.Repeat([]byte{0xff}, 128), nil)
				assert.Error(t, err)
			}
		})
	}
	all.Wait()
}

// Keys that nobody holds any more leave the library's memory as well: thousands
// of rotations cost none. A key takes some 3 KB there, so that each round would
// leave 10 MB behind; the first ones do, until the memory has found its size.
func TestRotationsKeepNoMemory(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	var grown []int
	for before := residentKB(t); len(grown) < 10; {
		for range 3000 {
			_, err := New(key)
			require.NoError(t, err)
		}
		runtime.GC()
		after := residentKB(t)
		grown = append(grown, after-before)
		if before = after; grown[len(grown)-1] < 2500 {
			return
		}
	}
	t.Fatalf("the memory grows with every round, in KB: %v", grown)
}

// residentKB returns the resident memory of this process, in KB, less what Go could
// give back.
func residentKB(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return kb
		}
	}
	t.Fatal("the kernel does not say")
	return 0
}

// A machine without the library, or with something else in its place, is an error
// and not a crash.
func TestNoLibrary(t *testing.T) {
	err := find("libcrypto.so.none")
	require.ErrorContains(t, err, "loading libcrypto.so.none")
	require.Error(t, find("libm.so.6"))
	require.NoError(t, find(File)) // the other tests need it
}
