package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
)

// Sample returns a request as an application may post it: an example of frequent
// members, and the members that the recipe names.
func (r *Peer) Sample() *body.Object {
	tree := emptyTree()
	set := func(path body.Path, raw string) {
		if m, ok := tree.Get(path); len(path) > 0 && !path.HasAny() && (!ok || m.IsEmpty()) {
			_ = ensure(tree, path, []byte(raw)) // what is there as something else stays
		}
	}
	set(body.Path{"amount"}, `"100"`)
	set(body.Path{"remark"}, `"it is a test"`)
	b := r.p.request
	if b == nil {
		return emptyObject()
	}
	for _, s := range b.signs {
		for _, home := range r.p.homes(s.text) {
			set(append(slices.Clone(home), "amount"), `"100"`)
			set(append(slices.Clone(home), "remark"), `"it is a test"`)
		}
	}
	for _, path := range b.strings {
		set(append(slices.Clone(path), "order"), `"T1"`)
	}
	for _, e := range b.encrypted {
		for _, path := range e.paths {
			set(path, `[{"name":"one"},{"name":"two"}]`)
		}
	}
	for _, s := range b.signs {
		for _, p := range r.p.placeholders(s.text) {
			if p.name == "body" && p.path != nil && !p.request && !r.made(p.path) {
				raw := `{"order":"T1"}`
				if (p.bare || !b.format.IsJSON()) && !contains(b.strings, p.path) {
					raw = `"T1"`
				}
				set(p.path, raw)
			}
		}
	}
	for _, s := range b.statements {
		if s.set == nil {
			continue
		}
		for _, p := range s.set.value {
			if p.name == "body" && p.path != nil && !p.request && !r.made(p.path) {
				set(p.path, `"T1"`)
			}
		}
	}
	for _, path := range r.p.description.Match {
		set(path[len(path)-1:], `"T1"`)
	}
	for _, m := range tree.Members() {
		if name := string(m.Name()); name != "amount" && strings.EqualFold(name, "amount") { // a message is not read in two ways
			tree.Remove(body.Path{"amount"})
		}
	}
	o, err := body.Parse(tree.Text())
	if err != nil {
		return emptyObject()
	}
	return o
}

// made reports whether the recipe itself puts something to a path of a request.
func (r *Peer) made(path body.Path) bool {
	return slices.ContainsFunc(r.p.request.statements, func(s statement) bool {
		return s.sign != nil && slices.Equal(s.sign.place.path, path) || s.set != nil && slices.Equal(s.set.place.path, path) ||
			s.encryption != nil && s.encryption.envelope != nil && slices.Equal(s.encryption.envelope.place.path, path)
	})
}
