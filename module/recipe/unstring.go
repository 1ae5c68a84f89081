package recipe

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// unstring makes JSON again of members that the application gave as JSON and that
// went out as strings, where the answer has them as strings that hold an object,
// a list or null. An answer may have such a member beside the others that are
// signed.
func (b *incomingBlock) unstring(e *env, in *scheme.Incoming) error {
	if e.m.Payload == nil {
		return nil
	}
	names := make(map[string]map[string]bool) // by the object that may have them
	parents := make(map[string]body.Path)
	may := func(parent body.Path, name string) {
		key := parent.String()
		if names[key] == nil {
			names[key], parents[key] = make(map[string]bool), parent
		}
		names[key][name] = true
	}
	parts := b.parts()
	for _, path := range in.Memory().Strings {
		name := path[len(path)-1]
		may(path[:len(path)-1], name)
		may(nil, name)
		for _, part := range parts {
			may(part, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(parents)) {
		var failed error
		eachPath(e.m.Payload, append(slices.Clone(parents[key]), body.Any), func(at body.Path, r body.Ref) {
			if failed == nil && names[key][at[len(at)-1]] && e.p.description.Answer.Covers(at) {
				failed = unstring(at, r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// parts are the objects that the signatures cover.
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
	m := r.Member()
	if m.Kind() != body.String {
		return nil
	}
	text := m.Text()
	if start := strings.TrimLeft(string(text[:min(len(text), 32)]), " \t\r\n"); start == "" || !strings.ContainsAny(start[:1], "{[n") {
		return nil
	}
	switch err := body.Valid(text); {
	case err == nil:
		r.Set(text)
		return nil
	case !errors.Is(err, body.ErrSyntax):
		return scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", body.ShowName(at.String()), err)
	}
	return nil
}
