package body

import (
	"bytes"
	"sync"
)

// What is here finds its way in a text that was found valid, and so
// asks no more than it needs to know: where a string ends, and how deep it is.

// objectAt finds the members of the object that begins at src[start].
func objectAt(src []byte, start int) *Object {
	o := &Object{src: src, open: start + 1}
	room := rooms.Get().(*[many]Member)
	n, at := 0, spaceEnd(src, o.open)
	for ; src[at] != '}' && n < many; n++ {
		at = room[n].read(src, at)
	}
	o.members = make([]Member, n+membersFrom(src, at))
	copy(o.members, room[:n])
	clear(room[:n])
	rooms.Put(room)
	for ; src[at] != '}'; n++ {
		at = o.members[n].read(src, at)
	}
	o.end = at + 1
	return o
}

// many members are counted before they are kept, so that an object of more is in
// memory once.
const many = 64

// rooms are where members stand until it is known how many they are.
var rooms = sync.Pool{New: func() any { return new([many]Member) }}

// membersFrom is how many members there are from src[at] on.
func membersFrom(src []byte, at int) (n int) {
	var m Member
	for ; src[at] != '}'; n++ {
		at = m.read(src, at)
	}
	return n
}

// read makes m the member that begins at src[at], and returns where the next one
// begins or the object ends.
func (m *Member) read(src []byte, at int) int {
	end := stringEnd(src, at)
	m.src, m.name = src, unquote(src[at:end])
	m.start = spaceEnd(src, spaceEnd(src, end)+len(":"))
	m.end = valueEnd(src, m.start)
	if at = spaceEnd(src, m.end); src[at] == ',' {
		at = spaceEnd(src, at+1)
	}
	return at
}

// valueEnd is where the value that begins at src[at] ends.
func valueEnd(src []byte, at int) int {
	switch src[at] {
	case '"':
		return stringEnd(src, at)
	case '{', '[':
		return nestedEnd(src, at)
	}
	for at < len(src) {
		switch src[at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return at
		}
		at++
	}
	return at
}

// nestedEnd is where the object or array that begins at src[at] ends.
func nestedEnd(src []byte, at int) int {
	for depth := 0; ; at++ {
		switch src[at] {
		case '"':
			at = stringEnd(src, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}

// stringEnd is where the string that begins at src[at] ends.
func stringEnd(src []byte, at int) int {
	for {
		at += 1 + bytes.IndexByte(src[at+1:], '"')
		backslashes := 0
		for src[at-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 { // else the last of them escapes the quote
			return at + 1
		}
	}
}

// spaceEnd is where the white space that may begin at src[at] ends.
func spaceEnd(src []byte, at int) int {
	for at < len(src) && (src[at] == ' ' || src[at] == '\n' || src[at] == '\r' || src[at] == '\t') {
		at++
	}
	return at
}
