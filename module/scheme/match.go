package scheme

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// checkMatch returns an Error with the reason Mismatch where an answer names
// another order than its request. It skips a member that is absent, null or empty in
// one of them, and a member that is still encrypted.
func (o *opening) checkMatch(answer *message.Message, encrypted []body.Path) error {
	request := o.in.Request
	if request == nil || answer.Payload == nil || request.plain == nil || request.plain.Source() == nil {
		return nil
	}
	asked := body.NewTree(request.plain.Source())
	for _, path := range o.d.Match {
		if slices.ContainsFunc(encrypted, func(outer body.Path) bool { return outer.Covers(path) }) {
			continue
		}
		got, ok := scalar(answer.Payload, path)
		if !ok {
			continue
		}
		if want, ok := RequestValue(asked, path, o.d.Inside); ok && string(want.Text()) != string(got.Text()) {
			return Failf(Mismatch, "the answer names another %s than the request", path[len(path)-1])
		}
	}
	return nil
}

// RequestValue returns the value that a request has for a member of Match, and whether
// there is one: at the same path, at the top level, or in a member that goes out as a
// string. inside is Description.Inside.
func RequestValue(request *body.Tree, path body.Path, inside []body.Path) (body.Member, bool) {
	if want, ok := scalar(request, path); ok {
		return want, true
	}
	name := path[len(path)-1:]
	if want, ok := scalar(request, name); ok {
		return want, true
	}
	for _, wrapped := range inside {
		if want, ok := scalar(request, slices.Concat(wrapped, name)); ok {
			return want, true
		}
	}
	return body.Member{}, false
}

// asked returns where RequestValue looks for the members of match: at their paths, and at
// the top level.
func asked(match []body.Path) []body.Path {
	paths := slices.Clone(match)
	for _, path := range match {
		paths = append(paths, path[len(path)-1:])
	}
	return paths
}

// scalar returns the string, number or boolean at a path, and false where it is absent
// or empty. The path may lead through strings that hold JSON.
func scalar(tree *body.Tree, path body.Path) (body.Member, bool) {
	for i := range path {
		m, ok := tree.Get(path[:i+1])
		if !ok {
			return m, false
		}
		if i == len(path)-1 {
			return m, m.IsScalar() && !m.IsEmpty()
		}
		if m.Kind() == body.String {
			inner, err := m.Inner()
			if err != nil {
				return m, false
			}
			return scalar(body.NewTree(inner), path[i+1:])
		}
	}
	return body.Member{}, false
}
