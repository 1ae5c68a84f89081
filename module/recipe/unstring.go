package recipe

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// unstring turns members of the answer that are strings with an object, a list or null
// into JSON, if the application sent the same members as JSON and they were sent as
// strings. Such a member may also be at another place among the signed members.
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
		eachPath(e.m.Payload, append(slices.Clone(parents[key]), body.Any), func(outer body.Path, r body.Ref) {
			if failed != nil || r.Member().Kind() != body.String {
				return
			}
			if at := r.In(outer); names[key][at[len(at)-1]] && e.p.description.Answer.Covers(at) {
				failed = unstring(at, r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
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
