package body

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// MaxDepth is how many objects and arrays may stand in one another, the
// outermost object counted. A deeper body is refused.
const MaxDepth = 100

// The ways in which a text can fail to be an object that this package reads.
// The errors of Parse wrap one of them; none of them holds a byte of the text.
var (
	ErrSyntax    = i18n.Errorf("not valid JSON")
	ErrNotObject = i18n.Errorf("not a JSON object")
	ErrDuplicate = i18n.Errorf("the same member name twice")
	ErrDepth     = i18n.Errorf("more than %d levels deep", MaxDepth)
)

// Parse reads src, which must hold one JSON object and nothing else but white
// space. The object refers to src: src must not be changed while it is in use.
//
// jsontext judges the whole text before anything is taken from it. The members
// are then found without checking again.
func Parse(src []byte) (*Object, error) {
	if err := check(src); err != nil {
		return nil, err
	}
	start := spaceEnd(src, 0)
	if src[start] != '{' {
		return nil, ErrNotObject
	}
	if tooDeep(src, 0) {
		return nil, ErrDepth
	}
	return objectAt(src, start), nil
}

// Inner reads the text of a value as Parse reads a body.
func (m Member) Inner() (*Object, error) { return Parse(m.Text()) }

// Valid returns an error if text is not one JSON value that Parse would accept as the
// value of a member.
func Valid(text []byte) error {
	if err := check(text); err != nil {
		return err
	}
	if tooDeep(text, 1) {
		return ErrDepth
	}
	return nil
}

// check returns why text is not one JSON value, or nil. It does not check the depth;
// tooDeep does.
func check(text []byte) error {
	if jsontext.Value(text).IsValid() {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(text[:len(text):len(text)]))
	for {
		token, err := d.ReadToken()
		syntax, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return ErrDuplicate
		case isSyntax: // the rest of it is a part of the text
			return i18n.Errorf("%w near byte %d", ErrSyntax, syntax.ByteOffset)
		case err != nil:
			return ErrSyntax
		case d.StackDepth() > MaxDepth:
			return ErrDepth
		case d.StackDepth() == 0 && token.Kind() == jsontext.KindEndObject:
			return i18n.Errorf("%w: there is more after the object", ErrSyntax)
		case d.StackDepth() == 0:
			return i18n.Errorf("%w: there is more after the value", ErrSyntax)
		}
	}
}

// tooDeep reports whether a valid text nests beyond MaxDepth, with as many levels
// around it.
func tooDeep(text []byte, around int) bool {
	if around+bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= MaxDepth {
		return false // the common case, at the speed of vector instructions
	}
	depth := around
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}
