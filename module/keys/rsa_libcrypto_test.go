//go:build fastrsa

package keys

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys/internal/libcrypto"
)

// In this flavour the keys of a source are inside OpenSSL: what tests them tests
// that.
func TestKeysAreInsideTheLibrary(t *testing.T) {
	text := []byte(bare(pkcs8(one())))
	set, err := Parse("x", "1", Material{Sign: {Text: text}, Decrypt: {Text: text}})
	require.NoError(t, err)
	assert.IsType(t, (*libcrypto.PrivateKey)(nil), set.Sign.Signer)
	assert.IsType(t, (*libcrypto.PrivateKey)(nil), set.Decrypt[0].Decrypter)
	arithmetic, err := Arithmetic()
	require.NoError(t, err)
	assert.Equal(t, libcrypto.Version(), arithmetic)
}
