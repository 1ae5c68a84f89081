package body

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// StringMember is a member whose value is the string text and which stands in
// no JSON text: a form field, a query parameter or a header. In what Raw
// returns, bytes that are not UTF-8 are U+FFFD; Text returns text as it is.
func StringMember(name, text string) Member {
	raw, _ := jsontext.AppendQuote(nil, text) // an error says that text is not UTF-8
	return Member{name: []byte(name), raw: raw, text: []byte(text)}
}

// maxShown is how many characters of a name ShowName returns.
const maxShown = 64

// ShowName is a member's name for an error or a log: characters that do not
// print are escaped as in Go, and at most 64 characters are shown.
func ShowName[T ~string | ~[]byte](name T) string {
	cut := 0
	for n := 0; cut < len(name) && n < maxShown; n++ {
		_, size := utf8.DecodeRuneInString(string(name[cut:min(len(name), cut+utf8.UTFMax)]))
		cut += size
	}
	quoted := strconv.Quote(string(name[:cut]))
	shown := quoted[1 : len(quoted)-1]
	if cut < len(name) {
		shown += "…"
	}
	return shown
}

// LooksLikeGBK reports whether text is not UTF-8 but could be GBK, for an error
// that says so.
func LooksLikeGBK(text []byte) bool {
	if utf8.Valid(text) {
		return false
	}
	decoded, err := simplifiedchinese.GBK.NewDecoder().Bytes(text)
	return err == nil && !bytes.ContainsRune(decoded, utf8.RuneError)
}

// ValidUTF8 returns how many bytes at the beginning of text are UTF-8.
func ValidUTF8(text []byte) int {
	valid := 0
	for valid < len(text) {
		r, size := utf8.DecodeRune(text[valid:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		valid += size
	}
	return valid
}

// LooksLikeGzip reports whether text begins as gzip does (RFC 1952), which no JSON, form
// or XML does. It is for an error that says so.
func LooksLikeGzip(text []byte) bool { return bytes.HasPrefix(text, []byte{0x1f, 0x8b}) }

// LooksLikeUTF16 reports whether text has UTF-16's byte order mark, or zeros at every
// second byte, as ASCII in UTF-16 has. It is for an error that says so.
func LooksLikeUTF16(text []byte) bool {
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return true
	}
	start := text[:min(len(text), 64)&^1]
	var zeros [2]int
	for i, b := range start {
		if b == 0 {
			zeros[i%2]++
		}
	}
	half := len(start) / 2
	return half >= 2 && (zeros[0] > half/2 && zeros[1] == 0 || zeros[1] > half/2 && zeros[0] == 0)
}
