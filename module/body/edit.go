package body

import (
	"cmp"
	"slices"
)

// Editor collects changes to one text and applies them in one pass. The zero
// Editor has no changes.
type Editor struct{ edits []edit }

// edit puts a value in the place of src[start:end], behind the name of its
// member where it is a new one.
type edit struct {
	start, end int
	name       []byte // with value, a member that is appended
	appends    bool
	comma      bool // before it
	value      []byte
}

// Replace changes the value of m to raw, which must be valid JSON.
func (e *Editor) Replace(m Member, raw []byte) {
	e.edits = append(e.edits, edit{start: m.start, end: m.end, value: raw})
}

// Set gives o a member called name with the value raw, which must be valid
// JSON: it changes the value of the member of that name, or appends one behind
// the last. A name may be set once.
func (e *Editor) Set(o *Object, name string, raw []byte) {
	if m, ok := o.Get(name); ok {
		e.Replace(m, raw)
		return
	}
	e.edits = append(e.edits, o.appending([]byte(name), raw, e.edits))
}

// appending is the edit that appends a member, behind those of earlier edits.
func (o *Object) appending(name, raw []byte, earlier []edit) edit {
	at := o.open
	if n := len(o.members); n > 0 {
		at = o.members[n-1].end
	}
	comma := len(o.members) > 0 || slices.ContainsFunc(earlier, func(ed edit) bool { return ed.start == at && ed.end == at })
	return edit{start: at, end: at, name: name, appends: true, comma: comma, value: raw}
}

// SetString is Set with a string as the value.
func (e *Editor) SetString(o *Object, name, value string) {
	e.Set(o, name, AppendQuote(nil, value))
}

// Apply returns src, the text that the edited objects were parsed from, with
// the changes. It returns src itself when there are none.
func (e *Editor) Apply(src []byte) []byte { return apply(src, e.edits) }

func apply(src []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return src
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	size := len(src)
	for _, ed := range edits {
		size += len(ed.value) - (ed.end - ed.start)
		if ed.appends {
			size += len(ed.name) + len(`,"":`)
		}
	}
	out := make([]byte, 0, size)
	at := 0
	for _, ed := range edits {
		out = append(out, src[at:ed.start]...)
		if ed.comma {
			out = append(out, ',')
		}
		if ed.appends {
			out = append(AppendQuote(out, ed.name), ':')
		}
		out = append(out, ed.value...)
		at = ed.end
	}
	return append(out, src[at:]...)
}
