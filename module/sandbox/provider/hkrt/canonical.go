package hkrt

import (
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// canonical returns the string that is signed. It is recursive: an object is its
// members by name, name=value joined by &, a list is its elements joined by &,
// without a name or an index. The signature itself, null and empty strings are
// left out.
func (p *Provider) canonical(v wire.Value, number func(string) string) string {
	var pieces []string
	switch v.Kind {
	case wire.Number:
		return number(v.Text)
	case wire.Object:
		for _, m := range v.Sorted() {
			if m.Name == "sign" || p.leavesOut(m.Value) {
				continue
			}
			pieces = append(pieces, m.Name+"="+p.canonical(m.Value, number))
		}
	case wire.Array:
		for _, item := range v.Items {
			if !p.leavesOut(item) {
				pieces = append(pieces, p.canonical(item, number))
			}
		}
	default:
		return v.Text
	}
	return strings.Join(pieces, "&")
}

// leavesOut reports whether a member, or an element of a list, is not signed.
func (p *Provider) leavesOut(v wire.Value) bool {
	return v.Empty() || hollow(v) && !p.KeepEmptyLists
}

// hollow reports whether a value is a list without elements or an object without
// members, which are the same in PHP.
func hollow(v wire.Value) bool {
	return (v.Kind == wire.Array || v.Kind == wire.Object) && len(v.Items)+len(v.Members) == 0
}

// tokens signs a number as it stands in the JSON text.
func tokens(token string) string { return token }

// shortest signs a number as PHP prints it: whole numbers of up to 64 bits as
// they are, all others as the shortest decimal that reads back the same, with
// an exponent from 1.0E+17 and below 1.0E-4.
func shortest(token string) string {
	if n, err := strconv.ParseInt(token, 10, 64); err == nil && token != "-0" {
		return strconv.FormatInt(n, 10)
	}
	f, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return token // beyond a float: PHP would print INF
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	digits, power, _ := strings.Cut(text, "e")
	exponent, _ := strconv.Atoi(power)
	if -5 < exponent && exponent < 17 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if exponent > 0 {
		return digits + "E+" + strconv.Itoa(exponent)
	}
	return digits + "E" + strconv.Itoa(exponent)
}
