// Package encoding reads the encodings of signatures and ciphertexts as
// strictly as they can be read: one byte string has one text.
package encoding

import (
	"encoding/base64"
	"encoding/hex"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// ErrBase64 says that a text is not standard Base64.
var ErrBase64 = i18n.Errorf("not standard Base64")

// ErrHex says that a text is not hexadecimal.
var ErrHex = i18n.Errorf("not hexadecimal")

var strictBase64 = base64.StdEncoding.Strict()

// DecodeBase64 decodes standard Base64. CR and LF are skipped, as Java's MIME
// encoder writes them; url-safe letters, missing padding and non-zero trailing
// bits are refused.
func DecodeBase64[T ~string | ~[]byte](text T) ([]byte, error) {
	out, err := strictBase64.DecodeString(string(text))
	if err != nil {
		return nil, ErrBase64 // the library's error quotes the place, not more, but a signature is never in an error
	}
	return out, nil
}

// EncodeBase64 encodes standard Base64 with padding and without line breaks.
func EncodeBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// DecodeHex decodes hexadecimal of either case.
func DecodeHex[T ~string | ~[]byte](text T) ([]byte, error) {
	out, err := hex.DecodeString(string(text))
	if err != nil {
		return nil, ErrHex
	}
	return out, nil
}
