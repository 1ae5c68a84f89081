package gm

import (
	"crypto/ecdsa"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSignature looks for DER that is read as numbers, and does not come back
// as the same numbers when it is written strictly.
func FuzzSignature(f *testing.F) {
	key, public := standardKey(f)
	signature, err := Sign(key, nil, []byte("a"))
	require.NoError(f, err)
	f.Add(signature)
	f.Add([]byte{0x30, 6, 2, 1, 0x80, 2, 1, 0})
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		raw, err := DERToRaw(der)
		if err != nil {
			require.Nil(t, raw)
			return
		}
		require.Len(t, raw, 64)
		strict, err := RawToDER(raw)
		require.NoError(t, err)
		again, err := DERToRaw(strict)
		require.NoError(t, err)
		require.Equal(t, raw, again)
		require.Equal(t, Verify(public, nil, []byte("b"), der), VerifyRaw(public, nil, []byte("b"), raw))
		require.False(t, Verify(public, nil, []byte("b"), der))
	})
}

// FuzzKeys looks for input on which the parsers panic, and for keys that are
// read and are not usable.
func FuzzKeys(f *testing.F) {
	key, public := standardKey(f)
	private, err := MarshalPrivateKey(key)
	require.NoError(f, err)
	spki, err := MarshalPublicKey(public)
	require.NoError(f, err)
	for _, seed := range [][]byte{nil, standardD, private, spki, append(standardX, standardY...), []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := ParsePrivateKey(data); err == nil {
			signature, err := Sign(key, nil, []byte("a"))
			require.NoError(t, err)
			require.True(t, Verify(key.Public().(*ecdsa.PublicKey), nil, []byte("a"), signature))
		}
		if key, err := ParsePublicKey(data); err == nil {
			_, err := Encrypt(key, []byte("a"), C1C3C2)
			require.NoError(t, err)
		}
		_, _, _ = ParseCFCA(data, []byte("123456"))
		_, _ = ParseCertificate(data)
		_ = IsCFCA(data)
	})
}
