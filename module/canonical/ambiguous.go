package canonical

import (
	"bytes"
	"errors"
)

// ErrAmbiguous is what Ambiguous returns. It names no value.
var ErrAmbiguous = errors.New("a signed value holds the name of another signed member, or a name holds & or =")

// Ambiguous returns ErrAmbiguous if the value of a pair holds "&name=" where
// name is the name of a pair: the signature of such a message can be moved to
// another one in which that member has another value. It is asked of messages
// that somebody else composes, answers and notifications.
//
// A name that holds "&" or "=" does the same without such a value: what was
// signed as amount=1&ext=x&amount=9 would come as the members "amount=1&ext"
// and "amount". No provider has such names, and they are refused as well.
//
// Its time is linear in the size of the pairs.
func Ambiguous(pairs []Pair) error {
	for _, p := range pairs {
		if bytes.ContainsAny(p.Name, "&=") {
			return ErrAmbiguous
		}
	}
	var names map[string]bool
	for _, p := range pairs {
		for rest := p.Value; ; {
			_, after, found := bytes.Cut(rest, []byte("&"))
			if !found {
				break
			}
			if names == nil { // most messages never come here
				names = namesOf(pairs)
			}
			if end := bytes.IndexAny(after, "&="); end >= 0 && after[end] == '=' && names[string(after[:end])] {
				return ErrAmbiguous
			}
			rest = after
		}
	}
	return nil
}

// namesOf are the names of all pairs that have one.
func namesOf(pairs []Pair) map[string]bool {
	names := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		if p.Name != nil {
			names[string(p.Name)] = true
		}
	}
	return names
}
