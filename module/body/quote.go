package body

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendQuote appends text, which must be valid UTF-8, as a JSON string with
// no more escapes than JSON demands: "<", ">", "&" and "/" stay as they are.
func AppendQuote[T ~string | ~[]byte](dst []byte, text T) []byte {
	if !isUTF8([]byte(text)) {
		panic("body: quoting text that is not UTF-8") // callers pass decoded JSON text
	}
	dst = append(dst, '"')
	from := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"', c == '\\':
			dst = append(append(dst, text[from:i]...), '\\')
			from = i
		case c < ' ':
			dst = append(append(dst, text[from:i]...), escapeOf(c)...)
			from = i + 1
		}
	}
	return append(append(dst, text[from:]...), '"')
}

// escapeOf is the escape of a control character.
func escapeOf(c byte) []byte {
	quoted, err := jsontext.AppendQuote(nil, string(rune(c)))
	if err != nil {
		panic("body: " + err.Error()) // it is valid UTF-8
	}
	return quoted[1 : len(quoted)-1]
}

// unquote decodes a valid JSON string. Without escapes the result is a part of
// raw.
func unquote(raw []byte) []byte {
	rest := raw[1 : len(raw)-1 : len(raw)-1]
	at := bytes.IndexByte(rest, '\\')
	if at < 0 {
		return rest
	}
	text := make([]byte, 0, len(rest))
	for ; at >= 0; at = bytes.IndexByte(rest, '\\') {
		text = append(text, rest[:at]...)
		switch c := rest[at+1]; c {
		case '"', '\\', '/':
			text = append(text, c)
		default: // of a character that is a number in there, or a control character
			text, err := jsontext.AppendUnquote(nil, raw)
			if err != nil {
				panic("body: a string that is valid does not decode: " + err.Error())
			}
			return text
		}
		rest = rest[at+len(`\"`):]
	}
	return append(text, rest...)
}
