package keys

import (
	"encoding/hex"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

var errNeither = i18n.Errorf("it is neither PEM nor Base64; give PEM (PKCS#8, PKCS#1, PKIX or a certificate) or the provider's bare Base64")

var errNamed = i18n.Errorf("a name stands before the key, as in publicKey=…; leave the key alone in the file")

// bareKeys reads keys without BEGIN and END: one, on any number of lines, or several,
// each on a line or separated by empty lines. A key may be in hex.
func bareKeys(text string) ([]encoded, error) {
	text = strings.Trim(text, " \t\n\"'`,;")
	if key, ok := bareKey(text); ok {
		return []encoded{key}, nil
	}
	for _, separator := range []string{"\n\n", "\n"} {
		if all, ok := bareParts(strings.Split(text, separator)); ok {
			return all, nil
		}
	}
	der, ok := decodeBase64(text)
	if !ok {
		if _, key, named := strings.Cut(strings.ReplaceAll(text, "：", ":"), ":"); named && isBareKey(key) {
			return nil, errNamed
		}
		if _, key, named := strings.Cut(text, "="); named && isBareKey(key) {
			return nil, errNamed
		}
		return nil, errNeither
	}
	missing, extra := derLength(der)
	switch {
	case der[0] != 0x30 && len(strings.Join(strings.Fields(text), ""))%4 != 0:
		return nil, errNeither
	case missing > 0:
		return nil, i18n.Errorf("it is cut off: %d bytes are missing at its end; copy the key anew, and write the file whole and rename it into place", missing)
	case extra > 0:
		return nil, i18n.Errorf("something follows the key: %d bytes; give several keys each on a line of its own or as PEM", extra)
	default:
		return []encoded{{"", der}}, nil // the parser of the key reports what it is not
	}
}

// isBareKey reports whether a text is one key.
func isBareKey(text string) bool {
	_, ok := bareKey(strings.Trim(text, " \t\n\"'`,;"))
	return ok
}

func bareParts(parts []string) ([]encoded, bool) {
	var out []encoded
	for _, part := range parts {
		if part = strings.Trim(part, " \t\n\"'`,;"); part == "" {
			continue
		}
		key, ok := bareKey(part)
		if !ok {
			return nil, false
		}
		out = append(out, key)
	}
	return out, len(out) > 1
}

// bareKey reads one key. Hex comes first: its digits are Base64 letters too.
func bareKey(text string) (encoded, bool) {
	packed := strings.Join(strings.Fields(text), "")
	if raw, err := hex.DecodeString(packed); err == nil && (isRaw(raw) || isDER(raw)) {
		return encoded{"", raw}, true
	}
	der, ok := decodeBase64(packed)
	return encoded{"", der}, ok && (isDER(der) || isRaw(der))
}

// isRaw reports whether b has a length that an SM2 key has without ASN.1.
func isRaw(b []byte) bool {
	return len(b) == 32 || len(b) == 64 || len(b) == 65 && b[0] == 4
}

// isDER reports whether b is one whole ASN.1 sequence.
func isDER(b []byte) bool {
	missing, extra := derLength(b)
	return len(b) > 2 && b[0] == 0x30 && missing == 0 && extra == 0
}

// derLength returns how many bytes are missing from the ASN.1 sequence with which b
// begins, and how many follow it. Both are 0 if b begins with no sequence.
func derLength(b []byte) (missing, extra int) {
	if len(b) < 2 || b[0] != 0x30 {
		return 0, 0
	}
	length, header := int(b[1]), 2
	if length >= 0x80 {
		n := length - 0x80
		if n == 0 || n > 3 || len(b) < 2+n {
			return 0, 0
		}
		length, header = 0, 2+n
		for _, digit := range b[2 : 2+n] {
			length = length<<8 | int(digit)
		}
	}
	return max(0, header+length-len(b)), max(0, len(b)-header-length)
}
