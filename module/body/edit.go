package body

import (
	"slices"
	"strconv"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Ref is a member or element of a Tree.
type Ref struct {
	tree *Tree
	at   int
}

// Member returns the value as the edits have made it.
func (r Ref) Member() Member {
	m, _ := r.tree.at(r.at)
	return m
}

// In returns the path of the value in the object or list that has the path outer. It shares
// no memory with outer.
func (r Ref) In(outer Path) Path {
	name := string(r.Member().name)
	if r.tree.isList() {
		name = strconv.Itoa(r.at)
	}
	return append(slices.Clip(outer), name)
}

// Set gives the member another value, which must be valid JSON.
func (r Ref) Set(raw []byte) { r.set(value(raw)) }

func (r Ref) set(v Member) {
	r.tree.own()
	n := &r.tree.nodes[r.at]
	v.name = n.name
	n.Member, n.inner = v, nil
	r.tree.mark()
}

// SetString gives the member a string.
// text must not be changed afterwards.
func (r Ref) SetString(text []byte) { r.set(stringValue(text)) }

// Remove removes the member.
func (r Ref) Remove() {
	r.tree.own()
	r.tree.nodes[r.at].removed = true
	r.tree.mark()
}

// value is a member without a name.
func value(raw []byte) Member { return Member{raw: raw} }

// stringValue is a string without a name, which keeps its text.
func stringValue(text []byte) Member {
	v := value(AppendQuote(nil, text))
	v.text = text
	return v
}

func (t *Tree) mark() {
	for ; t != nil; t = t.parent {
		t.edited, t.dirty = true, true
	}
}

// Set gives the value that a path without "*" names another value, which must be
// valid JSON. A missing member is appended after the last one, and so are missing
// objects on the path. Set fails if the path leads through a value that is neither an
// object nor a list, or beyond the end of a list.
func (t *Tree) Set(path Path, raw []byte) error { return t.set(path, value(raw)) }

func (t *Tree) set(path Path, v Member) error {
	for i, name := range path {
		at := t.index(name)
		switch {
		case i == len(path)-1 && at >= 0:
			Ref{t, at}.set(v)
			return nil
		case at < 0 && t.isList():
			return i18n.Errorf("%s: the list has no element %s", path, name)
		case at < 0:
			v = inObjects(path[i+1:], v)
			v.name = []byte(name)
			t.own()
			t.nodes = append(t.nodes, node{Member: v, kept: -1})
			t.mark()
			return nil
		}
		inner := t.open(at)
		if inner == nil {
			if m, _ := t.at(at); m.IsEmpty() { // null and "" give way to an object
				Ref{t, at}.set(inObjects(path[i+1:], v))
				return nil
			}
			return i18n.Errorf("%s: %w", path[:i+1], ErrNotObjectAt)
		}
		t = inner
	}
	return nil
}

// inObjects returns the value in an object for each name of a path.
func inObjects(path Path, v Member) Member {
	for _, outer := range slices.Backward(path) {
		v = value(slices.Concat([]byte("{"), AppendQuote(nil, outer), []byte(":"), v.Raw(), []byte("}")))
	}
	return v
}

// SetString is Set with a string.
func (t *Tree) SetString(path Path, text string) error { return t.set(path, stringValue([]byte(text))) }

// Remove removes what a path names.
func (t *Tree) Remove(path Path) {
	t.Each(path, func(r Ref) bool {
		r.Remove()
		return true
	})
}

// Text returns the text with the edits: of the whole body for a tree made by NewTree,
// otherwise of the value alone. Without edits it returns the source itself.
func (t *Tree) Text() []byte {
	from, to := t.start, t.end
	if t.root {
		from, to = 0, len(t.src)
	}
	if !t.edited {
		return t.src[from:to:to]
	}
	t.own()
	size := to - from
	for i := range t.nodes {
		m := t.nodes[i].value()
		if size += len(m.raw) - t.nodes[i].was; t.nodes[i].kept < 0 {
			size += len(m.name) + len(`,"":`)
		}
	}
	out := append(make([]byte, 0, size), t.src[from:t.start+1]...)
	at, first, wrote := t.start+1, -1, false // at: behind the last member that src has
	for i := range t.nodes {
		n := &t.nodes[i]
		m := n.value()
		if n.kept < 0 {
			if n.removed {
				continue
			}
			if wrote {
				out = append(out, ',')
			}
			out = append(append(AppendQuote(out, m.name), ':'), m.Raw()...)
			wrote = true
			continue
		}
		begin, value := t.next(at)
		if first < 0 {
			first = begin
		}
		if !n.removed {
			if wrote {
				out = append(out, t.src[at:begin]...)
			} else {
				out = append(out, t.src[t.start+1:first]...)
			}
			out = append(append(out, t.src[begin:value]...), m.Raw()...)
			wrote = true
		}
		at = value + n.was
	}
	return append(out, t.src[at:to]...)
}

// next is where the next member behind src[at] begins, with its name, and where its
// value begins.
func (t *Tree) next(at int) (begin, value int) {
	begin = spaceEnd(t.src, at)
	if t.src[begin] == ',' {
		begin = spaceEnd(t.src, begin+1)
	}
	value = begin
	if !t.isList() {
		value = spaceEnd(t.src, stringEnd(t.src, begin))
		value = spaceEnd(t.src, value+len(":"))
	}
	return begin, value
}
