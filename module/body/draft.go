package body

import "slices"

// Draft is an object on its way out: its members as they will be. A signature
// is made over the members of a draft, so that what is signed is what is sent.
type Draft struct {
	object  *Object
	members []Member // those of the object, then those that are appended
}

// NewDraft begins a draft of o.
func NewDraft(o *Object) *Draft {
	return &Draft{object: o, members: slices.Clone(o.members)}
}

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
func (d *Draft) SetString(name, text string) { d.SetText(name, []byte(text)) }

// SetText is SetString with a text that must not be changed afterwards.
func (d *Draft) SetText(name string, text []byte) {
	d.set(name, Member{src: AppendQuote(nil, text), text: text})
}

// SetRaw is SetString with a value that is given as JSON text.
func (d *Draft) SetRaw(name string, raw []byte) { d.set(name, Member{src: raw}) }

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

func (d *Draft) set(name string, m Member) {
	m.end, m.fresh = len(m.src), true
	i := d.index(name)
	if i < 0 {
		m.name = []byte(name)
		d.members = append(d.members, m)
		return
	}
	m.name = d.members[i].name
	d.members[i] = m
}

// Apply returns the text that an object was parsed from as its draft makes it,
// and the drafts of objects in it.
func (d *Draft) Apply(inner ...*Draft) []byte {
	var edits Editor
	for _, draft := range append(inner, d) {
		for i, m := range draft.members {
			switch {
			case !m.fresh:
			case i < len(draft.object.members):
				edits.Replace(draft.object.members[i], m.src)
			default:
				edits.Set(draft.object, string(m.name), m.src)
			}
		}
	}
	return edits.Apply(d.object.src)
}
