package body

import "iter"

// Stream reads a value and all that is in it, from the front to the back and
// once, and keeps nothing of it: however deep a value nests and however many
// elements a list has, what it costs is its length.
type Stream struct {
	src []byte
	at  int
}

// Stream is a stream of the value.
func (m Member) Stream() Stream { return Stream{m.src, m.start} }

// Kind is the kind of the value that comes next.
func (s *Stream) Kind() Kind { return kindOf(s.next()) }

// next is the byte with which the value that comes next begins, or the end of
// what it would stand in.
func (s *Stream) next() byte {
	for {
		switch c := s.src[s.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			s.at++
		default:
			return c
		}
	}
}

// Value reads the value that comes next. It has no name.
func (s *Stream) Value() Member {
	s.next()
	m := Member{src: s.src, start: s.at, end: valueEnd(s.src, s.at)}
	s.at = m.end
	return m
}

// Members reads the object that comes next and yields the decoded name of each
// member. The value that comes next then is the member's, and must be read.
func (s *Stream) Members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s.next()
		for s.at++; s.next() != '}'; {
			if name := s.Value(); !yield(name.Text()) {
				return
			}
		}
		s.at++
	}
}

// Elements reads the array that comes next and yields the position of each
// element, which is the value that comes next then and must be read.
func (s *Stream) Elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		s.next()
		s.at++
		for i := 0; s.next() != ']'; i++ {
			if !yield(i) {
				return
			}
		}
		s.at++
	}
}
