package cipher

import (
	"crypto"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/des"    //nolint:gosec // demanded by providers
	_ "crypto/sha1" // OAEP
	_ "crypto/sha256"
	"slices"

	"github.com/countersign/caddy-countersign/module/gm"
)

const weakDES = "DES has keys of 56 bits, which are found by trying. Use it only where the provider offers nothing else."

const weakECB = "ECB shows which blocks of the text are equal. Use it only where the provider offers nothing else."

// The kinds of key.
const (
	keyRSA = "RSA"
	keySM2 = "SM2"
)

var ciphers = slices.Concat(
	modes("aes-128", 16, aes.BlockSize, aesOf(16), ecb, cbc, gcm),
	modes("aes-192", 24, aes.BlockSize, aesOf(24), ecb, cbc, gcm),
	modes("aes-256", 32, aes.BlockSize, aesOf(32), ecb, cbc, gcm),
	modes("aes", 0, aes.BlockSize, aes.NewCipher, ecb, cbc, gcm),
	weakened(modes("des", 8, des.BlockSize, des.NewCipher, ecb, cbc), weakDES),
	modes("3des", 24, des.BlockSize, newTripleDES, ecb, cbc),
	modes("sm4", 16, 16, gm.NewSM4, ecb, cbc),
	[]Cipher{
		{name: "rsa-pkcs1", kind: Asymmetric, asymmetric: asymmetric{keyRSA, pkcs1}},
		{name: "rsa-oaep-sha1", kind: Asymmetric, asymmetric: asymmetric{keyRSA, oaep(crypto.SHA1)}},
		{name: "rsa-oaep-sha256", kind: Asymmetric, asymmetric: asymmetric{keyRSA, oaep(crypto.SHA256)}},
		{name: "sm2", kind: Asymmetric, asymmetric: asymmetric{keySM2, sm2{}}},
	},
)

// weakened are ciphers that are weak in every mode.
func weakened(all []Cipher, why string) []Cipher {
	for i := range all {
		all[i].weak = why
	}
	return all
}

func modes(family string, keySize, blockSize int, newBlock func([]byte) (stdcipher.Block, error), modes ...mode) []Cipher {
	var out []Cipher
	for _, m := range modes {
		c := Cipher{name: family + "-" + string(m), symmetric: symmetric{m, keySize, blockSize, newBlock}}
		if m == ecb {
			c.weak = weakECB
		}
		out = append(out, c)
	}
	return out
}

// aesOf is AES under keys of one size.
func aesOf(size int) func([]byte) (stdcipher.Block, error) {
	return func(key []byte) (stdcipher.Block, error) {
		if len(key) != size {
			return nil, aes.KeySizeError(len(key))
		}
		return aes.NewCipher(key)
	}
}

// newTripleDES takes a key of two parts as well: the first is used again as the
// third (NIST SP 800-67, keying option 2).
func newTripleDES(key []byte) (stdcipher.Block, error) {
	if len(key) == 16 {
		key = slices.Concat(key, key[:8])
	}
	return des.NewTripleDESCipher(key) //nolint:gosec // see the import
}
