package keys

import (
	"path"
	"strings"
	"unicode"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// maxSegment is the length of the longest segment from a request, in bytes.
const maxSegment = 64

// ValidSegment reports whether text from a request may stand in a reference: it
// must be of letters, digits, "_", "-" and "." and not begin with a dot, so that
// it can name nothing but one folder.
func ValidSegment(text string) bool {
	if text == "" || len(text) > maxSegment || text[0] == '.' {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// maxReference is the length of the longest reference, in bytes.
const maxReference = 256

// CheckReference returns an error if text cannot be a reference: it must be a relative
// path of plain segments, so that it can name nothing outside of its source.
//
// The error holds no part of the text: logs show it, and a text that was given by
// mistake may be a key or a secret from the environment.
func CheckReference(text string) error {
	switch {
	case text == "":
		return i18n.Errorf("the key reference is empty; give the name of a key set, such as easypay/ORG000000000007")
	case len(text) > maxReference, strings.Contains(text, "-----"), strings.ContainsFunc(text, unicode.IsControl):
		return i18n.Errorf("the key reference looks like a key; put the key into the source and give the name of its key set")
	case path.IsAbs(text), path.Clean(text) != text, text == ".", text == "..", strings.HasPrefix(text, "../"):
		return i18n.Errorf("the key reference must be a plain relative path without . or .. in it")
	case strings.ContainsAny(text, "\\{}#?*"):
		return i18n.Errorf("the key reference holds a character that a reference may not have: one of \\ { } # ? *")
	}
	return nil
}

// Template is a reference in which {body.x} may stand for a member of the
// request.
type Template struct {
	text    string
	parts   []string // literal, member, literal, member, ..., literal
	dynamic bool
}

// ParseTemplate reads a reference in which {body.x} may stand.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	rest := text
	sample := ""
	for {
		before, after, found := strings.Cut(rest, "{body.")
		t.parts = append(t.parts, before)
		sample += before
		if !found {
			break
		}
		member, after, closed := strings.Cut(after, "}")
		if !closed || member == "" {
			return Template{}, i18n.Errorf("the key reference has an unfinished {body.…}")
		}
		t.parts = append(t.parts, member)
		t.dynamic = true
		sample += "x"
		rest = after
	}
	if err := CheckReference(sample); err != nil {
		return Template{}, err
	}
	return t, nil
}

// Dynamic reports whether the reference depends on the request.
func (t Template) Dynamic() bool { return t.dynamic }

// Members returns the members of the request that the reference depends on.
func (t Template) Members() []string {
	var out []string
	for i := 1; i < len(t.parts); i += 2 {
		out = append(out, t.parts[i])
	}
	return out
}

// String returns the reference as it was written.
func (t Template) String() string { return t.text }

// Resolve fills in the members of a request, which text looks up. It returns
// false where a member is missing or is not a plain name.
func (t Template) Resolve(text func(member string) (string, bool)) (string, bool) {
	if !t.dynamic {
		return t.text, true
	}
	var out strings.Builder
	for i, part := range t.parts {
		if i%2 == 0 {
			out.WriteString(part)
			continue
		}
		value, ok := text(part)
		if !ok || !ValidSegment(value) {
			return "", false
		}
		out.WriteString(value)
	}
	return out.String(), true
}
