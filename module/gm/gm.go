// Package gm is the one place where the Chinese national algorithms (国密)
// come from: SM2 signatures and encryption (GB/T 32918), SM3 digests
// (GB/T 32905) and the SM4 block cipher (GB/T 32907).
//
// The cryptography is github.com/emmansun/gmsm; this package decides which encodings
// are read and written, and hands out types of the standard library, so that the
// library behind it can be replaced. An SM2 public key is an *[ecdsa.PublicKey] on the
// curve sm2p256v1: use [IsPublicKey] to distinguish it from a key on one of NIST's
// curves, and never give it to crypto/ecdsa.
package gm

import (
	"crypto/cipher"
	"hash"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// NewSM3 returns a hash that computes SM3 (GB/T 32905): 32 bytes.
func NewSM3() hash.Hash { return sm3.New() }

// SM3 returns the SM3 digest of data.
func SM3(data []byte) []byte {
	sum := sm3.Sum(data)
	return sum[:]
}

// NewSM4 returns the SM4 block cipher (GB/T 32907) under key, which has 16
// bytes, as its blocks have.
func NewSM4(key []byte) (cipher.Block, error) { return sm4.NewCipher(key) }
