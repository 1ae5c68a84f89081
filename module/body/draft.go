package body

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// Draft is an object on its way out: its members as they will be. A signature
// is made over the members of a draft, so that what is signed is what is sent.
type Draft struct {
	object  *Object
	members []Member // those of the object, then those that are appended
	room    []byte   // where names and values stand that were set
}

// appended is how many members a provider's protocol adds to a message, about.
const appended = 6

// drafts are those that were released: they have space for members.
var drafts = sync.Pool{New: func() any { return new(Draft) }}

// NewDraft begins a draft of o.
func NewDraft(o *Object) *Draft {
	d := drafts.Get().(*Draft)
	d.object = o
	d.members = append(slices.Grow(d.members[:0], len(o.members)+appended), o.members...)
	return d
}

// Release ends a draft. It, and what Members has returned, must not be used
// afterwards.
func (d *Draft) Release() {
	clear(d.members)
	d.object, d.room = nil, d.room[:0]
	if cap(d.members) <= maxKept && cap(d.room) <= maxRoom {
		drafts.Put(d)
	}
}

// A draft that was released keeps space for so many members, and so many bytes.
const (
	maxKept = 256
	maxRoom = 16 << 10
)

// Members are the members as they will be.
func (d *Draft) Members() []Member { return d.members }

// Get finds a member, as it will be, by its decoded name.
func (d *Draft) Get(name string) (Member, bool) {
	if i := d.index(name); i >= 0 {
		return d.members[i], true
	}
	return Member{}, false
}

// SetString gives the object a string called name, in the place of the member
// of that name or behind the last.
func (d *Draft) SetString(name, text string) {
	setQuoted(d, name, text, strings.Count(text, `"`)+strings.Count(text, `\`))
}

// SetText is SetString with a text that must not be changed afterwards.
func (d *Draft) SetText(name string, text []byte) {
	setQuoted(d, name, text, bytes.Count(text, []byte{'"'})+bytes.Count(text, []byte{'\\'}))
}

// Wrap makes of the member called name, if there is one, a string that holds its
// exact JSON text.
func (d *Draft) Wrap(name string) {
	if m, ok := d.Get(name); ok {
		text := m.Raw()
		if m.fresh { // else it was parsed
			mustBeUTF8(text)
		}
		setText(d, name, text, bytes.Count(text, []byte{'"'})+bytes.Count(text, []byte{'\\'}))
	}
}

func setQuoted[T ~string | ~[]byte](d *Draft, name string, text T, escapes int) {
	mustBeUTF8(text)
	setText(d, name, text, escapes)
}

// setText sets a member that is a string, with its decoded text at hand, to
// which quoting adds so many bytes, about. The text must be UTF-8. The member stands
// in the draft's room, of which earlier members keep what they have where it must
// grow.
func setText[T ~string | ~[]byte](d *Draft, name string, text T, escapes int) {
	room := slices.Grow(d.room, len(name)+len(text)+len(`""`)+escapes)
	start := len(room)
	room = append(room, name...)
	value := len(room)
	room = appendQuote(room, text)
	d.room = room
	m := Member{src: room[value:len(room):len(room)], name: room[start:value:value]}
	if len(m.src) == len(text)+len(`""`) {
		m.text = m.src[1 : len(m.src)-1 : len(m.src)-1]
	} else {
		m.text = []byte(text)
	}
	d.set(m)
}

// SetRaw is SetString with a value that is given as JSON text.
func (d *Draft) SetRaw(name string, raw []byte) { d.set(Member{src: raw, name: []byte(name)}) }

// Default is SetString where the object has no such member, or one that is null
// or empty, which no provider takes for a value. An empty text sets nothing.
func (d *Draft) Default(name, text string) {
	if text != "" && !d.Has(name) {
		d.SetString(name, text)
	}
}

// Has reports whether there will be a member called name that is neither null
// nor the empty string.
func (d *Draft) Has(name string) bool {
	m, ok := d.Get(name)
	return ok && !m.IsEmpty()
}

func (d *Draft) index(name string) int {
	return slices.IndexFunc(d.members, func(m Member) bool { return string(m.name) == name })
}

func (d *Draft) set(m Member) {
	m.end, m.fresh = len(m.src), true
	if i := d.index(string(m.name)); i >= 0 {
		d.members[i] = m
		return
	}
	d.members = append(d.members, m)
}

// Apply returns the text that an object was parsed from as its draft makes it,
// and the drafts of objects in it.
func (d *Draft) Apply(inner ...*Draft) []byte {
	var few [2 * appended]edit // on the stack, for most drafts
	all := few[:0]
	for _, draft := range inner {
		all = draft.edits(all)
	}
	return apply(d.object.src, d.edits(all))
}

// edits appends to all what the draft changes.
func (d *Draft) edits(all []edit) []edit {
	for i, m := range d.members {
		switch {
		case !m.fresh:
		case i < len(d.object.members):
			all = append(all, edit{start: d.object.members[i].start, end: d.object.members[i].end, value: m.src})
		default:
			all = append(all, d.object.appending(m.name, m.src, all))
		}
	}
	return all
}
