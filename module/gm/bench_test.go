package gm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
)

// SM2 beside RSA-2048, over a text of 1 KiB:
//
//	go test ./module/gm -run '^$' -bench .
//	openssl speed rsa2048 sm2
func BenchmarkSign(b *testing.B) {
	text := make([]byte, 1024)
	b.Run("SM2", func(b *testing.B) {
		key := mustKey(b)
		for b.Loop() {
			_, err := Sign(key, nil, text)
			require.NoError(b, err)
		}
	})
	b.Run("RSA-2048", func(b *testing.B) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(b, err)
		for b.Loop() {
			digest := sha256.Sum256(text)
			_, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
			require.NoError(b, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := make([]byte, 1024)
	b.Run("SM2", func(b *testing.B) {
		key := mustKey(b)
		public := key.Public().(*ecdsa.PublicKey)
		signature, err := Sign(key, nil, text)
		require.NoError(b, err)
		for b.Loop() {
			require.True(b, Verify(public, nil, text, signature))
		}
	})
	b.Run("RSA-2048", func(b *testing.B) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(b, err)
		digest := sha256.Sum256(text)
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		require.NoError(b, err)
		for b.Loop() {
			digest := sha256.Sum256(text)
			require.NoError(b, rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature))
		}
	})
}

func BenchmarkEncrypt(b *testing.B) {
	key := mustKey(b)
	public := key.Public().(*ecdsa.PublicKey)
	sealed, err := Encrypt(public, make([]byte, 16), C1C3C2)
	require.NoError(b, err)
	b.Run("SM2/encrypt", func(b *testing.B) {
		for b.Loop() {
			_, err := Encrypt(public, make([]byte, 16), C1C3C2)
			require.NoError(b, err)
		}
	})
	b.Run("SM2/decrypt", func(b *testing.B) {
		for b.Loop() {
			_, err := Decrypt(key, sealed, C1C3C2)
			require.NoError(b, err)
		}
	})
}
