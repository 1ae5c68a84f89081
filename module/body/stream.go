package body

import "iter"

// Stream reads a value and everything in it once, from front to back, and stores
// nothing. Its time is linear in the length of the value, whatever its depth and its
// number of elements.
type Stream struct {
	src []byte
	at  int
}

// Stream returns a stream of the value.
func (m Member) Stream() Stream { return Stream{src: m.raw} }

// Kind returns the kind of the next value.
func (s *Stream) Kind() Kind { return kindOf(s.next()) }

// next returns the first byte of the next value, or the closing bracket if there is none.
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

// Value reads and returns the next value. It has no name.
func (s *Stream) Value() Member {
	s.next()
	start := s.at
	s.at = valueEnd(s.src, start)
	return Member{raw: s.src[start:s.at:s.at]}
}

// Members reads the next value, an object, and yields the decoded name of each member.
// The caller must then read the value of the member.
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

// Elements reads the next value, an array, and yields the index of each element. The
// caller must then read the element.
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
