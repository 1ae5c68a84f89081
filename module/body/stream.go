package body

import (
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// Stream reads a value and all that is in it, from the front to the back and
// once, and keeps nothing of it: however deep a value nests and however many
// elements a list has, what it costs is its length.
type Stream struct {
	src  []byte
	base int
	d    *decoder
}

// Stream calls read with a stream of the value, which read must read to its
// end and must not keep.
func (m Member) Stream(read func(s *Stream)) {
	d := newDecoder(m.src[m.start:m.end])
	defer d.release()
	d.stream = Stream{src: m.src, base: m.start, d: d}
	read(&d.stream)
}

// Kind is the kind of the value that comes next.
func (s *Stream) Kind() Kind {
	switch k := s.d.PeekKind(); k {
	case '"', '{', '[', 't', 'f', 'n':
		return Kind(k)
	default:
		return Number
	}
}

// Value reads the value that comes next. It has no name.
func (s *Stream) Value() Member {
	value := must(s.d.ReadValue())
	end := s.base + int(s.d.InputOffset())
	return Member{src: s.src, start: end - len(value), end: end}
}

// Members reads the object that comes next and yields the decoded name of each
// member. The value that comes next then is the member's, and must be read.
func (s *Stream) Members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		must(s.d.ReadToken())
		for s.d.PeekKind() != '}' {
			name := s.Value()
			if !yield(name.Text()) {
				return
			}
		}
		must(s.d.ReadToken())
	}
}

// Elements reads the array that comes next and yields the position of each
// element, which is the value that comes next then and must be read.
func (s *Stream) Elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		must(s.d.ReadToken())
		for i := 0; s.d.PeekKind() != ']'; i++ {
			if !yield(i) {
				return
			}
		}
		must(s.d.ReadToken())
	}
}

// must is for what Parse has read before.
func must[T jsontext.Token | jsontext.Value](read T, err error) T {
	if err != nil {
		panic("body: a value that was parsed is not valid: " + err.Error())
	}
	return read
}
