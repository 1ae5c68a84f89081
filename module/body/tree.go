package body

import "slices"

// Tree is an object or a list that is being edited. Reads return the edited values,
// so that what is signed is what is sent. Every byte outside of the edited members
// stays as it was received.
//
// A Tree reads the objects and lists in it when a path leads into them. It must
// not be used by several goroutines at once.
type Tree struct {
	src        []byte
	start, end int // the span of the value in src
	root       bool

	parent *Tree
	read   bool
	edited bool
	dirty  bool // edited since the parent has last asked for the text

	// Until something in it is edited a tree reads the members that src has, which
	// it shares with the object that it was made of.
	members []Member
	inner   []*Tree // those that were opened, or nil
	nodes   []node  // of a tree that is edited
}

// node is one member or element.
type node struct {
	Member
	kept    int // the index among the members that src has, or -1 for an added one
	was     int // the length of the value that src has
	removed bool
	inner   *Tree
}

// NewTree returns a Tree that edits an object. The text of the object must not be
// changed while the Tree is in use.
func NewTree(o *Object) *Tree {
	return &Tree{src: o.src, start: o.open - 1, end: o.end, root: true, members: o.members, read: true}
}

// Fresh returns an independent copy of the tree without its edits. It reuses what was
// parsed already.
func (t *Tree) Fresh() *Tree {
	if t.nodes != nil || t.edited {
		return NewTree(objectAt(t.src, t.start)) // src has no edits
	}
	return t.copy(nil)
}

// copy copies a tree that has no edits.
func (t *Tree) copy(parent *Tree) *Tree {
	fresh := &Tree{src: t.src, start: t.start, end: t.end, root: t.root, parent: parent, read: t.read, members: t.members}
	for i, inner := range t.inner {
		if inner == nil {
			continue
		}
		if fresh.inner == nil {
			fresh.inner = make([]*Tree, len(t.inner))
		}
		fresh.inner[i] = inner.copy(fresh)
	}
	return fresh
}

// own makes the nodes of a tree that is about to be edited.
func (t *Tree) own() {
	t.load()
	if t.nodes != nil {
		return
	}
	t.nodes = make([]node, len(t.members), len(t.members)+4) // a protocol adds a few members
	for i, m := range t.members {
		t.nodes[i] = node{Member: m, kept: i, was: len(m.raw)}
		if t.inner != nil {
			t.nodes[i].inner = t.inner[i]
		}
	}
	t.members, t.inner = nil, nil
}

// size returns how many members there are, removed ones included.
func (t *Tree) size() int { return max(len(t.members), len(t.nodes)) }

// at returns a member as the edits have made it, and whether it was not removed.
func (t *Tree) at(i int) (Member, bool) {
	if t.nodes == nil {
		if t.inner != nil && t.inner[i] != nil && t.inner[i].edited {
			t.own()
			return t.nodes[i].value(), true
		}
		return t.members[i], true
	}
	return t.nodes[i].value(), !t.nodes[i].removed
}

// innerTree returns the tree of a value that is an object or a list.
func innerTree(m Member, parent *Tree) *Tree {
	return &Tree{src: m.raw, end: len(m.raw), parent: parent}
}

func (t *Tree) isList() bool { return t.src[t.start] == '[' }

func (t *Tree) load() {
	if t.read {
		return
	}
	t.read = true
	if !t.isList() {
		t.members = objectAt(t.src, t.start).members
		return
	}
	value := Member{raw: t.src[t.start:t.end:t.end]}
	for m := range value.Elements {
		t.members = append(t.members, m)
	}
}

// value is what a node has become.
func (n *node) value() Member {
	if n.inner != nil && n.inner.edited {
		if n.inner.dirty {
			text := n.inner.Text()
			n.Member = Member{name: n.name, raw: text}
			n.inner.dirty = false
		}
	}
	return n.Member
}

// open returns the tree of a node that is an object or a list, or nil.
func (t *Tree) open(i int) *Tree {
	if t.nodes == nil {
		if t.inner == nil {
			t.inner = make([]*Tree, len(t.members))
		}
		if t.inner[i] == nil && !t.members[i].IsScalar() {
			t.inner[i] = innerTree(t.members[i], t)
		}
		return t.inner[i]
	}
	n := &t.nodes[i]
	if n.inner == nil && !n.IsScalar() {
		n.inner = innerTree(n.Member, t)
	}
	return n.inner
}

// index finds a member by its decoded name, or an element by its index.
func (t *Tree) index(name string) int {
	t.load()
	if t.isList() {
		if i, ok := element(name); ok && i < t.size() && (t.nodes == nil || !t.nodes[i].removed) {
			return i
		}
		return -1
	}
	if t.nodes == nil {
		return slices.IndexFunc(t.members, func(m Member) bool { return string(m.name) == name })
	}
	return slices.IndexFunc(t.nodes, func(n node) bool { return !n.removed && string(n.name) == name })
}

// Members returns the members of the object, or the elements of the list, with the
// edits. The slice must not be changed.
func (t *Tree) Members() []Member {
	t.load()
	if !t.edited {
		return t.members
	}
	t.own()
	members := make([]Member, 0, len(t.nodes))
	for i := range t.nodes {
		if !t.nodes[i].removed {
			members = append(members, t.nodes[i].value())
		}
	}
	return members
}

// Get returns the value at a path without "*", and whether there is one.
func (t *Tree) Get(path Path) (Member, bool) {
	for i, name := range path {
		at := t.index(name)
		if at < 0 {
			return Member{}, false
		}
		if i == len(path)-1 {
			return t.at(at)
		}
		if t = t.open(at); t == nil {
			return Member{}, false
		}
	}
	return Member{}, false
}

// At returns the object or list at a path without "*", or nil if there is none. For the
// empty path it returns t.
func (t *Tree) At(path Path) *Tree {
	for _, name := range path {
		at := t.index(name)
		if at < 0 {
			return nil
		}
		if t = t.open(at); t == nil {
			return nil
		}
	}
	return t
}

// Size returns the length in bytes of the value as it was received.
func (t *Tree) Size() int { return t.end - t.start }

// Edited reports whether something in the tree was edited.
func (t *Tree) Edited() bool { return t.edited }

// IsList reports whether the tree is a list.
func (t *Tree) IsList() bool { return t.isList() }

// Each calls yield for each value that a path names, in order, until yield
// returns false.
func (t *Tree) Each(path Path, yield func(Ref) bool) bool {
	return t.each(path, nil, func(_ Path, r Ref) bool { return yield(r) })
}

// Walk is like Each, and also passes the path of the object or list that holds each
// value, without "*". Ref.In makes of it the path of the value.
func (t *Tree) Walk(path Path, yield func(outer Path, r Ref) bool) bool {
	return t.each(path, make(Path, 0, len(path)), yield)
}

// each calls yield with the path that led to each value, unless outer is nil.
func (t *Tree) each(path, outer Path, yield func(Path, Ref) bool) bool {
	t.load()
	if len(path) == 0 {
		return true
	}
	visit := func(r Ref) bool {
		if len(path) == 1 {
			return yield(outer, r)
		}
		inner, inside := t.open(r.at), outer
		if inner == nil {
			return true
		}
		if outer != nil {
			inside = r.In(outer)
		}
		return inner.each(path[1:], inside, yield)
	}
	if path[0] != Any {
		i := t.index(path[0])
		return i < 0 || visit(Ref{t, i})
	}
	for i := range t.size() {
		if _, there := t.at(i); there && !visit(Ref{t, i}) {
			return false
		}
	}
	return true
}
