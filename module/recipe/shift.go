package recipe

import (
	"bytes"
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
)

// shifts reports whether the text of a template is also that of a message in which
// something has moved from one value to its neighbour: {body.id}|{body.amount} is 1|2|3 for
// the id 1|2 and for the id 1. It compares where each separator stands if all values
// before it are as short as they can be and if they are as long. An object or a list has
// no such place, because no part of it with text around it is JSON.
//
// Values hold the usual characters of times and addresses, as in {body.time}:{body.id};
// where a separator is nothing else the text does not say where a value ends, and some
// providers sign so all the same. A template with the whole body in it has no neighbours
// that could take a part of it.
func (t template) shifts(e *env) bool {
	if !slices.ContainsFunc(t, part.movable) || slices.ContainsFunc(t, func(p part) bool { return p.name == "body" && p.path == nil }) {
		return false
	}
	defer e.fillIn(nil, true)()
	var text, separator []byte
	var separators [][]byte
	begun := false
	for _, p := range t {
		value, err := template{p}.appendTo(nil, e)
		if err != nil {
			return false // the text itself has the error
		}
		if !p.movable() || isContainer(value) && body.Valid(value) == nil {
			separator = append(separator, value...)
			continue
		}
		switch {
		case !begun: // what stands in front of all values
		case separates(separator):
			text = append(text, separator...)
			separators = append(separators, separator)
		default: // the two values are one
			text = append(text, separator...)
		}
		begun, separator = true, nil
		text = append(text, value...)
	}
	first, last := 0, len(text)
	ends := make([]int, len(separators))
	for i := len(separators) - 1; i >= 0; i-- {
		last = bytes.LastIndex(text[:last], separators[i])
		ends[i] = last
	}
	for i, separator := range separators {
		first += bytes.Index(text[first:], separator)
		if first != ends[i] {
			return true
		}
		first += len(separator)
	}
	return false
}

// movable reports whether a placeholder stands for something that whoever sends a
// message chooses.
func (p part) movable() bool {
	return !p.request && slices.Contains([]string{"body", "header", "query", "form", "text", partKind}, p.name)
}

// separates reports whether values seldom hold a text.
func separates(text []byte) bool {
	return bytes.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !bytes.ContainsRune([]byte(" :/.,_-"), r)
	})
}
