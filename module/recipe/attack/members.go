package attack

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
)

// added is the name of members that nobody has sent.
const added = "zz_added"

// members changes, removes, renames, swaps and moves each member of the payload, and
// adds others.
func (a *attacker) members() {
	m := a.read(a.genuine)
	if m == nil || m.Payload == nil {
		return
	}
	all := leaves(m.Payload)
	for i, l := range all {
		if a.isPlace("body." + l.path.String()) {
			continue
		}
		covered := a.covered(l.path)
		name := l.path.String()
		a.edit(i18n.T("another %s", name), covered, l.path, func(tree *body.Tree) { _ = tree.Set(l.path, Another(l.m)) })
		a.edit(i18n.T("without %s", name), covered, l.path, func(tree *body.Tree) { tree.Remove(l.path) })
		a.edit(i18n.T("emptied %s", name), covered, l.path, func(tree *body.Tree) { _ = tree.Set(l.path, []byte(`""`)) })
		if other := swapCase(l.m); other != nil && !a.signed.AnyCase {
			a.edit(i18n.T("other letters in %s", name), covered, l.path, func(tree *body.Tree) { _ = tree.Set(l.path, other) })
		}
		a.renamed(l, covered)
		a.moved(l, covered)
		if next := all[(i+1)%len(all)]; !bytes.Equal(next.m.Text(), l.m.Text()) && // 0 and "0" are one text, and no other is signed
			!a.isPlace("body."+next.path.String()) {
			covered := (covered || a.covered(next.path)) && !a.signed.NoOrder
			a.edit(i18n.T("the values of %s and %s swapped", name, next.path.String()), covered, nil, func(tree *body.Tree) {
				_ = tree.Set(l.path, next.m.Raw())
				_ = tree.Set(next.path, l.m.Raw())
			})
		}
	}
	a.additions(m.Payload, nil)
	a.duplicates(all)
}

func (a *attacker) edit(name i18n.Text, refused bool, path body.Path, do func(tree *body.Tree)) {
	a.add(name, refused, path, func(m *message.Message) {
		if m.Payload != nil {
			do(m.Payload)
		}
	})
}

// renamed gives a member its name in other letters, in its place and beside it.
func (a *attacker) renamed(l leaf, covered bool) {
	last := l.path[len(l.path)-1]
	upper := strings.ToUpper(last)
	if upper == last {
		upper = strings.ToLower(last)
	}
	if upper == last || a.signed.AnyCase {
		return
	}
	twin := append(slices.Clone(l.path[:len(l.path)-1]), upper)
	if !a.signed.AnyNameCase {
		a.edit(i18n.T("%s called %s", l.path.String(), upper), (covered || a.covered(twin)) && !a.signed.NoNames, nil, func(tree *body.Tree) {
			tree.Remove(l.path)
			_ = tree.Set(twin, l.m.Raw())
		})
	}
	if a.covered(twin) || a.isRead(l.path) { // else the twin is one more member that nobody signs
		a.edit(i18n.T("a twin %s", twin.String()), true, nil, func(tree *body.Tree) { _ = tree.Set(twin, Another(l.m)) })
	}
}

// moved puts a member to another level.
func (a *attacker) moved(l leaf, covered bool) {
	last := l.path[len(l.path)-1]
	to := body.Path{"zz_object", last}
	if len(l.path) > 1 {
		to = body.Path{last}
	}
	a.edit(i18n.T("%s moved to %s", l.path.String(), to.String()), covered || a.covered(to), nil, func(tree *body.Tree) {
		if _, there := tree.Get(to); there && len(l.path) > 1 {
			to = body.Path{"zz_object", last}
		}
		tree.Remove(l.path)
		_ = tree.Set(to, l.m.Raw())
	})
}

// additions adds a member to each object.
func (a *attacker) additions(tree *body.Tree, at body.Path) {
	if tree == nil || len(at) > 6 {
		return
	}
	if !tree.IsList() {
		path := append(slices.Clone(at), added)
		a.edit(i18n.T("added %s", path.String()), a.covered(path), path, func(tree *body.Tree) { _ = tree.Set(path, []byte(`"1"`)) })
	}
	for _, m := range tree.Members() {
		if name := string(m.Name()); name != "" && !m.IsScalar() {
			a.additions(tree.At(body.Path{name}), append(slices.Clone(at), name))
		}
	}
}

// duplicates gives members of the first level a second time, which two readers may
// read in two ways.
func (a *attacker) duplicates(all []leaf) {
	m := a.read(a.genuine)
	if a.format.Wrap != nil || len(m.Wire) == 0 {
		return
	}
	for _, l := range all {
		if len(l.path) != 1 {
			continue
		}
		name := l.path[0]
		var wire []byte
		switch kind := a.format.Kind; {
		case kind == message.JSON || kind == "":
			end := bytes.LastIndexByte(m.Wire, '}')
			if end < 0 {
				continue
			}
			wire = slices.Concat(m.Wire[:end], []byte(","), body.AppendQuote(nil, name), []byte(`:"x"}`))
		case kind == message.Form:
			wire = slices.Concat(m.Wire, []byte("&"+name+"=x"))
		case kind == message.XML:
			end := bytes.LastIndex(m.Wire, []byte("</"))
			if end < 0 {
				continue
			}
			wire = slices.Concat(m.Wire[:end], []byte("<"+name+">x</"+name+">"), m.Wire[end:])
		default:
			continue
		}
		a.add(i18n.T("%s twice", name), true, nil, func(m *message.Message) { m.Wire = wire })
	}
}

// Another returns a different value of the same kind.
func Another(m body.Member) []byte {
	text := string(m.Text())
	switch m.Kind() {
	case body.Number:
		return append(bytes.Clone(m.Raw()), '1')
	case body.String:
		if _, n := utf8.DecodeLastRuneInString(text); n > 0 && !strings.HasSuffix(text, "9") {
			return body.AppendQuote(nil, text[:len(text)-n]+"9")
		}
		return body.AppendQuote(nil, text+"8")
	}
	if text == "true" {
		return []byte("false")
	}
	return []byte("true")
}

// swapCase returns a text with one letter of the other case, or nil where it has none.
func swapCase(m body.Member) []byte {
	if m.Kind() != body.String {
		return nil
	}
	text := m.Text()
	i := slices.IndexFunc(text, func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' })
	if i < 0 {
		return nil
	}
	other := bytes.Clone(text)
	other[i] ^= 0x20
	return body.AppendQuote(nil, other)
}
