package wire

import (
	"bytes"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// maxFields is how many fields a form may have. Reading a million costs half a second,
// before anything is verified, and forms of payments have some dozen; PHP takes 1000.
const maxFields = 10000

// ParseForm reads a form (application/x-www-form-urlencoded) or a query string:
// + is a blank, a blank that is not escaped stays. A piece without = is a name
// with an empty value, and an empty piece is nothing; in a raw form both are
// refused, unless nothing comes behind, because they can only be a part of a
// value that holds &.
//
// A name that PHP reads as another field's (a.b and a_b, a and a[]) is refused
// beside that, as are white space and control characters in names: an empty
// field is in no signature, so anybody could add one and take the place of what
// was signed.
func ParseForm(raw []byte, o Options) ([]byte, error) {
	out, php := newObject(len(raw)), make(Names)
	if o.Raw {
		raw = bytes.TrimSuffix(raw, []byte("&"))
	}
	if bytes.Count(raw, []byte("&")) > maxFields {
		return nil, i18n.Errorf("the form has more than %d fields: %w", maxFields, ErrSyntax)
	}
	pieces := bytes.SplitSeq(raw, []byte("&"))
	if o.Raw {
		var err error
		if pieces, err = rawPieces(raw); err != nil {
			return nil, err
		}
	}
	for piece := range pieces {
		if len(piece) == 0 && (!o.Raw || len(raw) == 0) {
			continue
		}
		name, value, hasValue := bytes.Cut(piece, []byte("="))
		if o.Raw && !hasValue {
			return nil, i18n.Errorf("the form has & in a value, or a field without =: %w", ErrSyntax)
		}
		name, err := o.formText(name)
		if err != nil {
			return nil, i18n.Errorf("a field's name is %w", err)
		}
		if value, err = o.formText(value); err != nil {
			return nil, i18n.Errorf("field %s is %w", body.ShowName(name), err)
		}
		if err := php.Check(string(name)); err != nil {
			return nil, err
		}
		if err := out.add(name, value); err != nil {
			return nil, err
		}
	}
	return out.end(), nil
}

// rawPieces returns the fields of a raw form. In a value { and [ hold what is behind them
// together up to } and ], as in UnionPay's reserved={a=1&b=2}; they do not nest.
func rawPieces(raw []byte) (iter.Seq[[]byte], error) {
	var pieces [][]byte
	from, inValue, end := 0, false, byte(0)
	for i, c := range raw {
		switch {
		case end != 0:
			if c == end {
				end = 0
			}
		case c == '&':
			pieces = append(pieces, raw[from:i])
			from, inValue = i+1, false
		case !inValue:
			inValue = c == '='
		case c == '{':
			end = '}'
		case c == '[':
			end = ']'
		}
	}
	if end != 0 {
		return nil, i18n.Errorf("the form has a value whose { or [ has no end: %w", ErrSyntax)
	}
	return slices.Values(append(pieces, raw[from:])), nil
}

// formText decodes a name or a value.
func (o Options) formText(text []byte) ([]byte, error) {
	if !o.Raw {
		if bytes.IndexByte(text, ';') >= 0 {
			return nil, i18n.Errorf("%w: a semicolon, which some servers take for a separator, is not escaped", ErrSyntax)
		}
		decoded, err := url.QueryUnescape(string(text))
		if err != nil { // the library's error quotes the text
			return nil, i18n.Errorf("%w: a percent sign is not followed by two hexadecimal digits", ErrSyntax)
		}
		text = []byte(decoded)
	}
	return o.decode(text)
}

// ReadAs returns the names of the variables that servers make of a field called name. PHP
// reads a.b, "a b" and a[b as a_b, " a" as a, and a[] and a[x] as a; others read a[b as a.
func ReadAs(name string) []string {
	var names []string
	for _, path := range readings(name) {
		names = append(names, path[0])
	}
	return names
}

// readings returns those names, each with the indexes behind it.
func readings(name string) [][]string {
	name, _, _ = strings.Cut(strings.TrimLeft(name, " "), "\x00")
	base, rest, found := strings.Cut(name, "[")
	path := []string{phpLetters.Replace(base)}
	if found && !strings.Contains(rest, "]") {
		return [][]string{{phpLetters.Replace(name)}, append(path, "["+rest)}
	}
	for found {
		index, behind, closed := strings.Cut(rest, "]")
		if !closed {
			break
		}
		path = append(path, "["+index+"]")
		rest, found = strings.CutPrefix(behind, "[")
	}
	return [][]string{path}
}

var phpLetters = strings.NewReplacer(".", "_", " ", "_", "[", "_")

// Names are names of fields as servers read them, and whether each is a value and not an
// array.
type Names map[string]bool

// Check refuses a name that some server reads as an earlier one, or puts in the place of
// an earlier one.
func (n Names) Check(name string) error {
	if name == "" {
		return i18n.Errorf("a field has no name: %w", ErrSyntax)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return i18n.Errorf("field %s: white space or a control character in a name: %w", body.ShowName(name), ErrSyntax)
	}
	for _, path := range readings(name) {
		at := ""
		for i, step := range path {
			at += step
			isValue := i == len(path)-1
			if wasValue, seen := n[at]; seen && (wasValue || isValue) {
				return i18n.Errorf("field %s, as some servers read names: %w", body.ShowName(name), ErrDuplicate)
			}
			n[at] = isValue
		}
	}
	return nil
}

// FormatForm writes members as a form, or as a query string. A member that is
// null is left out. Names that ParseForm refuses are refused. In a raw form a name holds
// neither & nor =, and a value no & outside of braces.
func FormatForm(members []body.Member, o Options) ([]byte, error) {
	var out []byte
	php := make(Names)
	err := fields(members, func(name, value []byte) error {
		if err := php.Check(string(name)); err != nil {
			return err
		}
		wireName, err := o.encode(name, name)
		if err != nil {
			return err
		}
		wireValue, err := o.encode(name, value)
		if err != nil {
			return err
		}
		if len(out) > 0 {
			out = append(out, '&')
		}
		if !o.Raw {
			out = append(append(out, url.QueryEscape(string(wireName))...), '=')
			out = append(out, url.QueryEscape(string(wireValue))...)
			return nil
		}
		if bytes.ContainsAny(wireName, "&=") || !isRawValue(wireValue) {
			return i18n.Errorf("field %s holds a separator: %w", body.ShowName(name), ErrWrite)
		}
		out = append(append(append(out, wireName...), '='), wireValue...)
		return nil
	})
	return out, err
}

// isRawValue reports whether a raw form with the value is read as it was written.
func isRawValue(value []byte) bool {
	pieces, err := rawPieces(append([]byte("n="), value...))
	if err != nil {
		return false
	}
	n := 0
	for range pieces {
		n++
	}
	return n == 1
}
