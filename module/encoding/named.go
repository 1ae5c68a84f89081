package encoding

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// ErrBase64URL says that a text is not url-safe Base64.
var ErrBase64URL = i18n.Errorf("not url-safe Base64")

// Encoding writes bytes as text and reads them back, as a recipe names it. The
// zero value is not usable.
type Encoding struct {
	name   string
	encode func([]byte) string
	decode func(string) ([]byte, error)
}

var encodings = []Encoding{
	{"hex", hex.EncodeToString, DecodeHex[string]},
	{"hex-upper", EncodeUpperHex, DecodeHex[string]},
	{"base64", EncodeBase64, DecodeBase64[string]},
	{"base64url", base64.RawURLEncoding.EncodeToString, decodeBase64URL},
	{"base64-percent", encodePercent, decodePercent},
	{"base64-any", base64.RawURLEncoding.EncodeToString, decodeAnyBase64},
}

// Named returns the encoding of a name: hex and hex-upper, which read either
// case; base64, see [DecodeBase64]; base64url (RFC 4648, 5), which is written
// without padding and read with it or without; base64-percent, Base64 whose + / and =
// are percent-encoded; and base64-any, which is written as base64url and read as
// base64url or base64, for providers that send either.
func Named(name string) (Encoding, error) {
	names := make([]string, len(encodings))
	for i, e := range encodings {
		if e.name == name {
			return e, nil
		}
		names[i] = e.name
	}
	return Encoding{}, i18n.Errorf("unknown encoding %q: write one of %s", name, strings.Join(names, ", "))
}

// Name returns the name by which a recipe calls the encoding.
func (e Encoding) Name() string { return e.name }

// Encode writes data as text.
func (e Encoding) Encode(data []byte) string { return e.encode(data) }

// Decode reads what Encode writes, strictly. Its errors say nothing of the
// text: it may be a signature.
func (e Encoding) Decode(text []byte) ([]byte, error) { return e.decode(string(text)) }

// EncodeUpperHex encodes hexadecimal in upper case.
func EncodeUpperHex(data []byte) string { return strings.ToUpper(hex.EncodeToString(data)) }

var (
	strictURL       = base64.RawURLEncoding.Strict()
	strictPaddedURL = base64.URLEncoding.Strict()
)

func decodeBase64URL(text string) ([]byte, error) {
	from := strictURL
	if strings.HasSuffix(text, "=") {
		from = strictPaddedURL
	}
	out, err := from.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the library skips line breaks
		return nil, ErrBase64URL
	}
	return out, nil
}

var percents = strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D")

func encodePercent(data []byte) string { return percents.Replace(EncodeBase64(data)) }

func decodePercent(text string) ([]byte, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, ErrBase64
	}
	out, err := DecodeBase64(plain)
	if err != nil || !strings.EqualFold(encodePercent(out), text) { // what need not be escaped is not
		return nil, ErrBase64
	}
	return out, nil
}

func decodeAnyBase64(text string) ([]byte, error) {
	if out, err := decodeBase64URL(text); err == nil {
		return out, nil
	}
	return DecodeBase64(text)
}
