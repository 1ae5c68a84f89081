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
	return Member{src: raw, name: []byte(name), text: []byte(text), end: len(raw)}
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
