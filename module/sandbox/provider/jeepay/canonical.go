package jeepay

import (
	"cmp"
	"crypto/md5" //nolint:gosec // it is what Jeepay uses
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// canonical returns the string that is signed, of a request, of an answer's data or
// of a notification: the pieces name=value& of all that is not empty and not
// the signature itself. The pieces are sorted, not the names, so that a0=1&
// comes before a=1&. The trailing & stays, under RSA2 too.
func canonical(object wire.Value) (string, error) {
	var pieces []string
	for _, m := range object.Members {
		if m.Name == "sign" || m.Value.Empty() {
			continue
		}
		text := m.Value.Text
		if !m.Value.Scalar() {
			text = m.Value.Compact()
		}
		pieces = append(pieces, m.Name+"="+text+"&")
	}
	slices.SortFunc(pieces, ignoringCase)
	for i := 1; i < len(pieces); i++ {
		if ignoringCase(pieces[i-1], pieces[i]) == 0 {
			return "", errors.New("two parameters differ in case only, and have no order")
		}
	}
	return strings.Join(pieces, ""), nil
}

// ignoringCase is Java's String.CASE_INSENSITIVE_ORDER: by UTF-16 code unit,
// each made upper case and then lower case.
func ignoringCase(a, b string) int {
	return slices.CompareFunc(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)), func(x, y uint16) int {
		return cmp.Compare(fold(x), fold(y))
	})
}

func fold(unit uint16) rune { return unicode.ToLower(unicode.ToUpper(rune(unit))) }

// md5Of returns the digest under signType MD5. Its hexadecimal is upper case.
func md5Of(canonical string) signature.Digest {
	return func(secret []byte) []byte {
		sum := md5.Sum([]byte(canonical + "key=" + string(secret))) //nolint:gosec // as above
		return sum[:]
	}
}
