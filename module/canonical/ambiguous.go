package canonical

import (
	"bytes"
	"errors"
)

// ErrAmbiguous is what Ambiguous returns. It names no value.
var ErrAmbiguous = errors.New("a signed value holds the name of another signed member")

// Ambiguous returns ErrAmbiguous if the value of a pair holds "&name=" where
// name is the name of a pair: the signature of such a message can be moved to
// another one in which that member has another value. It is asked of messages
// that somebody else composes, answers and notifications (rules.md, "A string
// that can be read in two ways"). Its time is linear in the size of the pairs.
func Ambiguous(pairs []Pair) error {
	var names nameSet
	for _, p := range pairs {
		for rest := p.Value; ; {
			_, after, found := bytes.Cut(rest, []byte("&"))
			if !found {
				break
			}
			if names == nil { // most messages never come here
				names = newNameSet(pairs)
			}
			if names.begins(after) {
				return ErrAmbiguous
			}
			rest = after
		}
	}
	return nil
}

// nameSet holds names by what stands before the first "=" or "&" in them, for a
// name may hold either.
type nameSet map[string][][]byte

func newNameSet(pairs []Pair) nameSet {
	names := make(nameSet, len(pairs))
	for _, p := range pairs {
		if p.Name != nil {
			head := string(head(p.Name))
			names[head] = append(names[head], p.Name)
		}
	}
	return names
}

// begins reports whether a text begins with a name and "=".
func (names nameSet) begins(text []byte) bool {
	for _, name := range names[string(head(text))] {
		if len(text) > len(name) && text[len(name)] == '=' && bytes.HasPrefix(text, name) {
			return true
		}
	}
	return false
}

func head(text []byte) []byte {
	if end := bytes.IndexAny(text, "=&"); end >= 0 {
		return text[:end]
	}
	return text
}
