package canonical

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// JSON builds the compact JSON text of an object: `json` of a recipe. Strings
// and numbers stay as they are written; names are written with no more escapes
// than JSON demands.
type JSON struct {
	// Mode is as-is (the order of the message, the default), sorted (the first
	// level by name, UTF-16 code units) or deep (objects at every level).
	Mode string

	Except []string // first-level names that are left out; one that ends in * stands for a rest
	With   []With   // members that are added

	SkipNull, SkipEmpty bool // leave out members that are null, or the empty string, with deep at every level
}

// skips reports whether a value is left out.
func (j *JSON) skips(m body.Member) bool {
	return j.SkipNull && m.IsNull() || j.SkipEmpty && m.IsEmpty() && !m.IsNull()
}

// With is a member with a string as its value. It stands instead of a member
// of that name, or behind the last one before they are sorted.
type With struct{ Name, Text string }

// Append appends the text of members to dst. It is never ambiguous.
func (j *JSON) Append(dst []byte, members []body.Member) (Text, error) {
	except := newPatterns(j.Except)
	taken := make([]body.Member, 0, len(members)+len(j.With))
	size := len("{}")
	for _, m := range members {
		if !except.match(m.Name()) && !j.skips(m) {
			taken = append(taken, m)
			size += len(m.Name()) + len(m.Raw()) + len(`"":,`)
		}
	}
	for _, w := range j.With {
		m := body.StringMember(w.Name, w.Text)
		if i := slices.IndexFunc(taken, func(m body.Member) bool { return string(m.Name()) == w.Name }); i >= 0 {
			taken[i] = m
		} else {
			taken = append(taken, m)
		}
		size += len(m.Name()) + len(m.Raw()) + len(`"":,`)
	}
	if j.Mode == "sorted" || j.Mode == "deep" {
		slices.SortStableFunc(taken, func(a, b body.Member) int { return CompareUTF16(a.Name(), b.Name()) })
	}
	options := []jsontext.Options{jsontext.PreserveRawStrings(true), jsontext.ReorderRawObjects(j.Mode == "deep")}
	dst = append(slices.Grow(dst, size), '{')
	for i, m := range taken {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, m.Name()) // what is not UTF-8 becomes U+FFFD, as in Raw
		dst = append(dst, ':')
		if m.IsScalar() {
			dst = append(dst, m.Raw()...)
			continue
		}
		if j.Mode == "deep" && (j.SkipNull || j.SkipEmpty) {
			v := m.Stream()
			dst = j.appendDeep(dst, &v)
			continue
		}
		var err error
		if dst, err = jsontext.AppendFormat(dst, m.Raw(), options...); err != nil {
			return Text{}, i18n.Errorf("writing member %s as compact JSON: %w", body.ShowName(m.Name()), err)
		}
	}
	return Text{Bytes: append(dst, '}')}, nil
}

// appendDeep appends the value that comes next in v, with the members of its objects
// sorted and without those that are left out.
func (j *JSON) appendDeep(dst []byte, v *body.Stream) []byte {
	switch v.Kind() {
	case body.Obj:
		type member struct{ name, text []byte }
		var members []member
		for name := range v.Members() {
			name = slices.Clone(name)
			if kind := v.Kind(); kind == body.Obj || kind == body.Array {
				members = append(members, member{name, j.appendDeep(nil, v)})
			} else if m := v.Value(); !j.skips(m) {
				members = append(members, member{name, m.Raw()})
			}
		}
		slices.SortStableFunc(members, func(a, b member) int { return CompareUTF16(a.name, b.name) })
		dst = append(dst, '{')
		for i, m := range members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, _ = jsontext.AppendQuote(dst, m.name)
			dst = append(append(dst, ':'), m.text...)
		}
		return append(dst, '}')
	case body.Array:
		dst = append(dst, '[')
		for i := range v.Elements() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = j.appendDeep(dst, v)
		}
		return append(dst, ']')
	default:
		return append(dst, v.Value().Raw()...)
	}
}

// Covers reports whether the text takes the value at a path, as Sorted.Covers does.
func (j *JSON) Covers(path ...string) bool {
	return len(path) > 0 && coversName(path[0], j.Except, nil)
}

// Check returns an error for an option that Append does not know, as Sorted.Check does.
func (j *JSON) Check() error {
	if !slices.Contains([]string{"", "as-is", "sorted", "deep"}, j.Mode) {
		return i18n.Errorf("json is sorted or deep, not %q", j.Mode)
	}
	return nil
}
