package canonical

import (
	"bytes"
	"errors"
	"slices"
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
		if bytes.IndexByte(p.Name, '&') >= 0 || bytes.IndexByte(p.Name, '=') >= 0 {
			return ErrAmbiguous
		}
	}
	known := names{pairs: pairs}
	for _, p := range pairs {
		for rest := p.Value; ; {
			at := bytes.IndexByte(rest, '&')
			if at < 0 {
				break
			}
			after := rest[at+1:]
			if end := bytes.IndexAny(after, "&="); end >= 0 && after[end] == '=' && known.has(after[:end]) {
				return ErrAmbiguous
			}
			rest = after
		}
	}
	return nil
}

// names finds names among those of pairs: in a map where there are many, so that
// a message of only names and ampersands takes no longer than another.
type names struct {
	pairs []Pair
	all   map[string]bool
}

func (n *names) has(name []byte) bool {
	if len(n.pairs) <= Few {
		return slices.ContainsFunc(n.pairs, func(p Pair) bool { return p.Name != nil && bytes.Equal(p.Name, name) })
	}
	if n.all == nil {
		n.all = make(map[string]bool, len(n.pairs))
		for _, p := range n.pairs {
			if p.Name != nil {
				n.all[string(p.Name)] = true
			}
		}
	}
	return n.all[string(name)]
}
