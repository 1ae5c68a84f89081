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
	w := twins{signed: signed}
	names := make(map[string]named, len(members))
	for _, member := range members {
		if w.meet(names, string(member.Name()), member.IsEmpty()); !member.IsScalar() {
			inner := member.Stream()
			w.path = append(w.path, string(member.Name()))
			w.walk(&inner)
			w.path = w.path[:0]
		}
	}
	return w.err
}

// twins looks for empty twins, in one pass over the message.
type twins struct {
	signed func(body.Path) bool
	path   body.Path
	err    error
}

// named is a member that was met under a folded name.
type named struct {
	name  string
	empty bool
}

func (w *twins) meet(names map[string]named, name string, empty bool) {
	folded := fold(name)
	twin, ok := names[folded]
	if ok && (empty || twin.empty) && w.err == nil && (w.signed(append(slices.Clone(w.path), name)) || w.signed(append(slices.Clone(w.path), twin.name))) {
		w.err = Failf(Ambiguous, "the message can be read in two ways: there is another member %s in other letters", body.ShowName(name))
	}
	names[folded] = named{name, empty}
}

// walk reads the next value of a stream.
func (w *twins) walk(s *body.Stream) {
	depth := len(w.path)
	switch s.Kind() {
	case body.Obj:
		names := make(map[string]named)
		for name := range s.Members() {
			empty := false
			if kind := s.Kind(); kind == body.Obj || kind == body.Array {
				w.path = append(w.path, string(name))
				w.walk(s)
				w.path = w.path[:depth]
			} else {
				empty = s.Value().IsEmpty()
			}
			w.meet(names, string(name), empty)
		}
	case body.Array:
		for i := range s.Elements() {
			w.path = append(w.path, strconv.Itoa(i))
			w.walk(s)
			w.path = w.path[:depth]
		}
	default:
		s.Value()
	}
}

// fold returns the same text for names that strings.EqualFold takes for equal.
func fold(name string) string { return strings.ToLower(strings.ToUpper(strings.ToLower(name))) }
