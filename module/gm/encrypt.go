package gm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"

	"github.com/emmansun/gmsm/sm2"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Order says how the parts of an SM2 ciphertext are put together: C1 is a point
// on the curve, C2 the text, C3 a digest over both (GB/T 32918.4).
type Order string

// The orders. C1C3C2 is the standard's; C1C2C3 is that of the draft of 2010 and
// of older libraries (BouncyCastle's default). ASN1 is the sequence of
// GM/T 0009, with C3 before C2.
const (
	C1C3C2 Order = "c1c3c2"
	C1C2C3 Order = "c1c2c3"
	ASN1   Order = "asn1"
)

// ErrDecrypt is the one error for an SM2 ciphertext that does not decrypt,
// whatever the cause.
var ErrDecrypt = i18n.Errorf("the SM2 ciphertext does not decrypt")

// Encrypt encrypts text, which must not be empty, for the owner of public. C1
// is written as 65 bytes, the first of them 04.
func Encrypt(public *ecdsa.PublicKey, text []byte, order Order) ([]byte, error) {
	if !IsPublicKey(public) {
		return nil, errNotSM2
	}
	if len(text) == 0 {
		return nil, i18n.Errorf("SM2 cannot encrypt an empty text")
	}
	switch order {
	case C1C3C2:
		return sm2.Encrypt(rand.Reader, public, text, sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C3C2))
	case C1C2C3:
		return sm2.Encrypt(rand.Reader, public, text, sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C2C3))
	case ASN1:
		return sm2.EncryptASN1(rand.Reader, public, text)
	}
	return nil, i18n.Errorf("unknown order %q: write c1c3c2, c1c2c3 or asn1", order)
}

// Decrypt decrypts what [Encrypt] makes. Under each order a ciphertext that is
// an ASN.1 sequence is read as [ASN1]: no point begins with that byte. Some programs
// leave out the 04 before C1; C3 tells which it is. C1 must be a point on the curve,
// and C3 must fit. The error is [ErrDecrypt].
func Decrypt(key crypto.Decrypter, ciphertext []byte, order Order) ([]byte, error) {
	opts := sm2.NewPlainDecrypterOpts(sm2.C1C3C2)
	if order == C1C2C3 {
		opts = sm2.NewPlainDecrypterOpts(sm2.C1C2C3)
	}
	text, err := key.Decrypt(rand.Reader, ciphertext, opts)
	if err != nil {
		text, err = key.Decrypt(rand.Reader, append([]byte{4}, ciphertext...), opts)
	}
	if err != nil || len(text) == 0 {
		return nil, ErrDecrypt
	}
	return text, nil
}
