package body

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendQuote appends text, which must be valid UTF-8, as a JSON string with
// no more escapes than JSON demands: "<", ">", "&" and "/" stay as they are.
func AppendQuote[T ~string | ~[]byte](dst []byte, text T) []byte {
	mustBeUTF8(text)
	return appendQuote(dst, text)
}

func mustBeUTF8[T ~string | ~[]byte](text T) {
	if !isUTF8([]byte(text)) {
		panic("body: quoting text that is not UTF-8") // callers pass decoded JSON text
	}
}

// appendQuote is AppendQuote of a text that is known to be UTF-8.
func appendQuote[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	for {
		n := plain([]byte(text))
		dst = append(dst, text[:n]...)
		if text = text[n:]; len(text) == 0 {
			return append(dst, '"')
		}
		if c := text[0]; c >= ' ' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, escapeOf(c)...)
		}
		text = text[1:]
	}
}

// plain is how many bytes a text begins with that need no escape.
func plain(text []byte) int {
	at := 0
	for ; len(text)-at >= 8; at += 8 {
		w := binary.LittleEndian.Uint64(text[at:])
		if special := below(w, ' ') | below(w^everyByte*'"', 1) | below(w^everyByte*'\\', 1); special != 0 {
			return at + bits.TrailingZeros64(special)/8
		}
	}
	for ; at < len(text); at++ {
		if c := text[at]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return at
}

// below is not 0 if one of the bytes of w is less than n, which is at most 0x80. Its
// lowest bit then stands in the first of them.
func below(w, n uint64) uint64 { return (w - everyByte*n) &^ w & (everyByte << 7) }

// everyByte is 1 in every byte.
const everyByte = 0x0101010101010101

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
