package body

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the kind of a JSON value: '"', '0', 't', 'f', 'n', '{' or '['.
type Kind byte

// The kinds that callers compare with.
const (
	Null   Kind = 'n'
	True   Kind = 't'
	False  Kind = 'f'
	String Kind = '"'
	Number Kind = '0'
	Obj    Kind = '{'
	Array  Kind = '['
)

// Object is a JSON object as it stands in a text, with the spans of its
// members in their order.
type Object struct {
	src     []byte
	open    int // just behind the opening brace
	end     int // just behind the closing brace
	members []Member
}

// Member is one member of an Object.
type Member struct {
	name []byte
	raw  []byte // its capacity ends with it
	text []byte // of a string whose text is at hand, or nil
}

// Members returns the object's members in the order of the text.
func (o *Object) Members() []Member { return o.members }

// Source returns the whole text that the object is a part of.
func (o *Object) Source() []byte { return o.src }

// Raw returns the object's own text, from brace to brace.
func (o *Object) Raw() []byte { return o.src[o.open-1 : o.end] }

// Get finds a member by its decoded name.
func (o *Object) Get(name string) (Member, bool) {
	for i := range o.members {
		if string(o.members[i].name) == name {
			return o.members[i], true
		}
	}
	return Member{}, false
}

// Text returns the text of the scalar member called name, and whether there is
// such a member that is neither null nor the empty string.
func (o *Object) Text(name string) (string, bool) {
	m, ok := o.Get(name)
	if !ok || !m.IsScalar() || m.IsEmpty() {
		return "", false
	}
	return string(m.Text()), true
}

// Has reports whether there is a member called name that is neither null nor
// the empty string.
func (o *Object) Has(name string) bool {
	m, ok := o.Get(name)
	return ok && !m.IsEmpty()
}

// Object reads the member called name as an object. It returns false where
// there is no such member or it is something else.
func (o *Object) Object(name string) (*Object, bool) {
	m, ok := o.Get(name)
	if !ok {
		return nil, false
	}
	return m.Object()
}

// Name returns the member's decoded name.
func (m Member) Name() []byte { return m.name }

// Kind returns the kind of the value.
func (m Member) Kind() Kind { return kindOf(m.raw[0]) }

// kindOf returns the kind of a value that begins with c.
func kindOf(c byte) Kind {
	switch c {
	case '"', '{', '[', 't', 'f', 'n':
		return Kind(c)
	default:
		return Number
	}
}

// Raw returns the exact JSON text of the value.
func (m Member) Raw() []byte { return m.raw }

// Text returns the decoded text of a string, and the exact JSON text of every other
// value.
func (m Member) Text() []byte {
	switch {
	case m.text != nil:
		return m.text
	case m.Kind() != String:
		return m.Raw()
	}
	return unquote(m.Raw())
}

// Compact returns the value's JSON text without white space between its tokens.
// Strings and numbers stay as they are written.
func (m Member) Compact() []byte {
	text := jsontext.Value(bytes.Clone(m.Raw()))
	if err := text.Compact(); err != nil {
		panic("body: a value that was parsed is not valid: " + err.Error()) // Parse has read it once
	}
	return text
}

// IsScalar reports whether the value is neither an object nor an array.
func (m Member) IsScalar() bool { k := m.Kind(); return k != Obj && k != Array }

// IsNull reports whether the value is null.
func (m Member) IsNull() bool { return m.Kind() == Null }

// IsAbsent reports whether m is the zero Member, which means that there is none.
func (m Member) IsAbsent() bool { return m.raw == nil }

// IsEmpty reports whether the value is null or the empty string.
func (m Member) IsEmpty() bool { return m.IsNull() || string(m.Raw()) == `""` }

// Object reads the value as an object.
func (m Member) Object() (*Object, bool) {
	if m.Kind() != Obj {
		return nil, false
	}
	return objectAt(m.raw, 0), true
}

// Elements calls yield for each element of an array, in order, until yield
// returns false. An element has no name.
func (m Member) Elements(yield func(Member) bool) {
	if m.Kind() != Array {
		return
	}
	s := m.Stream()
	for range s.Elements() {
		if !yield(s.Value()) {
			return
		}
	}
}
