package encoding

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDecode looks for a second text of the same bytes.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "QQ==", "QR==", "QQ=", "Q Q==", "QQ\r\n==\n", "-_-_", "AAAA", "aF", "Af", "0x", "a", "QQ==QQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if out, err := DecodeBase64(text); err == nil {
			require.Equal(t, strings.NewReplacer("\r", "", "\n", "").Replace(text), EncodeBase64(out))
		} else {
			require.Nil(t, out)
			require.Equal(t, ErrBase64, err)
		}
		if out, err := DecodeHex(text); err == nil {
			require.Equal(t, strings.ToLower(text), hex.EncodeToString(out))
		} else {
			require.Nil(t, out)
			require.Equal(t, ErrHex, err)
		}
	})
}
