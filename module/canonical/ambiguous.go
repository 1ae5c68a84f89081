package canonical

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// ErrAmbiguous says that a text can be read in two ways. It names no value.
var ErrAmbiguous = i18n.Errorf("a signed value holds the name of another signed member, or a name holds a separator")

// Ambiguous returns ErrAmbiguous if the value of a pair holds "&name=" where
// name is the name of a pair: the signature of such a message is also valid for
// another message, in which that member has another value. It is called for messages
// that the peer composes: answers and notifications.
//
// A name that holds "&" or "=" does the same without such a value: what was
// signed as amount=1&ext=x&amount=9 would come as the members "amount=1&ext"
// and "amount". No provider has such names, and they are refused as well.
//
// Its time is linear in the size of the pairs.
func Ambiguous(pairs []Pair) error { return ambiguous(pairs, nil, ampersand, equals) }

// ambiguous does what Ambiguous does, for any separators. more are names that count
// although no pair has them. Where both separators are empty every text can be read in
// many ways, and nothing is refused.
func ambiguous(pairs, more []Pair, join, pair []byte) error {
	if len(join)+len(pair) == 0 {
		return nil
	}
	for _, p := range pairs {
		if holds(p.Name, join) || holds(p.Name, pair) {
			return ErrAmbiguous
		}
	}
	known := signedNames{pairs: slices.Concat(pairs, more)}
	for _, p := range pairs {
		if known.in(p.Value, join, pair) {
			return ErrAmbiguous
		}
	}
	return nil
}

// Ambiguous returns ErrAmbiguous if the text can be read in two ways (see the function
// Ambiguous), or nil. It matters for messages that the peer composes: answers and
// notifications. decisive are names that count as those of signed members also where the
// message does not have them: what is decided by such a member would be decided by
// another message with the same text.
func (t Text) Ambiguous(decisive ...string) error {
	if t.nodes == nil {
		return t.ambiguous
	}
	more := make([]Pair, len(decisive))
	for i, name := range decisive {
		if t.upper {
			name = strings.ToUpper(name)
		}
		more[i].Name = []byte(name)
	}
	return ambiguous(appendPairs(make([]Pair, 0, count(t.nodes)), t.nodes, t.join, false), more, t.join, t.pair)
}

func holds(text, separator []byte) bool {
	return len(separator) > 0 && bytes.Contains(text, separator)
}

// signedNames looks names up among those of pairs. It uses a map for many names, so
// that a message of only names and separators takes no longer than another.
type signedNames struct {
	pairs    []Pair
	all      map[string]bool
	prefixes *prefixes
}

// in reports whether value holds join, a name and pair one behind the other. No
// name holds a separator.
func (n *signedNames) in(value, join, pair []byte) bool {
	switch {
	case len(join) == 0:
		return n.before(value, pair)
	case len(pair) == 0:
		return n.behind(value, join)
	}
	for rest := value; ; {
		at := bytes.Index(rest, join)
		if at < 0 {
			return false
		}
		after := rest[at+len(join):]
		piece := after
		if next := bytes.Index(after, join); next >= 0 {
			piece = after[:min(len(after), next+len(pair))] // a name ends before the next join
		}
		if end := bytes.Index(piece, pair); end >= 0 && n.has(after[:end]) {
			return true
		}
		rest = rest[at+1:]
	}
}

// before is like in, for an empty join: it compares backwards from each pair.
func (n *signedNames) before(value, pair []byte) bool {
	if !bytes.Contains(value, pair) {
		return false
	}
	if n.prefixes == nil {
		n.prefixes = newPrefixes(n.pairs, true)
	}
	for at := 0; ; at++ {
		next := bytes.Index(value[at:], pair)
		if next < 0 {
			return false
		}
		at += next
		if n.prefixes.find(value[:at]) {
			return true
		}
	}
}

// behind is like in, for an empty pair: it compares forwards from each join.
func (n *signedNames) behind(value, join []byte) bool {
	if !bytes.Contains(value, join) {
		return false
	}
	if n.prefixes == nil {
		n.prefixes = newPrefixes(n.pairs, false)
	}
	for rest := value; ; rest = rest[1:] {
		next := bytes.Index(rest, join)
		if next < 0 {
			return false
		}
		rest = rest[next:]
		if n.prefixes.find(rest[len(join):]) {
			return true
		}
	}
}

// searched is the number of members up to which names are compared one by one: a map
// of them would cost more than it saves.
const searched = 24

func (n *signedNames) has(name []byte) bool {
	if len(n.pairs) <= searched {
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

// prefixes finds names at the front of a text or, if back, at its end.
type prefixes struct {
	names [][]byte // sorted, as they are read
	back  bool
}

// newPrefixes returns the names of pairs. Its time is that of sorting them.
func newPrefixes(pairs []Pair, back bool) *prefixes {
	p := &prefixes{names: make([][]byte, 0, len(pairs)), back: back}
	for _, pair := range pairs {
		switch {
		case pair.Name == nil:
		case back:
			name := slices.Clone(pair.Name)
			slices.Reverse(name)
			p.names = append(p.names, name)
		default:
			p.names = append(p.names, pair.Name)
		}
	}
	slices.SortFunc(p.names, bytes.Compare)
	return p
}

// find reports whether text begins (or, if back, ends) with one of the names.
func (p *prefixes) find(text []byte) bool {
	left := p.names // that begin with what was read; the shortest one comes first
	for i := 0; len(left) > 0; i++ {
		if len(left[0]) == i {
			return true
		}
		if i == len(text) {
			return false
		}
		c := byteAt(text, i, p.back)
		left = left[sort.Search(len(left), func(n int) bool { return left[n][i] >= c }):]
		left = left[:sort.Search(len(left), func(n int) bool { return left[n][i] > c })]
	}
	return false
}

func byteAt(text []byte, i int, back bool) byte {
	if back {
		i = len(text) - 1 - i
	}
	return text[i]
}
