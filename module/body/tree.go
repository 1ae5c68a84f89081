package body

// Tree is a value and, where it is an object or an array, all that is in it.
// The elements of an array have no names.
type Tree struct {
	Member
	Children []Tree
}

// Tree reads the value and all that is in it, in one pass.
func (m Member) Tree() Tree {
	if m.IsScalar() {
		return Tree{Member: m}
	}
	d := newDecoder(m.src[m.start:m.end])
	defer d.release()
	t, err := d.tree(m.src, m.start)
	if err != nil {
		panic("body: a value that was parsed is not valid: " + err.Error()) // Parse has read it once
	}
	t.name = m.name
	return t
}

// tree reads the next value. The decoder's text begins at base in src.
func (d *decoder) tree(src []byte, base int) (t Tree, err error) {
	t.src = src
	kind := Kind(d.PeekKind())
	if kind != Obj && kind != Array {
		value, err := d.ReadValue()
		if err != nil {
			return t, err
		}
		t.end = base + int(d.InputOffset())
		t.start = t.end - len(value)
		return t, nil
	}
	if _, err := d.ReadToken(); err != nil {
		return t, err
	}
	t.start = base + int(d.InputOffset()) - 1
	for k := d.PeekKind(); k != '}' && k != ']'; k = d.PeekKind() {
		var name []byte
		if kind == Obj {
			raw, err := d.ReadValue()
			if err != nil {
				return t, err
			}
			nameEnd := base + int(d.InputOffset())
			if name, err = unquote(src[nameEnd-len(raw) : nameEnd]); err != nil {
				return t, err
			}
		}
		child, err := d.tree(src, base)
		if err != nil {
			return t, err
		}
		child.name = name
		t.Children = append(t.Children, child)
	}
	if _, err := d.ReadToken(); err != nil {
		return t, err
	}
	t.end = base + int(d.InputOffset())
	return t, nil
}
