package wire

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Encode returns the compact JSON text of the value. A value that was read keeps
// the text that it had; strings that were built are not escaped for HTML.
func (v Value) Encode() string {
	var b strings.Builder
	v.encode(&b)
	return b.String()
}

func (v Value) encode(b *strings.Builder) {
	switch {
	case v.Raw != "":
		b.WriteString(v.Raw)
	case v.Kind == Null:
		b.WriteString("null")
	case v.Kind == String:
		quote(b, v.Text)
	case v.Kind == Array:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.encode(b)
		}
		b.WriteByte(']')
	case v.Kind == Object:
		b.WriteByte('{')
		for i, m := range v.Members {
			if i > 0 {
				b.WriteByte(',')
			}
			quote(b, m.Name)
			b.WriteByte(':')
			m.Value.encode(b)
		}
		b.WriteByte('}')
	default:
		b.WriteString(v.Text)
	}
}

// Compact returns the value's JSON text without white space outside of strings:
// what a provider signs of a nested value.
func (v Value) Compact() string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(v.Encode())); err != nil {
		return v.Encode() // a value that was built holds a bad number token
	}
	return b.String()
}

// quote writes a JSON string. An encoder of the standard library cannot fail
// on a string; it ends its text with a line feed.
func quote(b *strings.Builder, text string) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text)
	b.WriteString(strings.TrimSuffix(out.String(), "\n"))
}
