package body

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many objects and arrays may stand in one another, the
// outermost object counted. A deeper body is refused.
const MaxDepth = 100

// The ways in which a text can fail to be an object that this package reads.
// The errors of Parse wrap one of them; none of them holds a byte of the text.
var (
	ErrSyntax    = errors.New("not valid JSON")
	ErrNotObject = errors.New("not a JSON object")
	ErrDuplicate = errors.New("the same member name twice")
	ErrDepth     = fmt.Errorf("more than %d levels deep", MaxDepth)
)

// decoder is a jsontext decoder together with the buffer it reads, pooled
// because its name tables are worth keeping.
type decoder struct {
	jsontext.Decoder
	buf     bytes.Buffer
	members []Member // of the object that is being read, until it is known how many they are
	stream  Stream   // of the value that is being read
}

// maxKept is how many members a pooled decoder keeps room for.
const maxKept = 256

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// newDecoder is a decoder of text, to be released.
func newDecoder(text []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.buf = *bytes.NewBuffer(text[:len(text):len(text)])
	d.Reset(&d.buf)
	return d
}

// release lets go of the text.
func (d *decoder) release() {
	d.buf = bytes.Buffer{}
	d.Reset(&d.buf)
	d.stream = Stream{}
	clear(d.members)
	if cap(d.members) > maxKept {
		d.members = nil
	}
	decoders.Put(d)
}

// Parse reads src, which must hold one JSON object and nothing else but white
// space. The object refers to src: src must not be changed while it is in use.
func Parse(src []byte) (*Object, error) {
	return parseAt(src, 0, len(src))
}

// parseAt reads the object in src[start:end].
func parseAt(src []byte, start, end int) (*Object, error) {
	d := newDecoder(src[start:end])
	defer d.release()

	o := &Object{src: src}
	if d.PeekKind() != '{' {
		if _, err := d.ReadValue(); err != nil {
			return nil, syntaxError(err)
		}
		return nil, ErrNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	o.open = start + int(d.InputOffset())
	members := d.members[:0]
	defer func() { d.members = members }()
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, syntaxError(err)
		}
		nameEnd := start + int(d.InputOffset())
		m := Member{src: src}
		if m.name, err = unquote(src[nameEnd-len(name) : nameEnd]); err != nil {
			return nil, ErrSyntax
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, syntaxError(err)
		}
		m.end = start + int(d.InputOffset())
		m.start = m.end - len(value)
		if tooDeep(src[m.start:m.end]) {
			return nil, ErrDepth
		}
		members = append(members, m)
	}
	o.members = slices.Clone(members)
	if _, err := d.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	o.end = start + int(d.InputOffset())
	if _, err := d.ReadToken(); err != io.EOF { //nolint:errorlint // jsontext returns io.EOF itself at the end
		return nil, fmt.Errorf("%w: there is more after the object", ErrSyntax)
	}
	return o, nil
}

// Valid reports why text is not one JSON value as Parse would read it, or nil.
func Valid(text []byte) error {
	d := newDecoder(text)
	defer d.release()
	value, err := d.ReadValue()
	if err != nil {
		return syntaxError(err)
	}
	if tooDeep(value) {
		return ErrDepth
	}
	if _, err := d.ReadToken(); err != io.EOF { //nolint:errorlint // jsontext returns io.EOF itself at the end
		return fmt.Errorf("%w: there is more after the value", ErrSyntax)
	}
	return nil
}

// syntaxError keeps of a jsontext error only what is no part of the text.
func syntaxError(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return ErrDuplicate
	}
	if serr, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w near byte %d", ErrSyntax, serr.ByteOffset)
	}
	return ErrSyntax
}

// tooDeep reports whether a member's value, known to be valid JSON, nests
// beyond MaxDepth, the object around it counted.
func tooDeep(value []byte) bool {
	if bytes.Count(value, []byte("{"))+bytes.Count(value, []byte("[")) < MaxDepth {
		return false // the common case, at the speed of vector instructions
	}
	depth, inString := 1, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// unquote decodes a JSON string. Without escapes the result is a part of raw.
func unquote(raw []byte) ([]byte, error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner[:len(inner):len(inner)], nil
	}
	return jsontext.AppendUnquote(nil, raw)
}
