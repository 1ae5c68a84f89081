package scheme

import (
	"bytes"
	"errors"

	"github.com/countersign/caddy-countersign/module/body"
)

// Wrapped are the names of the members that the client gave as JSON and that
// went out as strings holding that JSON. A client that gave a string gets one
// back, one that gave JSON gets JSON.
type Wrapped []string

// Wrap makes of each object and array in a draft a string that holds its exact
// text.
func Wrap(draft *body.Draft) Wrapped {
	var wrapped Wrapped
	for _, m := range draft.Members() {
		if !m.IsScalar() {
			name := string(m.Name())
			wrapped = append(wrapped, name)
			draft.Wrap(name)
		}
	}
	return wrapped
}

// Unwrap makes of those members of a verified part that are strings holding an
// object, an array or null what they hold. Other strings stay.
func (w Wrapped) Unwrap(opened *Opened, part *body.Object) error {
	var edits body.Editor
	for _, name := range w {
		m, ok := part.Get(name)
		if !ok || m.Kind() != body.String {
			continue
		}
		text := m.Text()
		if start := bytes.TrimLeft(text, " \t\r\n"); len(start) == 0 || start[0] != '{' && start[0] != '[' && start[0] != 'n' {
			continue
		}
		switch err := body.Valid(text); {
		case err == nil:
			edits.Replace(m, text)
		case !errors.Is(err, body.ErrSyntax):
			return Failf(Invalid, "the JSON in the member %s is refused: %w", name, err)
		}
	}
	opened.Body = edits.Apply(opened.Body)
	return nil
}

// Inside is the object that a member holds, as itself or as a string, or nil if
// it holds none. It fails with the reason Invalid where the string holds JSON
// that two readers may read in two ways.
func Inside(message *body.Object, name string) (*body.Object, error) {
	m, ok := message.Get(name)
	if !ok {
		return nil, nil
	}
	if m.Kind() != body.String {
		o, _ := m.Object()
		return o, nil
	}
	o, err := m.Inner()
	switch {
	case err == nil, errors.Is(err, body.ErrSyntax), errors.Is(err, body.ErrNotObject):
		return o, nil
	default:
		return nil, Failf(Invalid, "the JSON in the member %s is refused: %w", name, err)
	}
}
