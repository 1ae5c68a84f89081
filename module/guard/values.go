package guard

import (
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard/decimal"
)

// each calls yield for each value that a path names, and with false for each
// place where it leads to none, an empty list or object under * among them, or
// where a name stands there in other letters as well. It stops where yield returns
// false, and reports whether yield never did. Where the path leads into a string
// that holds a JSON object or list, it goes on in it. It costs the length of the
// body for each name of the path.
func each(o *body.Object, names body.Path, yield func(m body.Member, found bool) bool) bool {
	if o == nil {
		return yield(body.Member{}, false)
	}
	if names[0] != body.Any {
		m, ok := o.Get(names[0])
		if !ok || hasAlias(o, names[0]) {
			return yield(body.Member{}, false)
		}
		return within(m, names[1:], yield)
	}
	for _, m := range o.Members() {
		if !within(m, names[1:], yield) {
			return false
		}
	}
	return len(o.Members()) > 0 || yield(body.Member{}, false)
}

func within(m body.Member, names body.Path, yield func(m body.Member, found bool) bool) bool {
	if len(names) == 0 {
		return yield(m, true)
	}
	if m.Kind() == body.String {
		inner, ok := inside(m)
		if !ok {
			return yield(body.Member{}, false)
		}
		m = inner
	}
	if o, ok := m.Object(); ok {
		return each(o, names, yield)
	}
	found, passed, at := false, true, 0
	for element := range m.Elements {
		if names[0] == body.Any || names[0] == strconv.Itoa(at) {
			found = true
			passed = within(element, names[1:], yield)
		}
		at++
		if !passed || found && names[0] != body.Any {
			break
		}
	}
	if !found {
		return yield(body.Member{}, false)
	}
	return passed
}

// inside returns the object or list that a string holds as JSON. It is read as
// strictly as a body.
func inside(m body.Member) (body.Member, bool) {
	text := m.Text()
	if start := strings.TrimLeft(string(text), " \t\r\n"); start == "" || start[0] != '{' && start[0] != '[' {
		return body.Member{}, false
	}
	if body.Valid(text) != nil {
		return body.Member{}, false
	}
	o, err := body.Parse(slices.Concat([]byte(`{"":`), text, []byte("}")))
	if err != nil {
		return body.Member{}, false
	}
	return o.Get("")
}

// amountOf returns the amount that a member holds, as number or string.
func amountOf(m body.Member, found bool) (*decimal.Decimal, bool) {
	const longest = 6 * (2*decimal.Digits + 3) // every character escaped
	if !found || m.Kind() != body.String && m.Kind() != body.Number || len(m.Raw()) > longest {
		return nil, false
	}
	amount, err := decimal.Parse(string(m.Text()))
	return amount, err == nil
}

// unclean reports whether some server could read the escaped path as another one.
func unclean(escaped string) bool {
	plain, err := url.PathUnescape(escaped)
	if err != nil || !strings.HasPrefix(plain, "/") || !utf8.ValidString(plain) || strings.ContainsAny(plain, "\\?#%") || strings.ContainsFunc(plain, isControl) {
		return true
	}
	if strings.Contains(strings.ToLower(escaped), "%2f") {
		return true
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if name, _, ok := strings.Cut(segment, ";"); ok && (name == "" || name == "." || name == "..") {
			return true
		}
	}
	clean := path.Clean(plain)
	if strings.HasSuffix(plain, "/") && clean != "/" {
		clean += "/"
	}
	return clean != plain
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
