package recipe

import (
	"bytes"
	"errors"
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// unstring turns members of the answer that are strings with an object, a list or null
// into JSON, if the application sent the same members as JSON and they were sent as
// strings. Such a member may also be at another place among the signed members: at the
// top, or in an object that a signature covers.
func (b *incomingBlock) unstring(e *env, in *scheme.Incoming) error {
	sent := in.Memory().Strings
	if e.m.Payload == nil || len(sent) == 0 {
		return nil
	}
	objects := append([]body.Path{nil}, b.parts()...)
	anyName := len(objects) // in the objects before this one a member is known by its name
	for _, path := range sent {
		parent := path[:len(path)-1]
		if !contains(objects[:anyName], parent) && !slices.Equal(objects[len(objects)-1], parent) {
			objects = append(objects, parent)
		}
	}
	var names map[string]bool // of what was sent, once they are needed
	var paths body.PathSet
	for i, object := range objects {
		var failed error
		eachPath(e.m.Payload, append(slices.Clip(object), body.Any), func(outer body.Path, r body.Ref) {
			if failed != nil || !holdsJSON(r.Member()) {
				return
			}
			if names == nil {
				names = make(map[string]bool)
				for _, path := range sent {
					names[path[len(path)-1]] = true
					paths.Add(path)
				}
			}
			at := r.In(outer)
			asked := i < anyName && names[at[len(at)-1]] || paths.Has(at)
			if asked && e.p.description.Answer.Covers(at) {
				failed = unstring(at, r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// holdsJSON reports whether a member is a string that begins as an object, a list or null
// does.
func holdsJSON(m body.Member) bool {
	if m.Kind() != body.String {
		return false
	}
	text := m.Text()
	start := bytes.TrimLeft(text[:min(len(text), 32)], " \t\r\n")
	return len(start) > 0 && bytes.IndexByte([]byte("{[n"), start[0]) >= 0
}

// parts returns the objects that the signatures cover.
func (b *incomingBlock) parts() []body.Path {
	var paths []body.Path
	for _, s := range b.verifies {
		for _, p := range s.text.covers.parts {
			if p.inside != nil && len(p.path) > 0 {
				paths = append(paths, p.path)
			}
		}
	}
	return paths
}

func unstring(at body.Path, r body.Ref) error {
	text := r.Member().Text()
	switch err := body.Valid(text); {
	case err == nil:
		r.Set(text)
		return nil
	case !errors.Is(err, body.ErrSyntax):
		return scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", body.ShowName(at.String()), err)
	}
	return nil
}
