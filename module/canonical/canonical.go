// Package canonical builds canonical strings: the texts that signatures are
// made over.
//
// The providers' strings have one shape, name=value pieces in a fixed order
// joined by "&", and differ in the order, in what counts as empty and in what
// stands at the end. None of them escapes anything, so that two different
// messages can have one string; Ambiguous finds the case that matters.
//
// A canonical string never holds a secret: it ends where a provider's rule
// appends one.
package canonical

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Pair is a name and the text that is signed for it. An element of a list has
// no name: Name is nil then.
type Pair struct {
	Name, Value []byte
}

// ErrEqualFold says that two pieces differ only in case, so that an order that ignores
// case does not say which comes first.
var ErrEqualFold = i18n.Errorf("two members are equal but for case")

var equals, ampersand = []byte("="), []byte("&")

// CompareUTF16 compares two UTF-8 texts by UTF-16 code unit. That differs from
// comparing bytes only where a character beyond U+FFFF meets one from U+E000
// to U+FFFF.
func CompareUTF16(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return len(a) - len(b)
	}
	if a[i] < utf8.RuneSelf && b[i] < utf8.RuneSelf {
		return int(a[i]) - int(b[i])
	}
	for i > 0 && !utf8.RuneStart(a[i]) {
		i-- // both share the bytes before, so they share where the character begins
	}
	ra, _ := utf8.DecodeRune(a[i:])
	rb, _ := utf8.DecodeRune(b[i:])
	return int(utf16Key(ra)) - int(utf16Key(rb))
}

// utf16Key orders runes as their first UTF-16 code units: characters beyond
// U+FFFF begin with a surrogate and so come before U+E000.
func utf16Key(r rune) rune {
	switch {
	case r >= 0x10000:
		return r - 0x10000 + 0xE000
	case r >= 0xE000:
		return r + 0x110000
	default:
		return r
	}
}

// CompareFold compares two UTF-8 texts as Java's String.CASE_INSENSITIVE_ORDER does:
// character by character, each made upper case and then lower case.
func CompareFold(a, b []byte) int { return compareFold([][]byte{a}, [][]byte{b}) }

// compareFold is CompareFold of two texts that are given in parts.
func compareFold(a, b [][]byte) int {
	for {
		for len(a) > 0 && len(a[0]) == 0 {
			a = a[1:]
		}
		for len(b) > 0 && len(b[0]) == 0 {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) - len(b)
		}
		x, y := a[0], b[0]
		i := 0 // where they are ASCII and alike there is nothing to decode
		for i < len(x) && i < len(y) && x[i] == y[i] && x[i] < utf8.RuneSelf {
			i++
		}
		a[0], b[0] = x[i:], y[i:]
		if i == len(x) || i == len(y) {
			continue
		}
		rx, nx := utf8.DecodeRune(a[0])
		ry, ny := utf8.DecodeRune(b[0])
		if rx != ry {
			if fx, fy := fold(rx), fold(ry); fx != fy {
				return int(utf16Key(fx)) - int(utf16Key(fy))
			}
		}
		a[0], b[0] = a[0][nx:], b[0][ny:]
	}
}

func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// TrimJava removes characters up to U+0020 at both ends, as Java's
// String.trim() does.
func TrimJava(text []byte) []byte {
	return bytes.TrimFunc(text, func(r rune) bool { return r <= ' ' })
}
