package body

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendQuote appends text, which must be valid UTF-8, as a JSON string with
// no more escapes than JSON demands: "<", ">", "&" and "/" stay as they are.
func AppendQuote[T ~string | ~[]byte](dst []byte, text T) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic("body: quoting text that is not UTF-8") // callers pass decoded JSON text
	}
	return quoted
}

// unquote decodes a valid JSON string. Without escapes the result is a part of
// raw.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1 : len(raw)-1]
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		panic("body: a string that is valid does not decode: " + err.Error())
	}
	return text
}
