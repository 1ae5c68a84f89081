package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/message"
)

// aboveSign refuses a line that writes what a signature above it covers: the message
// would be sent with a value other than the signed one.
func (b *requestBlock) aboveSign(l Line, p place) error {
	for _, s := range b.signs {
		if s.text.covers.place(p) || b.inQuery() && s.text.covers.uri && p.kind == "body" {
			return l.errorf("%s %s stands below a sign that covers %s, so that what leaves would not be what was signed; move it above the sign at %s", l.Words[0], p, p, s.line.At)
		}
	}
	return nil
}

// place reports whether a text covers what stands at a place.
func (c *coverage) place(p place) bool {
	switch p.kind {
	case "body":
		for i := range p.path { // what stands in a member changes it
			if c.member(p.path[:i+1]) {
				return true
			}
		}
		return false
	case "header":
		return slices.Contains(c.headers, p.name)
	case "query":
		return slices.Contains(c.queries, p.name) || slices.Contains(c.queries, "")
	case partKind:
		return slices.Contains(c.cut, p.name)
	default:
		return c.bytes || c.field(p.name)
	}
}

// checkPlaceholders refuses placeholders that have no value in a message of the kind,
// also in the texts that are filled into the text.
func (c *compiler) checkPlaceholders(l Line, t *text, kind message.Kind) error {
	if err := c.noSignature(l, t.parts); err != nil {
		return err
	}
	return c.checkValue(l, t.parts, kind)
}

// checkValue refuses placeholders of a value that a message of the kind does not have.
func (c *compiler) checkValue(l Line, value template, kind message.Kind) error {
	for _, p := range value {
		switch {
		case p.name == "status" && !p.request && kind != message.Answer:
			return l.errorf("{status} is of an answer, and a %s has none; leave it out", kind)
		case p.request && kind != message.Answer:
			return l.errorf("{request.…} stands in an answer, and this is a %s; write the placeholder without request", kind)
		case p.name == partKind && !c.parts[p.arg]:
			return l.errorf("{part.%s}: no split above has cut it out of a %s", p.arg, kind)
		case p.name == "text" && c.texts[p.arg] != nil:
			if err := c.checkPlaceholders(l, c.texts[p.arg], kind); err != nil {
				return err
			}
		}
	}
	return nil
}
