package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A key of the YOP SDK's example (Apache-2.0), as a version of BouncyCastle wrote it that
// writes the curve out, and the SPKI that names the curve.
const (
	explicitPKCS8 = "MIICBQIBADCB7AYHKoZIzj0CATCB4AIBATAsBgcqhkjOPQEBAiEA/////v////////////////////8AAAAA//////////8wRAQg/////v////////////////////8AAAAA//////////wEICjp+p6dn140TVqeS89lCafzl4n1FauPkt28vUFNlA6TBEEEMsSuLB8ZgRlfmQRGajnJlI/jC7/yZgvhcVpFiTNMdMe8Nzai9PZ3nFm9zuNraSFT0KmHfMYqR0AC3zLlITnwoAIhAP////7///////////////9yA99rIcYFK1O79Ak51UEjAgEBBIIBDzCCAQsCAQEEICvBlu1mNV6jIA8FdkKlRSga9cwXa0m+IBx9ERwtO1ZcoIHjMIHgAgEBMCwGByqGSM49AQECIQD////+/////////////////////wAAAAD//////////zBEBCD////+/////////////////////wAAAAD//////////AQgKOn6np2fXjRNWp5Lz2UJp/OXifUVq4+S3by9QU2UDpMEQQQyxK4sHxmBGV+ZBEZqOcmUj+MLv/JmC+FxWkWJM0x0x7w3NqL09necWb3O42tpIVPQqYd8xipHQALfMuUhOfCgAiEA/////v///////////////3ID32shxgUrU7v0CTnVQSMCAQE="
	namedSPKI     = "MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEd8OsYO4yIFNboF68nk1Yl9zquW/OuJSjGLz8Yu7ldV3ro9pGb5g079hWGeEZ+DqaHex3YzP7dVuQ9KV81pRa3w=="
)

func TestKeysWhoseCurveIsWrittenOut(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString(explicitPKCS8)
	require.NoError(t, err)
	spki, err := base64.StdEncoding.DecodeString(namedSPKI)
	require.NoError(t, err)
	public, err := ParsePublicKey(spki)
	require.NoError(t, err)

	key, err := ParsePrivateKey(der)
	require.NoError(t, err)
	assert.True(t, public.Equal(key.Public()))

	var outer struct {
		Version   int
		Algorithm keyAlgorithm
		Key       []byte
	}
	_, err = asn1.Unmarshal(der, &outer)
	require.NoError(t, err)
	sec1, err := ParsePrivateKey(outer.Key)
	require.NoError(t, err)
	assert.True(t, public.Equal(sec1.Public()))

	// Another curve, base point or order is not SM2.
	for at := range explicitCurve {
		other := slices.Clone(explicitCurve)
		other[at] ^= 1
		_, err := ParsePrivateKey(bytes.ReplaceAll(der, explicitCurve, other))
		assert.Error(t, err, "byte %d", at)
	}
}
