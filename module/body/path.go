package body

import (
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Path names a value inside of a message: the names of members from the outside
// in. In a list a decimal number names an element. Any stands for every member or
// element.
type Path []string

// Any is the part of a Path that stands for every member or element, written "*". It is
// not UTF-8, so that no member of a message has it as its name.
const Any = "\xff"

// ParsePath reads a path such as bizData.orderSubDetails.*.transAmt. A dot that
// belongs to a name is written as "\.", and a name that is "*" as "\*".
func ParsePath(text string) (Path, error) {
	var path Path
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '.':
			name.WriteByte('.')
			i++
		case text[i] == '.':
			path = append(path, name.String())
			name.Reset()
		default:
			name.WriteByte(text[i])
		}
	}
	path = append(path, name.String())
	for i, name := range path {
		switch name {
		case "":
			return nil, i18n.Errorf("the path %q has an empty name; write it as in body.list.0.amount", text)
		case "*":
			path[i] = Any
		case `\*`:
			path[i] = "*"
		}
	}
	return path, nil
}

// String returns the path as ParsePath reads it.
func (p Path) String() string {
	names := make([]string, len(p))
	for i, name := range p {
		switch name {
		case Any:
			names[i] = "*"
		case "*":
			names[i] = `\*`
		default:
			names[i] = strings.ReplaceAll(name, ".", `\.`)
		}
	}
	return strings.Join(names, ".")
}

// CutStar returns what stands before and behind the "*" in a name of a path, such as
// "" and "_response" of *_response, and whether there is one. Of Any both are empty.
func CutStar(name string) (head, tail string, ok bool) {
	if name == Any {
		return "", "", true
	}
	return strings.Cut(name, "*")
}

// HasAny reports whether the path stands for more than one value.
func (p Path) HasAny() bool {
	for _, name := range p {
		if name == Any {
			return true
		}
	}
	return false
}

// Covers reports whether other is the path of a value that p names, or of a value
// inside one.
func (p Path) Covers(other Path) bool {
	if len(other) < len(p) {
		return false
	}
	for i, name := range p {
		if name != Any && name != other[i] {
			return false
		}
	}
	return true
}

// element returns the index that a name in a path gives for a list.
func element(name string) (int, bool) {
	n, err := strconv.Atoi(name)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == name
}

// ErrNotObjectAt says that a path leads through a value that has no members.
var ErrNotObjectAt = i18n.Errorf("it is neither an object nor a list")
