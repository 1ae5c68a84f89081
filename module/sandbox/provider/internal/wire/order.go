package wire

import (
	"slices"
	"unicode/utf16"
)

// Sorted returns the members in the order of their names' UTF-16 code units, which
// is how Java and JavaScript compare strings.
func (v Value) Sorted() []Member {
	members := slices.Clone(v.Members)
	slices.SortFunc(members, func(a, b Member) int {
		return slices.Compare(utf16.Encode([]rune(a.Name)), utf16.Encode([]rune(b.Name)))
	})
	return members
}
