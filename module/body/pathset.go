package body

import (
	"slices"
	"strings"
)

// PathSet is a set of paths of values, without Any. The zero PathSet is empty.
type PathSet struct {
	paths []Path
	known map[string]bool // once there are many
}

// few is the number of paths up to which they are compared one by one: a map would cost
// more than it saves.
const few = 16

// Add adds a path.
func (s *PathSet) Add(path Path) {
	s.paths = append(s.paths, path)
	switch {
	case s.known != nil:
		s.known[path.key()] = true
	case len(s.paths) > few:
		s.known = make(map[string]bool, 2*len(s.paths))
		for _, p := range s.paths {
			s.known[p.key()] = true
		}
	}
}

// Has reports whether a path was added.
func (s PathSet) Has(path Path) bool {
	if s.known != nil {
		return s.known[path.key()]
	}
	return slices.ContainsFunc(s.paths, func(p Path) bool { return slices.Equal(p, path) })
}

// Paths returns the paths in the order in which they were added.
func (s PathSet) Paths() []Path { return s.paths }

// key returns a text that no other path has: the separator is not UTF-8, as names are.
func (p Path) key() string { return strings.Join(p, "\xff") }
