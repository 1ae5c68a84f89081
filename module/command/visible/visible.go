// Package visible makes every character of a text visible: it marks invisible and
// confusable characters between ⟨ and ⟩.
package visible

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// names are the characters that make signatures fail, with the names that are shown.
var names = map[rune]string{
	'\t':     "TAB",
	'\n':     "LF",
	'\r':     "CR",
	0x00:     "NUL",
	0x7f:     "DEL",
	0x00a0:   "U+00A0 no-break space",
	0x00ad:   "U+00AD soft hyphen",
	0x200b:   "U+200B zero-width space",
	0x200c:   "U+200C zero-width non-joiner",
	0x200d:   "U+200D zero-width joiner",
	0x200e:   "U+200E left-to-right mark",
	0x200f:   "U+200F right-to-left mark",
	0x2028:   "U+2028 line separator",
	0x2029:   "U+2029 paragraph separator",
	0x202a:   "U+202A left-to-right embedding",
	0x202c:   "U+202C pop directional formatting",
	0x202d:   "U+202D left-to-right override",
	0x202e:   "U+202E right-to-left override",
	0x202f:   "U+202F narrow no-break space",
	0x2060:   "U+2060 word joiner",
	0x3000:   "U+3000 full-width space",
	0x3164:   "U+3164 filler",
	0xfeff:   "U+FEFF byte order mark",
	0xfffd:   "U+FFFD replacement character",
	'\u2800': "U+2800 blank pattern",
}

// Show returns a text with its invisible characters marked. A space is marked where it
// is easily overlooked: at an end of the text, beside "=" and "&", and beside another
// space. A full-width character stays, with its mark behind it; a byte that is not UTF-8
// is shown as a number.
func Show(text []byte) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, "⟨byte 0x%02X⟩", text[i])
		case r == ' ':
			size = len(text[i:]) - len(bytes.TrimLeft(text[i:], " "))
			out.WriteString(spaces(text, i, i+size))
		default:
			showRune(&out, r)
		}
		i += size
	}
	return out.String()
}

func showRune(out *strings.Builder, r rune) {
	if name, ok := names[r]; ok {
		out.WriteString("⟨" + name + "⟩")
		return
	}
	if narrow, ok := Narrow(r); ok {
		fmt.Fprintf(out, "%c⟨U+%04X full-width %c⟩", r, r, narrow)
		return
	}
	if !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r) {
		fmt.Fprintf(out, "⟨U+%04X⟩", r)
		return
	}
	out.WriteRune(r)
}

// Hidden reports whether a character is marked because it cannot be seen.
func Hidden(r rune) bool {
	_, named := names[r]
	return named || r != ' ' && !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r)
}

// Narrow returns the ASCII character that a full-width one looks like.
func Narrow(r rune) (rune, bool) {
	switch {
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xff01 + '!', true
	case r == 0x3000:
		return ' ', true
	}
	return r, false
}

// spaces shows the spaces from i to j.
func spaces(text []byte, i, j int) string {
	switch {
	case j > i+1:
		return fmt.Sprintf("⟨%d spaces⟩", j-i)
	case i == 0 || j == len(text) || separates(text[i-1]) || separates(text[j]):
		return "⟨space⟩"
	default:
		return " "
	}
}

func separates(b byte) bool { return b == '=' || b == '&' }
