package scheme

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// checkEmptyTwins refuses a message with an empty member beside a signed one whose name
// differs only in case, such as AMOUNT="" beside amount. No signature covers empty values,
// so that anybody may have added it, and a parser that ignores case may take it.
func checkEmptyTwins(m *message.Message, signed func(body.Path) bool) error {
	if m.Payload == nil || signed == nil {
		return nil
	}
	if text := m.Payload.Text(); !bytes.Contains(text, []byte(`""`)) && !bytes.Contains(text, []byte("null")) {
		return nil
	}
	return emptyTwins(m.Payload.Members(), signed)
}

func emptyTwins(members []body.Member, signed func(body.Path) bool) error {
	w := twins{signed: signed, names: make([]named, 0, len(members)+8)}
	for _, member := range members {
		w.names = append(w.names, named{member.Name(), member.IsEmpty()})
		if !member.IsScalar() {
			inner := member.Stream()
			w.inside(step{name: member.Name()}, &inner)
		}
	}
	w.compare(0)
	return w.err
}

// twins looks for empty twins, in one pass over the message.
type twins struct {
	signed func(body.Path) bool
	path   []step
	names  []named // of the object that is read, behind those of the objects around it
	err    error
}

// step leads to a member of an object, or to an element of a list, which has no name.
type step struct {
	name  []byte
	index int
}

// named is a member.
type named struct {
	name  []byte
	empty bool
}

// walk reads the next value of a stream.
func (w *twins) walk(s *body.Stream) {
	switch s.Kind() {
	case body.Obj:
		outer := len(w.names)
		for name := range s.Members() {
			empty := false
			if kind := s.Kind(); kind == body.Obj || kind == body.Array {
				w.inside(step{name: name}, s)
			} else {
				empty = s.Value().IsEmpty()
			}
			w.names = append(w.names, named{name, empty})
		}
		w.compare(outer)
	case body.Array:
		for i := range s.Elements() {
			w.inside(step{index: i}, s)
		}
	default:
		s.Value()
	}
}

// inside reads the next value of a stream, to which a step leads.
func (w *twins) inside(at step, s *body.Stream) {
	w.path = append(w.path, at)
	w.walk(s)
	w.path = w.path[:len(w.path)-1]
}

// searched is the number of members up to which each empty one is compared with all
// others: a map of their names would cost more than it saves.
const searched = 24

// compare looks for twins among the names from outer on, and forgets them.
func (w *twins) compare(outer int) {
	names := w.names[outer:]
	w.names = w.names[:outer]
	if !slices.ContainsFunc(names, func(n named) bool { return n.empty }) {
		return
	}
	if len(names) > searched {
		w.compareMany(names)
		return
	}
	for i, twin := range names {
		for _, other := range names[i+1:] {
			if (twin.empty || other.empty) && bytes.EqualFold(twin.name, other.name) {
				w.met(twin, other)
			}
		}
	}
}

func (w *twins) compareMany(names []named) {
	met := make(map[string]named, len(names))
	for _, n := range names {
		folded := fold(string(n.name))
		if twin, ok := met[folded]; ok && (n.empty || twin.empty) {
			w.met(twin, n)
		}
		met[folded] = n
	}
}

// met refuses two twins if one of them is signed.
func (w *twins) met(twin, other named) {
	if w.err == nil && (w.signed(w.at(other)) || w.signed(w.at(twin))) {
		w.err = Failf(Ambiguous, "the message can be read in two ways: there is another member %s in other letters", body.ShowName(other.name))
	}
}

// at returns the path of a member of the object that is read.
func (w *twins) at(n named) body.Path {
	path := make(body.Path, 0, len(w.path)+1)
	for _, s := range w.path {
		if s.name == nil {
			path = append(path, strconv.Itoa(s.index))
		} else {
			path = append(path, string(s.name))
		}
	}
	return append(path, string(n.name))
}

// fold returns the same text for names that strings.EqualFold takes for equal.
func fold(name string) string { return strings.ToLower(strings.ToUpper(strings.ToLower(name))) }
