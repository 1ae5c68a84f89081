package keys

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/gm"
)

func TestSM2Keys(t *testing.T) {
	key, err := gm.GenerateKey()
	require.NoError(t, err)
	private, err := gm.MarshalPrivateKey(key)
	require.NoError(t, err)
	public, err := MarshalPublicKey(key.Public())
	require.NoError(t, err)
	point := public[len(public)-65:]
	want := Fingerprint(key.Public())
	require.Len(t, want, 64)
	for _, text := range []string{block("PRIVATE KEY", private), bare(private)} {
		set, err := parseOne(Sign, text)
		require.NoError(t, err)
		assert.Equal(t, []string{KindSM2}, set.Kinds(Sign))
		assert.Equal(t, want, set.Sign.Fingerprint)
		assert.NotNil(t, set.Sign.Decrypter)
	}
	for _, text := range []string{
		block("PUBLIC KEY", public), bare(public), hex.EncodeToString(point), hex.EncodeToString(point[1:]), bare(point),
	} {
		set, err := parseOne(Verify, text)
		require.NoError(t, err)
		assert.Equal(t, []string{KindSM2}, set.Kinds(Verify))
		assert.Equal(t, []string{want}, set.Fingerprints(Verify))
		assert.Nil(t, set.Verify[0].RSA)
	}
	_, err = parseOne(Verify, hex.EncodeToString(append([]byte{4}, make([]byte, 64)...)))
	assert.Error(t, err, "not a point on the curve")
	_, err = parseOne(Sign, block("PUBLIC KEY", public))
	assert.ErrorContains(t, err, "needs the private one")
	_, err = parseOne(Verify, block("PRIVATE KEY", private))
	assert.ErrorContains(t, err, "must never be here")
	set, err := parseOne(Sign, "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0")
	require.NoError(t, err, "32 bytes in hex")
	assert.Equal(t, []string{KindSM2}, set.Kinds(Sign))
}
