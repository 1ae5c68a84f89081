package gm

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unhex(text string) []byte {
	out, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return out
}

// The key of the examples in GB/T 32918.5, annexes A and C.
var (
	standardD = unhex("3945208F 7B2144B1 3F36E38A C6D39F95 88939369 2860B51A 42FB81EF 4DF7C5B8")
	standardX = unhex("09F9DF31 1E5421A1 50DD7D16 1E4BC5C6 72179FAD 1833FC07 6BB08FF3 56F35020")
	standardY = unhex("CCEA490C E26775A5 2DC6EA71 8CC1AA60 0AED05FB F35E084A 6632F607 2DA9AD13")
)

func standardKey(t testing.TB) (PrivateKey, *ecdsa.PublicKey) {
	t.Helper()
	key, err := ParsePrivateKey(standardD)
	require.NoError(t, err)
	return key, key.Public().(*ecdsa.PublicKey)
}

// GB/T 32905-2016, annex A.
func TestSM3(t *testing.T) {
	for text, want := range map[string]string{
		"abc":                      "66C7F0F4 62EEEDD9 D1F2D46B DC10E4E2 4167C487 5CF2F7A2 297DA02B 8F4BA8E0",
		strings.Repeat("abcd", 16): "DEBE9FF9 2275B8A1 38604889 C18E5A4D 6FDB70E5 387E5765 293DCBA3 9C0C5732",
	} {
		assert.Equal(t, unhex(want), SM3([]byte(text)))
		h := NewSM3()
		h.Write([]byte(text))
		assert.Equal(t, unhex(want), h.Sum(nil))
	}
}

// printf 'a=1&' | openssl dgst -sm3 -hmac s3cret
func hmacSM3(key, data []byte) []byte {
	h := hmac.New(NewSM3, key)
	h.Write(data)
	return h.Sum(nil)
}

func TestHMACSM3(t *testing.T) {
	assert.Equal(t, "6e7e0955324ab4f50b05da9c70d0fc1bdc76cffb3adbd0a005f93fce93131d82", hex.EncodeToString(hmacSM3([]byte("s3cret"), []byte("a=1&"))))
}

// GB/T 32907-2016, annex A.1.
func TestSM4(t *testing.T) {
	key := unhex("01234567 89ABCDEF FEDCBA98 76543210")
	block, err := NewSM4(key)
	require.NoError(t, err)
	got := make([]byte, 16)
	block.Encrypt(got, key)
	assert.Equal(t, unhex("681EDF34 D206965E 86B3E94F 536E4246"), got)
	block.Decrypt(got, got)
	assert.Equal(t, key, got)
	_, err = NewSM4(key[1:])
	assert.Error(t, err)
}

// GB/T 32918.5-2017, annex A: the public key, the digest e and the signature.
func TestStandardSignature(t *testing.T) {
	_, public := standardKey(t)
	spki, err := MarshalPublicKey(public)
	require.NoError(t, err)
	assert.Equal(t, append(append([]byte{4}, standardX...), standardY...), spki[len(spki)-65:], "the point ends an SPKI")

	text := []byte("message digest")
	digest, err := Digest(public, []byte(DefaultUID), text)
	require.NoError(t, err)
	assert.Equal(t, unhex("F0B43E94 BA45ACCA ACE692ED 534382EB 17E6AB5A 19CE7B31 F4486FDF C0D28640"), digest)

	raw := append(unhex("F5A03B06 48D2C463 0EEAC513 E1BB81A1 5944DA38 27D5B741 43AC7EAC EEE720B3"),
		unhex("B1B6AA29 DF212FD8 763182BC 0D421CA1 BB9038FD 1F7F42D4 840B69C4 85BBC1AA")...)
	assert.True(t, VerifyRaw(public, nil, text, raw))
	assert.True(t, VerifyRaw(public, []byte(DefaultUID), text, raw))
	der, err := RawToDER(raw)
	require.NoError(t, err)
	assert.True(t, Verify(public, nil, text, der))
}

// GB/T 32918.5-2017, annex C: the ciphertext of "encryption standard".
func TestStandardCiphertext(t *testing.T) {
	key, _ := standardKey(t)
	c1 := unhex("04" + "04EBFC71 8E8D1798 62043226 8E77FEB6 415E2EDE 0E073C0F 4F640ECD 2E149A73" +
		"E858F9D8 1E5430A5 7B36DAAB 8F950A3C 64E6EE6A 63094D99 283AFF76 7E124DF0")
	c2 := unhex("21886CA9 89CA9C7D 58087307 CA93092D 651EFA")
	c3 := unhex("59983C18 F809E262 923C53AE C295D303 83B54E39 D609D160 AFCB1908 D0BD8766")
	join := func(parts ...[]byte) (out []byte) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for order, ciphertext := range map[Order][]byte{C1C3C2: join(c1, c3, c2), C1C2C3: join(c1, c2, c3)} {
		text, err := Decrypt(key, ciphertext, order)
		require.NoError(t, err, order)
		assert.Equal(t, "encryption standard", string(text))
	}
}

// The official vector of 易宝: keys, digest and signature.
func TestYeepay(t *testing.T) {
	text, err := os.ReadFile("testdata/yeepay-sm.json")
	require.NoError(t, err)
	var vectors []struct {
		Keys   struct{ Sign, Verify string }
		Expect struct{ Canonical, Digest, Signature string }
	}
	require.NoError(t, json.Unmarshal(text, &vectors))
	require.Len(t, vectors, 1)
	for _, v := range vectors {
		key, err := ParsePrivateKey([]byte(v.Keys.Sign))
		require.NoError(t, err)
		public, err := ParsePublicKey([]byte(v.Keys.Verify))
		require.NoError(t, err)
		assert.True(t, public.Equal(key.Public()))

		signature, err := base64.RawURLEncoding.DecodeString(v.Expect.Signature)
		require.NoError(t, err)
		assert.True(t, VerifyRaw(public, nil, []byte(v.Expect.Canonical), signature))
		assert.False(t, VerifyRaw(public, nil, []byte(v.Expect.Canonical+"\n"), signature))
		assert.Contains(t, v.Expect.Canonical, v.Expect.Digest)

		body := "description=%E6%B5%8B%E8%AF%95%E9%80%80%E6%AC%BE&merchantNo=10086032562&orderId=TEST_ORDER_20260101_001" +
			"&refundAmount=0.01&refundRequestId=REFUND_20260101_001"
		assert.Equal(t, v.Expect.Digest, hex.EncodeToString(SM3([]byte(body))))
	}
}
