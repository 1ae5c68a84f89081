package canonical

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// The reasons why a text cannot be built. Errors that wrap them name a member.
var (
	ErrNested  = i18n.Errorf("an object or a list cannot be signed here; send it as a string")
	ErrBoolean = i18n.Errorf("the provider has no rule for true and false; send a number or a string")
	ErrTooLong = i18n.Errorf("the names of its parents make the signed text too long")
	ErrNoList  = i18n.Errorf("it must be a string that lists the signed names, each once")
)

// node is a member or an element on its way into a text.
type node struct {
	name  []byte // nil: an element of a list
	value []byte // unless inner is not nil
	inner []node // of an object or a list under recurse
}

// collector takes the values of a message that belong into a text.
type collector struct {
	except, only patterns
	nested       string

	keepEmpty, keepNull, keepLists, keepElements bool
	refuseBooleans, shortest, trim, plain        bool

	asTheyStand bool // objects under recurse keep their order

	flat int // bytes that names of flat pieces may still have

	nodes []node // of the level that is read, behind those of the levels around it
}

// add adds a node to the level that is read.
func (c *collector) add(n node) { c.nodes = append(c.nodes, n) }

// members collects the first level.
func (c *collector) members(members []body.Member) ([]node, error) {
	room := len(members)
	if c.nested == "recurse" || c.nested == "flat" {
		room += 8 // most messages have few nested members
	}
	c.nodes = make([]node, 0, room)
	if c.nested == "flat" {
		c.flat = 4 << 10
		for _, m := range members {
			c.flat += 8 * (len(m.Name()) + len(m.Raw()))
		}
	}
	for _, m := range members {
		name := m.Name()
		taken := c.only.empty() || c.only.match(name)
		if c.except.match(name) || !taken && c.nested != "flat" {
			continue
		}
		var err error
		if m.IsScalar() {
			if taken {
				err = c.scalar(name, m, c.keepEmpty)
			}
		} else {
			v := m.Stream()
			err = c.value(name, &v, taken, c.keepEmpty)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.nodes, nil
}

// value adds the value that comes next in v, which it reads.
func (c *collector) value(name []byte, v *body.Stream, taken, keep bool) error {
	kind := v.Kind()
	isList := kind == body.Array
	if !isList && kind != body.Obj {
		m := v.Value()
		if !taken {
			return nil
		}
		return c.scalar(name, m, keep)
	}
	switch c.nested {
	case "skip":
		v.Value()
	case "empty":
		v.Value()
		if keep {
			c.add(node{name: name})
		}
	case "json":
		m := v.Value()
		text := m.Raw()
		if c.plain {
			text = plainJSON(m.Compact())
		}
		c.add(node{name: name, value: text})
	case "recurse":
		inner, empty, err := c.recurse(v, isList)
		if err != nil {
			return err
		}
		if !empty || c.keepLists || name == nil && c.keepElements {
			c.add(node{name: name, inner: inner})
		}
	case "flat":
		return c.flatten(name, v, taken, isList)
	default:
		return i18n.Errorf("member %s: %w", body.ShowName(name), ErrNested)
	}
	return nil
}

// recurse collects what is in an object or a list.
func (c *collector) recurse(v *body.Stream, isList bool) (inner []node, empty bool, err error) {
	outer := len(c.nodes)
	empty = true
	if isList {
		for range v.Elements() {
			empty = false
			if err := c.value(nil, v, true, c.keepElements); err != nil {
				return nil, false, err
			}
		}
	} else {
		for name := range v.Members() {
			empty = false
			if c.except.match(name) {
				v.Value()
			} else if err := c.value(name, v, true, c.keepEmpty); err != nil {
				return nil, false, err
			}
		}
	}
	inner = slices.Clone(c.nodes[outer:])
	c.nodes = c.nodes[:outer]
	if isList || c.asTheyStand {
		return inner, empty, nil
	}
	return inner, empty, sortNodes(inner, "name", nil, nil)
}

// flatten adds the scalars of an object or a list under their paths.
func (c *collector) flatten(path []byte, v *body.Stream, taken, isList bool) error {
	empty := true
	for name := range names(v, isList) {
		empty = false
		full := slices.Concat(path, []byte("."), name)
		if c.flat -= len(full); c.flat < 0 {
			return i18n.Errorf("member %s: %w", body.ShowName(path), ErrTooLong)
		}
		if c.except.match(full) {
			v.Value()
			continue
		}
		if err := c.value(full, v, taken || c.only.match(full), c.keepEmpty); err != nil {
			return err
		}
	}
	if empty && taken && c.keepLists {
		c.add(node{name: path})
	}
	return nil
}

// names returns the names of an object's members or the positions of a list's
// elements, each of which must be read from v.
func names(v *body.Stream, isList bool) iter.Seq[[]byte] {
	if !isList {
		return v.Members()
	}
	return func(yield func([]byte) bool) {
		for i := range v.Elements() {
			if !yield(strconv.AppendInt(nil, int64(i), 10)) {
				return
			}
		}
	}
}

// scalar adds a string, a number, a boolean or null; keep says whether the
// empty string is kept.
func (c *collector) scalar(name []byte, m body.Member, keep bool) error {
	value := m.Text()
	switch m.Kind() {
	case body.Null:
		if !c.keepNull && (name != nil || !keep) { // in a list null is kept as "" is
			return nil
		}
		value = nil
	case body.True, body.False:
		if c.refuseBooleans {
			return i18n.Errorf("member %s: %w", body.ShowName(name), ErrBoolean)
		}
	case body.Number:
		if c.shortest {
			value = shortest(value)
		}
	}
	if c.trim {
		value = TrimJava(value)
	}
	if len(value) > 0 || keep {
		c.add(node{name: name, value: value})
	}
	return nil
}

// shortest returns a number as PHP writes it after it has read it, with no more
// digits than it needs: 1.00 is 1 and 0.10 is 0.1. A whole number stays. So does
// one that PHP would write with an exponent, which depends on its settings.
func shortest(token []byte) []byte {
	if !bytes.ContainsAny(token, ".eE") {
		return token
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if abs := max(f, -f); err != nil || abs >= 1e15 || abs != 0 && abs < 1e-4 {
		return token
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}

// plainJSON replaces \u0028 \u0029 \u003C \u003E, in upper or lower case, by
// the characters they are. text is changed.
func plainJSON(text []byte) []byte {
	out := text[:0]
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return append(out, text...)
		}
		out = append(out, text[:at]...)
		text = text[at:]
		if len(text) >= len(`\u0028`) {
			if r := strings.IndexByte("()<>", plainOf(string(text[:len(`\u0028`)]))); r >= 0 {
				out = append(out, "()<>"[r])
				text = text[len(`\u0028`):]
				continue
			}
		}
		out = append(out, text[:2]...) // the escaped character may be a backslash
		text = text[2:]
	}
}

func plainOf(escape string) byte {
	switch strings.ToLower(escape) {
	case `\u0028`:
		return '('
	case `\u0029`:
		return ')'
	case `\u003c`:
		return '<'
	case `\u003e`:
		return '>'
	}
	return 0
}

// writer writes nodes.
type writer struct {
	pair, join []byte
	after      bool // join stands behind each piece

	text    []byte
	suspect bool // a name or a value holds a separator, or an element stands behind one
}

// pieces writes the pieces of one level.
func (w *writer) pieces(nodes []node, separated bool) {
	for i, n := range nodes {
		asMember := n.isMember(i, separated)
		w.suspect = w.suspect || asMember || w.holdsSeparator(n)
		if i > 0 && !w.after {
			w.text = append(w.text, w.join...)
		}
		if n.name != nil {
			w.text = append(append(w.text, n.name...), w.pair...)
		}
		if n.inner != nil {
			w.pieces(n.inner, asMember)
		} else {
			w.text = append(w.text, n.value...)
		}
		if w.after {
			w.text = append(w.text, w.join...)
		}
	}
}

// isMember reports whether node i of its level can be read as a member: an element behind
// a separator, its own or that of the list it stands in.
func (n node) isMember(i int, separated bool) bool { return n.name == nil && (i > 0 || separated) }

func (w *writer) holdsSeparator(n node) bool {
	return holds(n.name, w.join) || holds(n.name, w.pair) || holds(n.value, w.join) || len(w.join) == 0 && holds(n.value, w.pair)
}

// appendPairs appends the pieces of all levels to dst, as they can be read.
func appendPairs(dst []Pair, nodes []node, join []byte, separated bool) []Pair {
	for i, n := range nodes {
		switch asMember := n.isMember(i, separated); {
		case n.inner != nil:
			dst = appendPairs(append(dst, Pair{Name: n.name}), n.inner, join, asMember)
		case asMember:
			dst = append(dst, Pair{Value: slices.Concat(join, n.value)})
		default:
			dst = append(dst, Pair{n.name, n.value})
		}
	}
	return dst
}

// count returns how many nodes there are, at all levels.
func count(nodes []node) int {
	n := len(nodes)
	for _, inner := range nodes {
		n += count(inner.inner)
	}
	return n
}

// patterns are names, of which those that end in * stand for a rest.
type patterns struct {
	exact  []string
	prefix []string
}

func newPatterns(names []string) (p patterns) {
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "*") }) {
		return patterns{exact: names}
	}
	for _, name := range names {
		if rest, ok := strings.CutSuffix(name, "*"); ok {
			p.prefix = append(p.prefix, rest)
		} else {
			p.exact = append(p.exact, name)
		}
	}
	return p
}

func (p patterns) empty() bool { return len(p.exact)+len(p.prefix) == 0 }

func (p patterns) match(name []byte) bool {
	return slices.ContainsFunc(p.exact, func(s string) bool { return s == string(name) }) ||
		slices.ContainsFunc(p.prefix, func(s string) bool { return bytes.HasPrefix(name, []byte(s)) })
}

// listedNames returns the names that the member called by lists.
func listedNames(members []body.Member, by string) ([]string, error) {
	i := slices.IndexFunc(members, func(m body.Member) bool { return string(m.Name()) == by })
	if i < 0 || members[i].Kind() != body.String || members[i].IsEmpty() {
		return nil, i18n.Errorf("member %s: %w", body.ShowName(by), ErrNoList)
	}
	names := strings.FieldsFunc(string(members[i].Text()), func(r rune) bool { return strings.ContainsRune(",:;|+ ", r) })
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return nil, i18n.Errorf("member %s: %w", body.ShowName(by), ErrNoList)
		}
		seen[name] = true
	}
	return names, nil
}

// named returns the members of these names, in the order of the names.
func named(members []body.Member, names []string) []body.Member {
	byName := make(map[string]body.Member, len(members))
	for _, m := range members {
		byName[string(m.Name())] = m
	}
	out := make([]body.Member, 0, len(names))
	for _, name := range names {
		if m, ok := byName[name]; ok {
			out = append(out, m)
		}
	}
	return out
}
