package body

import "bytes"

// The functions in this file read text that Parse has checked. They look only for the
// ends of strings and the nesting of brackets.

// objectAt finds the members of the object that begins at src[start]. It decodes strings
// with escapes, because most of them are read more than once.
func objectAt(src []byte, start int) *Object {
	o := &Object{src: src, open: start + 1}
	at := spaceEnd(src, o.open)
	var buffer [24]Member // enough for most objects, so that append does not allocate
	members := buffer[:0]
	for src[at] != '}' {
		var m Member
		at = m.read(src, at)
		members = append(members, m)
	}
	o.members, o.end = append([]Member(nil), members...), at+1
	return o
}

// read makes m the member that begins at src[at], and returns where the next one
// begins or the object ends.
func (m *Member) read(src []byte, at int) int {
	end := stringEnd(src, at)
	m.name = unquote(src[at:end])
	at = spaceEnd(src, spaceEnd(src, end)+len(":"))
	end = valueEnd(src, at)
	m.raw = src[at:end:end]
	if m.Kind() == String && bytes.IndexByte(m.raw, '\\') >= 0 {
		m.text = unquote(m.raw)
	}
	if at = spaceEnd(src, end); src[at] == ',' {
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
