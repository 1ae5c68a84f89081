package canonical

import (
	"bytes"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Sorted builds name=value pieces in an order that does not depend on the
// message's: `sorted` of a recipe. The zero Sorted takes every member, leaves
// out null and the empty string, refuses nested values, and joins name=value
// by "&" in the order of the names.
//
// Each option is a recipe's word; "" is the first one that its comment names.
type Sorted struct {
	Except []string // names that are left out; one that ends in * stands for a rest
	Only   []string // names that are taken, written alike; none: all

	// ListedBy names the member that lists the names to take, separated by
	// commas, colons, semicolons, bars, plus signs or blanks. A listed name that
	// no member has adds nothing. The list itself is taken only if it names
	// itself.
	ListedBy string

	With []With // pairs that are added, in order with the others

	Empty    string // skip or keep ("name=") what is the empty string
	Null     string // skip null, or take it for the empty string (empty)
	Booleans string // text ("true", "false") or refuse
	Numbers  string // token as it stands, or shortest as PHP writes it
	TrimJava bool   // trim values as Java's String.trim does, before they are tested for empty

	// Nested is what becomes of an object or a list:
	//
	//   - refuse: ErrNested
	//   - skip: left out
	//   - empty: name=, as far as Empty keeps it
	//   - json: its exact JSON text; with JSONPlain compacted, with \u0028 \u0029
	//     \u003C \u003E read as ( ) < > (fastjson escapes them on the wire only)
	//   - recurse: an object's own string, a list's elements' strings joined
	//     alike, without an index; Except holds at every level
	//   - flat: each scalar under its path, a.b or a.0
	Nested    string
	JSONPlain bool

	EmptyList     string // with recurse and flat, an empty object or list: skip or keep ("name=")
	EmptyElements string // with recurse, null and "" in a list: skip or keep (an empty piece)

	// Order is name (UTF-16 code units of the names), name-fold (the names,
	// without regard to case), piece-fold (whole pieces, without regard to case),
	// message (as they stand in it), only (as Only names them) or, with ListedBy,
	// listed. Case is ignored as CompareFold does.
	Order string

	// UpperNames writes the names in capitals: with name-fold, where no two names differ
	// in case only.
	UpperNames bool

	// Escape percent-encodes each name and each value, once they are in order:
	// rfc3986, form, java or dotnet, as URL does.
	Escape string

	Pair   string // between name and value; "" is "=" unless NoPair
	Join   string // between pieces; "" is "&" unless NoJoin
	After  string // behind every piece, the last included, instead of Join
	NoPair bool   // nothing between name and value
	NoJoin bool   // nothing between pieces
}

// Text is a text that a signature is made over.
type Text struct {
	Bytes []byte

	// Names are the first-level names that were taken, where the message itself
	// lists them (ListedBy).
	Names []string

	ambiguous  error  // of a text without names
	nodes      []node // nil where no name and no value holds a separator
	join, pair []byte
	upper      bool // names stand in capitals
}

// Append appends the text of members to dst and returns it in Text.Bytes. Its
// errors wrap ErrNested, ErrBoolean, ErrEqualFold, ErrTooLong or ErrNoList, name
// the member and hold no value. Its time is linear in the size of members, but
// for sorting.
func (s *Sorted) Append(dst []byte, members []body.Member) (Text, error) {
	var text Text
	size := 0
	if s.ListedBy != "" {
		names, err := listedNames(members, s.ListedBy)
		if err != nil {
			return Text{}, err
		}
		members = named(members, names)
		for _, m := range members {
			text.Names = append(text.Names, string(m.Name()))
		}
	}
	if s.Order == "only" {
		members = named(members, s.Only)
	}
	for _, m := range members {
		size += len(m.Name()) + len(m.Raw()) + len("=&")
	}
	nodes, err := s.collector().members(members)
	if err != nil {
		return Text{}, err
	}
	nodes = s.added(nodes)
	w := writer{
		pair: separator(s.Pair, "=", s.NoPair), join: separator(s.Join, "&", s.NoJoin),
		text: slices.Grow(dst, size),
	}
	if s.After != "" {
		w.join, w.after = []byte(s.After), true
	}
	if err := sortNodes(nodes, s.Order, w.pair, w.join); err != nil {
		return Text{}, err
	}
	if s.UpperNames {
		for i := range nodes {
			nodes[i].name = bytes.ToUpper(nodes[i].name)
		}
	}
	if err := s.escape(nodes); err != nil {
		return Text{}, err
	}
	w.pieces(nodes, false)
	text.Bytes = w.text
	if w.suspect {
		text.nodes, text.join, text.pair, text.upper = nodes, w.join, w.pair, s.UpperNames
	}
	return text, nil
}

// added are the nodes and what With adds: it stands instead of a member of its name.
func (s *Sorted) added(nodes []node) []node {
	for _, w := range s.With {
		nodes = slices.DeleteFunc(nodes, func(n node) bool { return string(n.name) == w.Name })
		nodes = append(nodes, node{name: []byte(w.Name), value: []byte(w.Text)})
	}
	return nodes
}

func (s *Sorted) escape(nodes []node) error {
	if s.Escape == "" {
		return nil
	}
	change, err := URL(s.Escape)
	if err != nil {
		return err
	}
	for i := range nodes {
		for _, text := range []*[]byte{&nodes[i].name, &nodes[i].value} {
			if *text, err = change(*text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Sorted) collector() *collector {
	return &collector{
		except: newPatterns(s.Except), only: newPatterns(s.Only), nested: s.Nested,
		keepEmpty: s.Empty == "keep", keepNull: s.Null == "empty", keepLists: s.EmptyList == "keep",
		keepElements: s.EmptyElements == "keep", refuseBooleans: s.Booleans == "refuse",
		shortest: s.Numbers == "shortest", trim: s.TrimJava, plain: s.JSONPlain,
	}
}

// Covers reports whether the text takes the value at a path below its part, if
// there is one. body.Any in a path stands for every member or element. Of a text
// whose names a member lists it reports false.
func (s *Sorted) Covers(path ...string) bool {
	if len(path) == 0 || s.ListedBy != "" || !coversName(path[0], s.Except, s.Only) {
		return false
	}
	for i := 1; i < len(path); i++ {
		switch s.Nested {
		case "json":
			return true
		case "recurse": // Except holds at every level; behind Any it may be an object's member
			if path[i] != body.Any || i == len(path)-1 {
				if !coversName(path[i], s.Except, nil) {
					return false
				}
			}
		case "flat": // Except holds for the path as it is written
			if len(s.Except) > 0 && slices.Contains(path, body.Any) || !coversName(strings.Join(path[:i+1], "."), s.Except, nil) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// coversName reports whether a member called name, or every member for body.Any,
// is neither excepted nor left out.
func coversName(name string, except, only []string) bool {
	if name == body.Any {
		return len(except)+len(only) == 0
	}
	return !newPatterns(except).match([]byte(name)) && (len(only) == 0 || newPatterns(only).match([]byte(name)))
}

func separator(given, byDefault string, none bool) []byte {
	if given == "" && !none {
		given = byDefault
	}
	return []byte(given)
}

// Check returns an error for an option that Append does not know, or for two that
// contradict each other.
func (s *Sorted) Check() error {
	for _, o := range []struct {
		option, value string
		words         []string
	}{
		{"empty", s.Empty, []string{"skip", "keep"}},
		{"null", s.Null, []string{"skip", "empty"}},
		{"booleans", s.Booleans, []string{"text", "refuse"}},
		{"numbers", s.Numbers, []string{"token", "shortest"}},
		{"nested", s.Nested, []string{"refuse", "skip", "empty", "json", "recurse", "flat"}},
		{"empty_list", s.EmptyList, []string{"skip", "keep"}},
		{"elements", s.EmptyElements, []string{"skip", "keep"}},
		{"order", s.Order, []string{"name", "name-fold", "piece-fold", "message", "only", "listed"}},
		{"escape", s.Escape, []string{"rfc3986", "form", "java", "dotnet"}},
	} {
		if o.value != "" && !slices.Contains(o.words, o.value) {
			return i18n.Errorf("%s is one of %v, not %q", o.option, o.words, o.value)
		}
	}
	switch {
	case s.JSONPlain && s.Nested != "json":
		return i18n.Errorf("plain belongs to nested json")
	case s.After != "" && (s.Join != "" || s.NoJoin):
		return i18n.Errorf("after stands instead of join: give one of them")
	case s.UpperNames && s.Order != "name-fold":
		return i18n.Errorf("names upper needs order name-fold")
	case s.ListedBy != "" && len(s.Only) > 0:
		return i18n.Errorf("names listed by %s stands instead of only: give one of them", s.ListedBy)
	case s.Order == "listed" && s.ListedBy == "":
		return i18n.Errorf("order listed needs names listed by a member")
	case s.Order == "only" && (len(s.Only) == 0 || len(newPatterns(s.Only).prefix) > 0):
		return i18n.Errorf("order only needs the names behind only, each written out")
	case s.Escape != "" && s.Nested == "recurse":
		return i18n.Errorf("escape and nested recurse do not go together")
	case s.Order == "piece-fold" && s.Nested == "recurse":
		return i18n.Errorf("order piece-fold and nested recurse do not go together")
	}
	return nil
}

// sortNodes puts the pieces of one level into order. Two that the order leaves
// undecided are refused.
func sortNodes(nodes []node, order string, pair, end []byte) error {
	var compare func(a, b node) int
	switch order {
	case "listed", "message", "only":
		return nil
	case "name-fold":
		compare = func(a, b node) int { return CompareFold(a.name, b.name) }
	case "piece-fold":
		compare = func(a, b node) int {
			x, y := [...][]byte{a.name, pair, a.value, end}, [...][]byte{b.name, pair, b.value, end}
			return compareFold(x[:], y[:])
		}
	default:
		compare = func(a, b node) int { return CompareUTF16(a.name, b.name) }
	}
	if !slices.IsSortedFunc(nodes, compare) {
		slices.SortStableFunc(nodes, compare)
	}
	for i := 1; i < len(nodes); i++ {
		a, b := nodes[i-1], nodes[i]
		if compare(a, b) != 0 {
			continue
		}
		// Whole pieces that are the same to the letter have no order to decide.
		if order != "piece-fold" || !bytes.Equal(slices.Concat(a.name, pair, a.value), slices.Concat(b.name, pair, b.value)) {
			return i18n.Errorf("member %s: %w", body.ShowName(b.name), ErrEqualFold)
		}
	}
	return nil
}
