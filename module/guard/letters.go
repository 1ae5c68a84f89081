package guard

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/countersign/caddy-countersign/module/body"
)

// A provider's reader may be more lenient than JSON: libraries that fill classes take
// amount, Amount and am_ount for one field, and databases take "M1", "m1" and "M1 " for
// one merchant. So that nobody gets around a rule with such a spelling, names and
// values are compared in one form.

// sameName returns a name as the most lenient reader compares it: without case, width,
// underscores, hyphens, white space and invisible characters.
func sameName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, norm.NFKC.String(name))
}

// hasAlias reports whether an object has another member whose name a lenient reader
// may take for this one.
func hasAlias(o *body.Object, name string) bool {
	same := ""
	for _, m := range o.Members() {
		other := string(m.Name())
		if other == name {
			continue
		}
		if same == "" {
			same = sameName(name)
		}
		if sameName(other) == same {
			return true
		}
	}
	return false
}

// sameEnds returns a value without white space and control characters at its ends.
func sameEnds(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// sameValue returns a value as the most lenient reader compares it: without case and
// width, and without white space and invisible characters at its ends.
func sameValue(value string) string {
	return sameEnds(strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, norm.NFKC.String(value)))
}
