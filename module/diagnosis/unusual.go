package diagnosis

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// unusual returns the less frequent variants of the whole text. They are tried when no
// other variant matches.
func (d *examination) unusual(text []byte) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		s := string(text)
		for _, v := range []textVariant{
			{s + "\r\n", i18n.T("with %s at its end", i18n.T("a carriage return and a line feed"))},
			{"\ufeff" + s, i18n.T("with a byte order mark in front of it")},
			{strings.ToLower(s), i18n.T("in lower case")},
			{strings.ToUpper(s), i18n.T("in upper case")},
			{strings.ReplaceAll(s, "/", `\/`), i18n.T("with %s for /", `\/`)},
			{strings.ReplaceAll(s, `\/`, "/"), i18n.T("with / for %s", `\/`)},
			{asciiOnly(s), i18n.T("with \\u escapes for letters outside ASCII")},
			{questioned(s), i18n.T("with question marks for letters outside ASCII: it signs in a charset that has none of them")},
			{misread(s), i18n.T("of which the UTF-8 was read as ISO 8859-1 and written as UTF-8 again")},
			{wide(s), i18n.T("in UTF-16")},
			{"", i18n.T("of nothing at all")},
		} {
			if v.text != s && !yield(variant{[]byte(v.text), v.words}) {
				return
			}
		}
		for _, h := range []crypto.Hash{crypto.MD5, crypto.SHA1, crypto.SHA256} {
			sum := h.New()
			sum.Write(text)
			digest := hex.EncodeToString(sum.Sum(nil))
			if !yield(variant{[]byte(digest), i18n.T("digested to %s and written in %s first", h.String(), "hex")}) ||
				!yield(variant{[]byte(strings.ToUpper(digest)), i18n.T("digested to %s and written in %s first", h.String(), "hex-upper")}) {
				return
			}
		}
		if raw := d.raw(); raw != nil {
			yield(variant{raw, i18n.T("as the JSON that was sent")})
		}
	}
}

// joinedOtherwise are other ways to put members together.
func joinedOtherwise(pieces []string, end string) iter.Seq[textVariant] {
	return func(yield func(textVariant) bool) {
		values, bare, trimmed := make([]string, len(pieces)), make([]string, len(pieces)), make([]string, len(pieces))
		escapes := make([]string, len(pieces))
		for i, p := range pieces {
			name, value, ok := strings.Cut(p, "=")
			if !ok {
				return // a value has an & in it
			}
			values[i], bare[i], trimmed[i] = value, name+value, name+"="+strings.TrimSpace(value)
			escapes[i] = name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
		}
		reversed := slices.Clone(pieces)
		slices.Reverse(reversed)
		for _, v := range []textVariant{
			{strings.Join(escapes, "&") + end, i18n.T("with URL-encoded values, %%20 for a blank")},
			{lowerEscapes(strings.ReplaceAll(strings.Join(escapes, "&"), "%20", "+")) + end, i18n.T("with URL-encoded values in lower case")},
			{strings.Join(trimmed, "&") + end, i18n.T("without the white space at the ends of its values")},
			{strings.Join(values, "") + end, i18n.T("of the values alone")},
			{strings.Join(values, "&") + end, i18n.T("of the values alone, joined by %s", "&")},
			{strings.Join(values, "|") + end, i18n.T("of the values alone, joined by %s", "|")},
			{strings.Join(bare, "") + end, i18n.T("without & and =")},
			{strings.Join(pieces, "") + end, i18n.T("without &")},
			{strings.Join(pieces, ",") + end, i18n.T("joined by %s", ",")},
			{strings.Join(pieces, "|") + end, i18n.T("joined by %s", "|")},
			{strings.Join(reversed, "&") + end, i18n.T("in reverse order")},
		} {
			if !yield(v) {
				return
			}
		}
	}
}

// raw returns the JSON of the part that is signed, as it came.
func (d *examination) raw() []byte {
	payload := d.in.Message.Payload
	path, err := body.ParsePath(d.signature.Part)
	if payload == nil || err != nil || d.signature.Part == "*" || strings.Contains(d.signature.Part, ",") {
		return nil
	}
	if m, ok := payload.Get(path); ok && !m.IsScalar() {
		return bytes.Clone(m.Raw())
	}
	return nil
}

func asciiOnly(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r <= unicode.MaxASCII {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func questioned(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, text)
}

func misread(text string) string {
	out := make([]rune, 0, len(text))
	for _, b := range []byte(text) {
		out = append(out, rune(b))
	}
	return string(out)
}

func wide(text string) string {
	out := make([]byte, 0, 2*len(text))
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// lowerEscapes writes %E5 as %e5, as .NET does.
func lowerEscapes(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:i+3], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return string(out)
}
