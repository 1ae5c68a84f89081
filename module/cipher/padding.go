package cipher

import (
	"bytes"
	"crypto/subtle"
	"slices"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// wide is the size of the blocks that [PadPKCS7Wide] fills, whatever the cipher's is.
const wide = 32

// pad returns a copy of text that fills whole blocks.
func pad(text []byte, size int, padding string) ([]byte, error) {
	missing := (size - len(text)%size) % size
	var fill byte
	switch padding {
	case "", PadPKCS7, PadPKCS7Wide:
		if padding == PadPKCS7Wide {
			size = wide
		}
		missing = size - len(text)%size
		fill = byte(missing)
	case PadSpace:
		fill = ' '
	case PadZero:
	case PadNone:
		if missing != 0 {
			return nil, i18n.Errorf("the text is %d bytes long, and without padding it must be a multiple of %d", len(text), size)
		}
	default:
		return nil, i18n.Errorf("unknown padding %q", padding)
	}
	return slices.Concat(text, bytes.Repeat([]byte{fill}, missing)), nil
}

// unpad removes the padding of text, which has at least one block.
func unpad(text []byte, size int, padding string) ([]byte, bool) {
	switch padding {
	case "", PadPKCS7:
		return unpadPKCS7(text, size)
	case PadPKCS7Wide:
		return unpadPKCS7(text, min(wide, len(text)))
	case PadSpace, PadZero:
		for len(text) > 0 && text[len(text)-1] <= ' ' {
			text = text[:len(text)-1]
		}
		return text, true
	case PadNone:
		return text, true
	}
	return nil, false
}

// unpadPKCS7 reads all of the last size bytes, whatever they hold, so that its time
// does not depend on the padding.
func unpadPKCS7(text []byte, size int) ([]byte, bool) {
	last := text[len(text)-1]
	n := int(last)
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i := 1; i <= size; i++ {
		within := subtle.ConstantTimeLessOrEq(i, n)
		same := subtle.ConstantTimeByteEq(text[len(text)-i], last)
		good &= subtle.ConstantTimeSelect(within, same, 1)
	}
	if good != 1 {
		return nil, false
	}
	return text[:len(text)-n], true
}
