package recipe

import (
	"errors"
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// string compiles "string <member>...": objects and lists are sent as strings that hold
// their text. Strings, numbers and booleans are not changed.
func (c *compiler) string(b *requestBlock, l Line) (func(*sealing) error, error) {
	if len(l.Words) < 2 || len(l.Block) > 0 {
		return nil, l.errorf("string takes members, as in: string body.biz_content")
	}
	paths, err := c.paths(l, l.Words[1:])
	if err != nil {
		return nil, err
	}
	b.strings = append(b.strings, paths...)
	return func(s *sealing) error {
		if s.m.Payload == nil {
			return nil
		}
		for _, path := range paths {
			s.stringify(path)
		}
		return nil
	}, nil
}

// check compiles "check <member>... string|object|scalar|no-object": a request that has
// one of the members as something else, or lacks one that is named without a *, is
// refused. object takes a string as well, and neither string nor object takes JSON in a
// string that two readers may read in two ways.
func (c *compiler) check(l Line) (func(*sealing) error, error) {
	usage := l.errorf("check takes members and one of string, object, scalar and no-object, as in: check body.content string")
	if len(l.Words) < 3 || len(l.Block) > 0 {
		return nil, usage
	}
	kind := l.Words[len(l.Words)-1]
	if !slices.Contains([]string{"string", "object", "scalar", "no-object"}, kind) {
		return nil, usage
	}
	paths, err := c.paths(l, l.Words[1:len(l.Words)-1])
	if err != nil {
		return nil, err
	}
	return func(s *sealing) error {
		if s.m.Payload == nil {
			return nil
		}
		for _, path := range paths {
			if m, ok := s.m.Payload.Get(path); !path.HasAny() && (!ok || m.IsEmpty()) {
				return scheme.Failf(scheme.Invalid, "the request needs the member %s", path)
			}
			if (kind == "string" || kind == "object") && contains(s.draft.Memory.Strings, path) {
				continue // the text of JSON that was parsed with the body
			}
			var refused error
			eachPath(s.m.Payload, path, func(outer body.Path, r body.Ref) {
				m := r.Member()
				isString, isObject := m.Kind() == body.String, m.Kind() == body.Obj
				wrong := map[string]bool{"string": !isString, "object": !isString && !isObject, "scalar": !m.IsScalar(), "no-object": isObject}[kind]
				switch {
				case refused != nil:
				case isString && kind != "scalar" && kind != "no-object":
					if err := body.Valid(m.Text()); err != nil && !errors.Is(err, body.ErrSyntax) {
						refused = scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", body.ShowName(r.In(outer).String()), err)
					}
				case wrong:
					refused = scheme.Failf(scheme.Invalid, "the member %s has a type that is not signed; give it as a string", body.ShowName(r.In(outer).String()))
				}
			})
			if refused != nil {
				return refused
			}
		}
		return nil
	}, nil
}

func (s *sealing) stringify(path body.Path) {
	eachPath(s.m.Payload, path, func(outer body.Path, r body.Ref) {
		if m := r.Member(); !m.IsScalar() {
			r.SetString(m.Raw())
			s.draft.Memory.Strings = append(s.draft.Memory.Strings, r.In(outer))
		}
	})
}

// paths reads members, written body.<path>.
func (c *compiler) paths(l Line, words []string) ([]body.Path, error) {
	words, err := c.members(l, words)
	if err != nil {
		return nil, err
	}
	paths := make([]body.Path, len(words))
	for i, word := range words {
		if paths[i], err = bodyPath(word); err != nil {
			return nil, l.errorf("%w", err)
		}
	}
	return paths, nil
}

// lineNaming returns the line of a block that begins with a word and names a member, or
// the block itself.
func (c *compiler) lineNaming(word string, path body.Path, block Line) Line {
	lines, _ := c.kept(block.Block) // compiled before, without an error
	for _, l := range lines {
		if l.Words[0] != word {
			continue
		}
		if paths, err := c.paths(l, l.Words[1:]); err == nil && contains(paths, path) {
			return l
		}
	}
	return block
}

// eachPath calls do for each value that a path names, with the path of what holds it.
func eachPath(tree *body.Tree, path body.Path, do func(outer body.Path, r body.Ref)) {
	tree.Walk(path, func(outer body.Path, r body.Ref) bool {
		do(outer, r)
		return true
	})
}

// meetsAny reports whether one of the paths may be that of the same member.
func meetsAny(paths []body.Path, path body.Path) bool {
	return slices.ContainsFunc(paths, func(p body.Path) bool {
		return slices.EqualFunc(p, path, func(a, b string) bool { return a == b || a == body.Any || b == body.Any })
	})
}

func contains(paths []body.Path, path body.Path) bool {
	return slices.ContainsFunc(paths, func(p body.Path) bool { return slices.Equal(p, path) })
}
