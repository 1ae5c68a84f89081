package cipher

import "crypto/rand"

// The kinds of fresh keys, as a recipe names them: `key ascii 32`, `key bytes 16`.
const (
	KeyASCII = "ascii"
	KeyBytes = "bytes"
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey makes a fresh key of n bytes: any bytes for [KeyBytes], characters of
// [0-9A-Za-z] for [KeyASCII], each equally likely. It panics on another kind.
func NewKey(kind string, n int) []byte {
	key := make([]byte, n)
	switch kind {
	case KeyBytes:
		_, _ = rand.Read(key) // it never fails: crypto/rand crashes the program instead
		return key
	case KeyASCII:
	default:
		panic("cipher: unknown kind of key " + kind)
	}
	var random [64]byte
	for i := 0; i < n; {
		_, _ = rand.Read(random[:])
		for _, b := range random {
			// 248 is the largest multiple of 62 in a byte: bytes beyond it would
			// make the first characters likelier.
			if b < 248 && i < n {
				key[i] = alphabet[b%62]
				i++
			}
		}
	}
	return key
}

// ValidKey reports whether a key from an envelope is of a kind and length: n bytes,
// which for [KeyASCII] are printable and not blank.
func ValidKey(kind string, n int, key []byte) bool {
	if len(key) != n {
		return false
	}
	for _, c := range key {
		if kind == KeyASCII && (c <= ' ' || c > '~') {
			return false
		}
	}
	return kind == KeyASCII || kind == KeyBytes
}
