package canonical

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Change converts a text. It may overwrite the bytes of its argument.
type Change func(text []byte) ([]byte, error)

// URL percent-encodes a text, byte by byte of its UTF-8:
//
//	mode      stays as it is, besides A-Z a-z 0-9   blank   hex digits
//	rfc3986   - _ . ~                               %20     upper case   (RFC 3986, section 2.3; the default)
//	form      - _ . ~                               +       upper case   (PHP's urlencode, but for ~; Go's url.QueryEscape)
//	java      - _ . *                               +       upper case   (java.net.URLEncoder; the WHATWG's form encoding)
//	dotnet    - _ . ! * ( )                         +       lower case   (.NET's HttpUtility.UrlEncode, as ECPay documents it)
func URL(mode string) (Change, error) {
	const upper, lower = "0123456789ABCDEF", "0123456789abcdef"
	switch mode {
	case "", "rfc3986":
		return escape("-_.~", upper, false), nil
	case "form":
		return escape("-_.~", upper, true), nil
	case "java":
		return escape("-_.*", upper, true), nil
	case "dotnet":
		return escape("-_.!*()", lower, true), nil
	}
	return nil, i18n.Errorf("url is rfc3986, form, java or dotnet, not %q", mode)
}

func escape(stays, digits string, plus bool) Change {
	return func(text []byte) ([]byte, error) {
		out := make([]byte, 0, len(text)+len(text)/2)
		for _, c := range text {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(stays, c) >= 0:
				out = append(out, c)
			case c == ' ' && plus:
				out = append(out, '+')
			default:
				out = append(out, '%', digits[c>>4], digits[c&0xf])
			}
		}
		return out, nil
	}
}

// Lower makes letters lower case, character by character as Java's
// Character.toLowerCase does; in a text that is not UTF-8, A to Z only.
func Lower(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return changeASCII(text, 'A', 'Z'), nil
	}
	return bytes.ToLower(text), nil
}

// Upper makes letters upper case, as Lower makes them lower case.
func Upper(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return changeASCII(text, 'a', 'z'), nil
	}
	return bytes.ToUpper(text), nil
}

func changeASCII(text []byte, from, to byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if from <= c && c <= to {
			out[i] ^= 'a' - 'A'
		}
	}
	return out
}

// Charset encodes UTF-8 as gbk, gb18030 or iso-8859-9 (Turkish). A character that it
// does not have is an error.
func Charset(name string) (Change, error) {
	var charset encoding.Encoding
	switch name {
	case "gbk":
		charset = simplifiedchinese.GBK
	case "gb18030":
		charset = simplifiedchinese.GB18030
	case "iso-8859-9":
		charset = charmap.ISO8859_9
	default:
		return nil, i18n.Errorf("charset is gbk, gb18030 or iso-8859-9, not %q", name)
	}
	return func(text []byte) ([]byte, error) {
		out, err := charset.NewEncoder().Bytes(text)
		if err != nil {
			return nil, i18n.Errorf("the text has a character that %s does not have", name)
		}
		return out, nil
	}, nil
}

// StripPrefix removes a text where another begins with it.
func StripPrefix(prefix string) Change {
	return func(text []byte) ([]byte, error) { return bytes.TrimPrefix(text, []byte(prefix)), nil }
}

// StripSuffix removes a text, once, where another ends with it.
func StripSuffix(suffix string) Change {
	return func(text []byte) ([]byte, error) { return bytes.TrimSuffix(text, []byte(suffix)), nil }
}

// StripSpace removes blanks, tabs, carriage returns and line feeds.
func StripSpace(text []byte) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return out, nil
}

// Replace puts a text in place of each of some characters.
func Replace(characters, by string) Change {
	return func(text []byte) ([]byte, error) {
		out := make([]byte, 0, len(text))
		for len(text) > 0 {
			_, n := utf8.DecodeRune(text)
			if strings.Contains(characters, string(text[:n])) {
				out = append(out, by...)
			} else {
				out = append(out, text[:n]...)
			}
			text = text[n:]
		}
		return out, nil
	}
}

var errExtended = i18n.Errorf("the text is not UTF-8 or holds a NUL, as one does that was extended")

// RefuseExtension returns an error for a text that is not UTF-8 or holds a NUL. It
// prevents length extension of MD5, SHA-1 and SHA-2 over a secret and a text: an attacker
// has to insert the padding of the digest, the byte 0x80 and NULs, which is not UTF-8.
func RefuseExtension(text []byte) ([]byte, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errExtended
	}
	return text, nil
}
