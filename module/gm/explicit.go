package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
)

// explicitCurve is the curve of SM2 written out in DER, as old versions of BouncyCastle
// do instead of naming it: the prime field, a, b, the base point, its order, and 1.
var explicitCurve = func() []byte {
	der, err := hex.DecodeString("3081e0020101302c06072a8648ce3d0101022100" +
		"fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff30440420" +
		"fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc0420" +
		"28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93044104" +
		"32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7" +
		"bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0022100" +
		"fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123020101")
	if err != nil {
		panic(err)
	}
	return der
}()

type keyAlgorithm struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue
}

func (a keyAlgorithm) isExplicit() bool { return bytes.Equal(a.Parameters.FullBytes, explicitCurve) }

// explicitPrivate reads the number of a private key, PKCS #8 or SEC 1, that has the
// curve written out.
func explicitPrivate(der []byte) *big.Int {
	var outer struct {
		Version   int
		Algorithm keyAlgorithm
		Key       []byte
		Further   asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err == nil && len(rest) == 0 {
		if !outer.Algorithm.isExplicit() {
			return nil
		}
		der = outer.Key
	}
	var inner struct {
		Version int
		Number  []byte
		Curve   asn1.RawValue `asn1:"optional"` // [0], or where it is missing the public key [1]
		Public  asn1.RawValue `asn1:"optional"`
	}
	rest, err := asn1.Unmarshal(der, &inner)
	if err != nil || len(rest) > 0 || len(inner.Number) > scalarSize {
		return nil
	}
	written := len(inner.Curve.FullBytes) > 0 && inner.Curve.Tag == 0
	if (written || outer.Key == nil) && !bytes.Equal(inner.Curve.Bytes, explicitCurve) {
		return nil
	}
	return new(big.Int).SetBytes(inner.Number)
}
