package keys

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

var errUTF16 = i18n.Errorf("it is UTF-16 and breaks off within a character; save it as UTF-8")

// unescape undoes the escapes of programs' strings, JSON, URLs and HTML, of which Base64
// has no letter.
var unescape = strings.NewReplacer(
	`\\n`, "\n", `\\r`, "", `\r`, "", `\n`, "\n", `\t`, " ", `\/`, "/", "\r\n", "\n", "\r", "\n",
	`\u000a`, "\n", `\u000A`, "\n", `\u000d`, "", `\u000D`, "", `\u002b`, "+", `\u002B`, "+", `\u002f`, "/", `\u002F`, "/", `\u003d`, "=", `\u003D`, "=",
	"%0A", "\n", "%0a", "\n", "%0D", "", "%0d", "", "%20", " ", "%2B", "+", "%2b", "+", "%2F", "/", "%2f", "/", "%3D", "=", "%3d", "=",
	"&#10;", "\n", "&#13;", "", "&#43;", "+", "&#47;", "/", "&#61;", "=", "<br>", "\n", "<br/>", "\n", "<br />", "\n",
)

// plainText returns the text of a key as it would stand in a file of PEM: UTF-8
// without a byte order mark, LF for line breaks, and no escapes of a program's
// string.
func plainText(text []byte) (string, error) {
	if order := byteOrder(text); order != nil {
		decoded, err := fromUTF16(order, text)
		if err != nil {
			return "", err
		}
		text = decoded
	}
	plain := strings.TrimPrefix(string(text), "\ufeff")
	if !strings.ContainsAny(plain, "\\\r%&<") {
		return plain, nil // one copy less of what may be a private key
	}
	return unescape.Replace(plain), nil
}

// byteOrder returns the byte order of UTF-16, by its mark or by the zero bytes between
// ASCII characters, or nil for other text.
func byteOrder(text []byte) binary.ByteOrder {
	switch {
	case len(text) < 2:
		return nil
	case text[0] == 0xff && text[1] == 0xfe, text[0] != 0 && text[1] == 0:
		return binary.LittleEndian
	case text[0] == 0xfe && text[1] == 0xff, text[0] == 0 && text[1] != 0:
		return binary.BigEndian
	default:
		return nil
	}
}

func fromUTF16(order binary.ByteOrder, text []byte) ([]byte, error) {
	if len(text)%2 != 0 {
		return nil, errUTF16
	}
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = order.Uint16(text[2*i:])
	}
	var out []byte
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}
