package gm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"math/big"

	"github.com/emmansun/gmsm/sm2"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// DefaultUID is the user id that enters an SM2 signature where none is agreed
// (GM/T 0009).
const DefaultUID = "1234567812345678"

// scalarSize is the length of r, s, a coordinate or a private key, in bytes.
const scalarSize = 32

var errSignature = i18n.Errorf("not an SM2 signature")

// Digest returns what an SM2 signature signs: SM3 over the digest of uid, curve
// and public key, and the text (GB/T 32918.2, 5.5). An empty uid is
// [DefaultUID]. It fails if public is not on the curve, or uid is longer than
// 8191 bytes.
func Digest(public *ecdsa.PublicKey, uid, text []byte) ([]byte, error) {
	if !IsPublicKey(public) {
		return nil, errNotSM2
	}
	if len(uid) == 0 {
		uid = []byte(DefaultUID)
	}
	return sm2.CalculateSM2Hash(public, text, uid)
}

// Sign signs text with SM2 and SM3 under uid (empty: [DefaultUID]) and returns
// the signature in strict DER. The signer may be remote: it is given the 32
// bytes of [Digest] and crypto.Hash(0), and must return DER.
func Sign(key crypto.Signer, uid, text []byte) ([]byte, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errNotSM2
	}
	digest, err := Digest(public, uid, text)
	if err != nil {
		return nil, i18n.Errorf("making the digest: %w", err)
	}
	return key.Sign(rand.Reader, digest, crypto.Hash(0))
}

// Verify reports whether signature, in DER, is that of text under uid (empty:
// [DefaultUID]) and the public key. DER is read leniently, see [DERToRaw].
func Verify(public *ecdsa.PublicKey, uid, text, signature []byte) bool {
	raw, err := DERToRaw(signature)
	return err == nil && VerifyRaw(public, uid, text, raw)
}

// VerifyRaw is [Verify] for a signature of 64 bytes, r and s.
func VerifyRaw(public *ecdsa.PublicKey, uid, text, signature []byte) bool {
	der, err := RawToDER(signature)
	if err != nil {
		return false
	}
	digest, err := Digest(public, uid, text)
	return err == nil && sm2.VerifyASN1(public, digest, der)
}

// DERToRaw returns the 64 bytes r and s of a signature in DER. Some banks write
// the integers as fixed blocks of 32 bytes, which makes negative numbers of
// them, or with more leading zeros than DER allows; so the contents of both
// integers are read as unsigned numbers, whatever their first bytes are.
// Everything else must be as DER has it: one sequence of two integers, in
// minimal lengths and nothing behind.
func DERToRaw(der []byte) ([]byte, error) {
	var numbers []asn1.RawValue // not a struct: what is behind its fields would be skipped
	rest, err := asn1.Unmarshal(der, &numbers)
	if err != nil || len(rest) != 0 || len(numbers) != 2 {
		return nil, errSignature
	}
	raw := make([]byte, 2*scalarSize)
	for i, number := range numbers {
		digits := bytes.TrimLeft(number.Bytes, "\x00")
		if number.Class != asn1.ClassUniversal || number.Tag != asn1.TagInteger || number.IsCompound || len(digits) > scalarSize {
			return nil, errSignature
		}
		copy(raw[(i+1)*scalarSize-len(digits):], digits)
	}
	return raw, nil
}

// RawToDER writes the 64 bytes r and s in strict DER.
func RawToDER(raw []byte) ([]byte, error) {
	if len(raw) != 2*scalarSize {
		return nil, errSignature
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(raw[:scalarSize]), new(big.Int).SetBytes(raw[scalarSize:]),
	})
}
