package body

import (
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Editor collects changes to one text and applies them in one pass. The zero
// Editor has no changes.
type Editor struct {
	edits []edit
	delta int
}

type edit struct {
	start, end int
	text       []byte
}

// Replace changes the value of m to raw, which must be valid JSON.
func (e *Editor) Replace(m Member, raw []byte) {
	e.add(edit{m.start, m.end, raw})
}

// Set gives o a member called name with the value raw, which must be valid
// JSON: it changes the value of the member of that name, or appends one behind
// the last. A name may be set once.
func (e *Editor) Set(o *Object, name string, raw []byte) {
	if m, ok := o.Get(name); ok {
		e.Replace(m, raw)
		return
	}
	at := o.open
	if n := len(o.members); n > 0 {
		at = o.members[n-1].end
	}
	text := make([]byte, 0, len(name)+len(raw)+4)
	if len(o.members) > 0 || e.appendedAt(at) {
		text = append(text, ',')
	}
	text = AppendQuote(text, name)
	text = append(text, ':')
	e.add(edit{at, at, append(text, raw...)})
}

// SetString is Set with a string as the value.
func (e *Editor) SetString(o *Object, name, value string) {
	e.Set(o, name, AppendQuote(nil, value))
}

// appendedAt reports whether a member was appended at this place before.
func (e *Editor) appendedAt(at int) bool {
	return slices.ContainsFunc(e.edits, func(ed edit) bool { return ed.start == at && ed.end == at })
}

func (e *Editor) add(ed edit) {
	e.edits = append(e.edits, ed)
	e.delta += len(ed.text) - (ed.end - ed.start)
}

// Apply returns src, the text that the edited objects were parsed from, with
// the changes. It returns src itself when there are none.
func (e *Editor) Apply(src []byte) []byte {
	if len(e.edits) == 0 {
		return src
	}
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	out := make([]byte, 0, len(src)+e.delta)
	at := 0
	for _, ed := range e.edits {
		out = append(out, src[at:ed.start]...)
		out = append(out, ed.text...)
		at = ed.end
	}
	return append(out, src[at:]...)
}

// AppendQuote appends text, which must be valid UTF-8, as a JSON string with
// no more escapes than JSON demands: "<", ">", "&" and "/" stay as they are.
func AppendQuote[T ~string | ~[]byte](dst []byte, text T) []byte {
	out, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic("body: quoting text that is not UTF-8") // callers pass decoded JSON text
	}
	return out
}
