package recipe

import (
	"net/textproto"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// coverage is what a text covers. It is known when the recipe is compiled, because it
// does not depend on the message.
type coverage struct {
	bytes   bool          // the bytes of the body
	parts   []coveredPart // of the payload
	uri     bool          // the query, or the URI
	fields  []coveredPart // of those beside a wrapped payload
	headers []string      // canonical names of headers that are read, or Name.key for a part of one
	queries []string      // names of parameters, "" for the whole query
	cut     []string      // names of parts that split has cut out
	params  []coveredPart // of the query, where a builder takes it
	named   []string      // what name has, where the recipe says so
}

// coveredPart is an object, or a single member, that a text covers.
type coveredPart struct {
	path   body.Path                 // nil: the payload
	inside func(path ...string) bool // what of the object at path; nil: path is a member, all of it
	oneOf  bool                      // of several parts; textPart.choose refuses case variants
	names  []string                  // of the members of the object that the text names, or none: it takes all
	listed bool                      // a member of the message lists further names
}

func (c *coverage) add(other coverage) {
	c.bytes = c.bytes || other.bytes
	c.uri = c.uri || other.uri
	c.fields = append(c.fields, other.fields...)
	c.parts = append(c.parts, other.parts...)
	c.headers = append(c.headers, other.headers...)
	c.queries = append(c.queries, other.queries...)
	c.cut = append(c.cut, other.cut...)
	c.params = append(c.params, other.params...)
	c.named = append(c.named, other.named...)
}

// addPlaceholder adds what a placeholder covers.
func (c *coverage) addPlaceholder(p part) {
	if p.request {
		return // it binds an answer to its request and covers nothing of the answer
	}
	switch p.name {
	case "body":
		if p.path == nil {
			c.bytes = true
		} else {
			c.parts = append(c.parts, coveredPart{path: p.path})
		}
	case "header":
		if p.arg == "Content-Length" { // where there is none it is that of the body
			return
		}
		c.headers = append(c.headers, headerName(p.arg, p.key))
	case "query":
		c.uri = true
		c.queries = append(c.queries, p.arg)
	case "uri", "url":
		c.uri = true
		c.queries = append(c.queries, "")
	case "form":
		c.fields = append(c.fields, coveredPart{path: body.Path{p.arg}})
	case partKind:
		c.cut = append(c.cut, p.arg)
	}
}

func (c *coverage) addPart(p *textPart, inside func(path ...string) bool, listedBy string, names ...string) {
	listed := listedBy != ""
	if listed {
		names = append(slices.Clone(names), listedBy)
	}
	if !listed && !takesAny(inside, names) {
		return // such as except *
	}
	switch p.kind {
	case "body":
		paths := p.paths
		if len(paths) == 0 {
			paths = []body.Path{nil}
		}
		for _, path := range paths {
			c.parts = append(c.parts, coveredPart{path, inside, len(paths) > 1, names, listed})
		}
	case "header":
		for _, name := range p.only {
			c.headers = append(c.headers, textproto.CanonicalMIMEHeaderKey(name))
		}
	case "form":
		c.fields = append(c.fields, coveredPart{inside: inside, names: names})
	default: // the query
		c.uri = true
		c.params = append(c.params, coveredPart{inside: inside, names: names})
	}
}

// takesAny reports whether a builder that names some members, or none, takes any at all.
func takesAny(inside func(path ...string) bool, names []string) bool {
	const unlikely = "\x00" // a name that only * stands for
	if len(names) == 0 {
		return inside(unlikely)
	}
	return slices.ContainsFunc(names, func(name string) bool { return inside(strings.ReplaceAll(name, "*", unlikely)) })
}

func headerName(name, key string) string {
	if key == "" {
		return name
	}
	return name + "." + key
}

// anything reports whether a text covers a part of what a message says. An answer
// has neither a query nor a URI.
func (c *coverage) anything(answer bool) bool {
	return c.bytes || c.uri && !answer || len(c.fields) > 0 || len(c.parts) > 0
}

// placeholder reports whether the text covers what stands for a placeholder that
// is not a member.
func (c *coverage) placeholder(p part) bool {
	switch {
	case p.request:
		return true // our own
	case p.name == "header":
		return slices.Contains(c.headers, p.arg) || slices.Contains(c.headers, headerName(p.arg, p.key))
	case p.name == "query":
		return slices.Contains(c.queries, p.arg) || slices.Contains(c.queries, "")
	case p.name == "form":
		return c.bytes || c.field(p.arg)
	case p.name == partKind:
		return slices.Contains(c.cut, p.arg)
	}
	return false
}

// field reports whether the text covers a field beside a wrapped payload.
func (c *coverage) field(name string) bool {
	return slices.ContainsFunc(c.fields, func(p coveredPart) bool { return p.covers(body.Path{name}) })
}

// timed reports whether everything is covered that is filled into a value with the time
// of a message. It returns false for a value without a part of the message.
func (c *coverage) timed(value template, member func(body.Path) bool) bool {
	named := false
	for _, p := range value {
		switch {
		case p.name == "":
			continue
		case p.name == "body" && p.path != nil && !p.request:
			if !member(p.path) {
				return false
			}
		case p.request || !c.placeholder(p):
			return false
		}
		named = true
	}
	return named
}

// member reports whether the text covers the value at a path of the payload.
func (c *coverage) member(path body.Path) bool {
	if c.bytes {
		return true
	}
	return slices.ContainsFunc(c.parts, func(p coveredPart) bool { return p.covers(path) })
}

func (p coveredPart) covers(path body.Path) bool {
	if p.inside == nil {
		return pattern(p.path).covers(path)
	}
	return len(path) > len(p.path) && p.path.Covers(path) && p.inside(path[len(p.path):]...)
}

// pattern is a path whose last name may hold a *.
type pattern body.Path

func (p pattern) covers(path body.Path) bool {
	if len(p) == 0 || len(path) < len(p) {
		return false
	}
	head, tail, star := body.CutStar(p[len(p)-1])
	if !star {
		return body.Path(p).Covers(path)
	}
	name := path[len(p)-1]
	return body.Path(p[:len(p)-1]).Covers(path) && len(name) >= len(head)+len(tail) && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail)
}

// Signed is what the signatures of a message cover besides the members of its
// payload, for which there is scheme.Direction.Covers.
type Signed struct {
	Bytes                             bool // the bytes of the body
	Method, Host, Path, Query, Status bool
	Headers, Params, Fields           []string // by name; fields beside a wrapped payload
	AllFields                         bool
	AnyCase                           bool     // letters count in any case: the text is made lower or upper
	Loose                             bool     // some characters do not count: the text leaves them out
	AnyNameCase                       bool     // letters of names count in any case
	NoNames                           bool     // names do not count, but for the order that they give the values
	NoOrder                           bool     // nor does that order: the text has the values in an order of their own
	Places                            []string // where the signatures stand, as body.sign
}

// Signed returns what the signatures of a kind of messages cover.
func (p *Program) Signed(kind message.Kind) Signed {
	var out Signed
	var all []*signature
	switch {
	case kind == message.Request && p.request != nil:
		all = p.request.signs
	case kind == message.Answer && p.answer != nil:
		all = p.answer.verifies
	case kind == message.Notification && p.notification != nil:
		all = p.notification.verifies
	}
	for _, s := range all {
		place := s.place
		if place.kind == partKind {
			place = p.block(kind).sourceOf(place)
		}
		if place.kind != "" {
			out.Places = append(out.Places, place.String())
		}
		out.add(p, s.text)
	}
	return out
}

func (s *Signed) add(p *Program, t *text) {
	s.Bytes = s.Bytes || t.covers.bytes
	s.AnyCase = s.AnyCase || slices.ContainsFunc(t.steps, func(c change) bool { return c.fold })
	s.Loose = s.Loose || slices.ContainsFunc(t.steps, func(c change) bool { return c.loose })
	s.AnyNameCase = s.AnyNameCase || t.build.upper
	s.NoNames, s.NoOrder = s.NoNames || t.build.bare, s.NoOrder || t.build.shuffled
	s.Params = append(s.Params, t.covers.queries...)
	s.Headers = append(s.Headers, t.covers.headers...)
	if part := t.build.part; part != nil {
		s.Query = s.Query || part.kind == "query"
		s.AllFields = s.AllFields || part.kind == "form"
	}
	for _, q := range t.parts {
		if q.request {
			continue
		}
		if inner := p.texts[q.arg]; q.name == "text" && inner != nil {
			s.add(p, inner)
			continue
		}
		s.Method = s.Method || q.name == "method"
		s.Status = s.Status || q.name == "status"
		s.Host = s.Host || q.name == "host" || q.name == "url"
		s.Path = s.Path || q.name == "path" || q.name == "uri" || q.name == "url"
		s.Query = s.Query || q.name == "query" && q.arg == "" || q.name == "uri" || q.name == "url"
		if q.name == "form" {
			s.Fields = append(s.Fields, q.arg)
		}
	}
	s.Params = slices.DeleteFunc(s.Params, func(name string) bool { return name == "" })
}

// reads returns the members that are read by name.
func (c *coverage) reads() []body.Path {
	var paths []body.Path
	for _, p := range c.parts {
		if len(p.path) > 0 && !p.oneOf && !p.star() {
			paths = append(paths, p.path)
		}
		for _, name := range p.names {
			if !strings.Contains(name, "*") {
				paths = append(paths, append(slices.Clone(p.path), name))
			}
		}
	}
	return paths
}

// mentions returns the members that the text names, including those with a * in their
// last name and each one of one-of.
func (c *coverage) mentions() []body.Path {
	paths := c.reads()
	for _, p := range c.parts {
		if p.oneOf || p.star() {
			paths = append(paths, p.path)
		}
		for _, name := range p.names {
			if strings.Contains(name, "*") {
				paths = append(paths, append(slices.Clone(p.path), name))
			}
		}
	}
	return paths
}

func (p coveredPart) star() bool {
	if len(p.path) == 0 {
		return false
	}
	_, _, star := body.CutStar(p.path[len(p.path)-1])
	return star
}

// name returns what Countersign-Signed has for the text: "*" for the payload as a
// whole, otherwise its members. What is protocol alone, such as a time stamp, is
// left out where something else is covered. Of a message whose payload is not covered it
// names what is: query, query.<name>, form.<name>.
func (c *coverage) name(f message.Format, protocol []body.Path) string {
	if c.bytes {
		return "*"
	}
	if len(c.named) > 0 {
		return strings.Join(c.named, ",")
	}
	parts := c.parts
	if len(parts) == 0 {
		inQuery := f.Kind == message.Query && f.Wrap == nil // then the payload is the query
		switch {
		case f.Wrap == nil:
			parts = c.fields // the fields are the payload
		case c.field(f.Wrap.Field):
			return "*"
		}
		if inQuery {
			parts = slices.Concat(parts, c.params)
		}
		if inQuery && slices.Contains(c.queries, "") {
			return "*"
		}
		if len(parts) == 0 {
			return strings.Join(c.beside(), ",")
		}
	}
	var names, all []string
	for _, p := range parts {
		for _, path := range p.covered() {
			if len(path) == 0 {
				return "*"
			}
			name := path.String()
			if slices.Contains(all, name) {
				continue
			}
			all = append(all, name)
			if !slices.ContainsFunc(protocol, func(q body.Path) bool { return q.String() == name }) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		names = all
	}
	return strings.Join(names, ",")
}

// beside returns what is covered beside the payload: fields and the query.
func (c *coverage) beside() []string {
	var names []string
	add := func(kind string, parts []coveredPart) {
		for _, p := range parts {
			for _, path := range p.covered() {
				names = append(names, strings.TrimSuffix(kind+"."+path.String(), "."))
			}
		}
	}
	add("form", c.fields)
	add("query", c.params)
	for _, name := range c.queries {
		names = append(names, strings.TrimSuffix("query."+name, "."))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// covered are the members that the part stands for: the part itself, or those of it
// that the text names.
func (p coveredPart) covered() []body.Path {
	if len(p.names) == 0 || p.listed {
		return []body.Path{p.path}
	}
	all := make([]body.Path, len(p.names))
	for i, name := range p.names {
		all[i] = append(slices.Clone(p.path), name)
	}
	return all
}
