package recipe

import (
	"bytes"
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// inTexts runs do while the members that stand in the way to paths are JSON: the
// statement string may have made them texts, or the application may have sent them so.
// In a request, JSON that is broken is refused: what should be encrypted would leave as it
// is.
func inTexts(tree *body.Tree, strings, paths []body.Path, request bool, do func() error) error {
	type opened struct {
		at   body.Path
		raw  []byte // as it stood
		text []byte
	}
	var all []opened
	var refused error
	if tree != nil && len(strings) > 0 {
		inTheWay := slices.DeleteFunc(slices.Clone(strings), func(outer body.Path) bool {
			return !slices.ContainsFunc(paths, func(path body.Path) bool { return mayHold(outer, path) })
		})
		slices.SortStableFunc(inTheWay, func(a, b body.Path) int { return len(a) - len(b) })
		for _, outer := range inTheWay {
			eachPath(tree, outer, func(around body.Path, r body.Ref) {
				m := r.Member()
				if refused != nil || m.Kind() != body.String || !isContainer(m.Text()) {
					return
				}
				if err := body.Valid(m.Text()); err != nil {
					if request {
						refused = scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", body.ShowName(r.In(around).String()), err)
					}
					return
				}
				all = append(all, opened{slices.Clone(r.In(around)), slices.Clone(m.Raw()), m.Text()})
				r.Set(m.Text())
			})
		}
	}
	if refused != nil {
		return refused
	}
	err := do()
	for _, o := range slices.Backward(all) {
		m, _ := tree.Get(o.at)
		if m.IsAbsent() {
			continue
		}
		raw := o.raw
		if !bytes.Equal(m.Raw(), o.text) {
			raw = body.AppendQuote(nil, m.Raw())
		}
		if failed := tree.Set(o.at, raw); err == nil {
			err = failed
		}
	}
	return err
}

// mayHold reports whether a member that path names may be inside of one that outer names.
func mayHold(outer, path body.Path) bool {
	if len(outer) >= len(path) {
		return false
	}
	for i, name := range outer {
		if name != path[i] && name != body.Any && path[i] != body.Any {
			return false
		}
	}
	return true
}
