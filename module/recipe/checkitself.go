package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
)

// checkHoldsItself refuses a text that contains its own signature: no peer could make
// such a message. A request is signed before the signature is written into it, so for
// requests only a text that names the place is refused.
func (c *compiler) checkHoldsItself(s *signature) error {
	covers, place := &s.text.covers, s.place
	if covers.names(place) {
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made; leave it out", place)
	}
	if s.line.Words[0] != "verify" {
		return nil
	}
	beside := place.kind == "form" && c.wraps
	if place.kind == "form" && !c.wraps {
		place.kind, place.path = "body", body.Path{place.name} // the payload
	}
	switch {
	case covers.bytes && beside:
		return s.line.errorf("what is signed holds the signature itself: {body} is the whole form, and %s stands in it; write the field that is signed, as in {form.data}", s.place)
	case covers.bytes && place.kind == "body":
		return s.line.errorf("what is signed holds the signature itself: {body} is the whole body, and %s stands in it; write what is signed of it, as in: sorted body except %s", s.place, place.path)
	case place.kind == "body" && covers.member(place.path):
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made; leave it out, as in: sorted body except %s", s.place, place.path)
	case beside && covers.field(place.name):
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made; leave it out, as in: sorted form except %s", s.place, place.name)
	case place.kind == "query" && covers.param(place.name):
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made; leave it out, as in: sorted query except %s", s.place, place.name)
	}
	return nil
}

// names reports whether a placeholder of the text stands for what is at a place.
func (c *coverage) names(p place) bool {
	named := func(parts []coveredPart, path body.Path) bool {
		return slices.ContainsFunc(parts, func(q coveredPart) bool { return q.inside == nil && slices.Equal(q.path, path) })
	}
	switch p.kind {
	case "body":
		return named(c.parts, p.path)
	case "form":
		return named(c.fields, body.Path{p.name})
	case "header":
		return slices.Contains(c.headers, p.name) || slices.Contains(c.headers, headerName(p.name, p.key))
	case partKind:
		return slices.Contains(c.cut, p.name)
	default:
		return slices.Contains(c.queries, p.name)
	}
}

// param reports whether the text covers a parameter of the query.
func (c *coverage) param(name string) bool {
	return slices.Contains(c.queries, name) || slices.Contains(c.queries, "") ||
		slices.ContainsFunc(c.params, func(p coveredPart) bool { return p.covers(body.Path{name}) })
}
