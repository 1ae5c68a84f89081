package canonical

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Values builds a text of bare values: `values` of a recipe. Options that
// Sorted has as well mean the same.
type Values struct {
	// Mode is sorted (in the order of the names, UTF-16 code units), by-value
	// (the values themselves sorted, by UTF-16 code unit) or named: the values
	// of Names, in that order.
	Mode string

	// Names are the members of named. One that is absent counts as the empty
	// string.
	Names []string

	Except, Only []string // for sorted and by-value
	ListedBy     string   // for named, instead of Names: as in Sorted

	// SecretName is the listed name in whose place Secret stands, whatever member has it.
	// A list without it is ErrNoList: nothing secret would be in the text.
	SecretName, Secret string

	Empty     string // skip (the default) or keep
	Null      string // skip (the default) or empty
	Nested    string // refuse (the default), skip, empty, json or recurse: the values in it, depth first
	JSONPlain bool
	Booleans  string // text (the default) or refuse
	Numbers   string // token (the default) or shortest
	TrimJava  bool
	Join      string // between values; "" is nothing

	Order   string // of sorted: name (the default) or name-fold
	Escape  bool   // a backslash stands before each backslash and each Join in a value
	Lengths string // each value stands behind its length in bytes; this text stands for an empty one
}

// Append appends the text of members to dst, as Sorted.Append does.
//
// The text has no names. It is ambiguous if one of several values holds Join: the part
// before Join could be the value of another member. Without Join, and by-value, every
// text is ambiguous, so that none is refused: such a signature does not bind values to
// members.
func (v *Values) Append(dst []byte, members []body.Member) (Text, error) {
	s := Sorted{
		Except: v.Except, Only: v.Only, Empty: v.Empty, Null: v.Null, Nested: v.Nested, JSONPlain: v.JSONPlain,
		Booleans: v.Booleans, Numbers: v.Numbers, TrimJava: v.TrimJava, EmptyElements: v.Empty,
	}
	var text Text
	if v.Mode == "named" {
		names := v.Names
		if v.ListedBy != "" {
			var err error
			if names, err = listedNames(members, v.ListedBy); err != nil {
				return Text{}, err
			}
			text.Names = names
		}
		if members = namedOrEmpty(members, names); v.SecretName != "" {
			at := slices.Index(names, v.SecretName)
			if at < 0 {
				return Text{}, i18n.Errorf("member %s: %w", body.ShowName(v.ListedBy), ErrNoList)
			}
			members[at] = body.StringMember(v.SecretName, v.Secret)
		}
		s.Except, s.Only = nil, nil
	}
	c := s.collector()
	c.asTheyStand = v.Mode == "named"
	nodes, err := c.members(members)
	if err != nil {
		return Text{}, err
	}
	if v.Mode == "sorted" || v.Mode == "" {
		if err := sortNodes(nodes, v.Order, nil, nil); err != nil {
			return Text{}, err
		}
	}
	values := leaves(make([][]byte, 0, len(nodes)), nodes)
	if v.Mode == "by-value" {
		slices.SortFunc(values, CompareUTF16)
	}
	join := []byte(v.Join)
	for i, value := range values {
		if i > 0 {
			dst = append(dst, join...)
		}
		switch {
		case v.Lengths != "" && len(value) == 0:
			dst = append(dst, v.Lengths...)
		case v.Lengths != "": // the length says where it ends
			dst = append(strconv.AppendInt(dst, int64(len(value)), 10), value...)
		case v.Escape:
			dst = append(dst, escapeJoin(value, join)...)
		default:
			if dst = append(dst, value...); len(values) > 1 && holds(value, join) {
				text.ambiguous = ErrAmbiguous
			}
		}
	}
	text.Bytes = dst
	return text, nil
}

// escapeJoin puts a backslash before each backslash and each join.
func escapeJoin(value, join []byte) []byte {
	value = bytes.ReplaceAll(value, []byte(`\`), []byte(`\\`))
	return bytes.ReplaceAll(value, join, append([]byte(`\`), join...))
}

// Covers reports whether the text takes the value at a path, as Sorted.Covers does.
func (v *Values) Covers(path ...string) bool {
	if v.Mode == "named" {
		return v.ListedBy == "" && len(path) > 0 && slices.Contains(v.Names, path[0]) && (&Sorted{Nested: v.Nested}).Covers(path...)
	}
	return (&Sorted{Except: v.Except, Only: v.Only, Nested: v.Nested}).Covers(path...)
}

// Check returns an error for an option that Append does not know, or for two that
// contradict each other, as Sorted.Check does.
func (v *Values) Check() error {
	s := Sorted{Empty: v.Empty, Null: v.Null, Nested: v.Nested, JSONPlain: v.JSONPlain, Booleans: v.Booleans, Numbers: v.Numbers, Order: v.Order}
	if err := s.Check(); err != nil {
		return err
	}
	isNamed := v.Mode == "named"
	isSorted := v.Mode == "sorted" || v.Mode == ""
	switch {
	case !slices.Contains([]string{"", "sorted", "by-value", "named"}, v.Mode):
		return i18n.Errorf("values are sorted, by-value or of names, not %q", v.Mode)
	case v.Order != "" && (!isSorted || v.Order != "name" && v.Order != "name-fold"):
		return i18n.Errorf("order belongs to values sorted, and is name or name-fold")
	case v.Escape && v.Join == "":
		return i18n.Errorf("escape needs a join, which is what it escapes")
	case v.Lengths != "" && (v.Empty != "keep" || v.Escape):
		return i18n.Errorf("lengths needs empty keep, and takes no escape")
	case v.Nested == "flat":
		return i18n.Errorf("values have no names to flatten: write nested recurse")
	case isNamed != (len(v.Names) > 0 || v.ListedBy != ""):
		return i18n.Errorf("values of names need the names, and others have none")
	case v.SecretName != "" && v.ListedBy == "":
		return i18n.Errorf("secret needs names listed by a member")
	case isNamed && len(v.Except)+len(v.Only) > 0:
		return i18n.Errorf("values of names take neither except nor only")
	}
	return nil
}

// namedOrEmpty does what named does, with the empty string for a name that is absent.
func namedOrEmpty(members []body.Member, names []string) []body.Member {
	found := named(members, names)
	out := make([]body.Member, 0, len(names))
	for _, name := range names {
		if len(found) > 0 && bytes.Equal(found[0].Name(), []byte(name)) {
			out, found = append(out, found[0]), found[1:]
		} else {
			out = append(out, body.StringMember(name, ""))
		}
	}
	return out
}

// leaves appends the values in nodes, depth first.
func leaves(values [][]byte, nodes []node) [][]byte {
	for _, n := range nodes {
		if n.inner != nil {
			values = leaves(values, n.inner)
		} else {
			values = append(values, n.value)
		}
	}
	return values
}
