package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
)

// coverage is what a text covers. It is known before there is a message, because
// a recipe decides nothing by the message.
type coverage struct {
	bytes   bool          // the bytes of the body
	parts   []coveredPart // of the payload
	other   bool          // the query, the URI, a header, the status or the fields beside a wrapped payload
	headers []string      // canonical names of headers that are read
	queries []string
	named   []string // what name has, where the recipe says so
}

// coveredPart is an object, or a single member, that a text covers.
type coveredPart struct {
	path   body.Path                 // nil: the payload
	inside func(path ...string) bool // what of the object at path; nil: path is a member, all of it
	oneOf  bool                      // of several parts; textPart.choose looks at twins
	names  []string                  // of the members of the object that the text names, or none: it takes all
}

func (c *coverage) add(other coverage) {
	c.bytes = c.bytes || other.bytes
	c.other = c.other || other.other
	c.parts = append(c.parts, other.parts...)
	c.headers = append(c.headers, other.headers...)
	c.queries = append(c.queries, other.queries...)
	c.named = append(c.named, other.named...)
}

// addPlaceholder adds what a placeholder covers.
func (c *coverage) addPlaceholder(p part) {
	if p.request {
		return // it ties an answer to its request and covers nothing of the answer
	}
	switch p.name {
	case "body":
		if p.path == nil {
			c.bytes = true
		} else {
			c.parts = append(c.parts, coveredPart{path: p.path})
		}
	case "header":
		c.headers = append(c.headers, p.arg)
	case "query":
		c.other = true
		c.queries = append(c.queries, p.arg)
	case "uri", "url", "form":
		c.other = true
	}
}

func (c *coverage) addPart(p *textPart, inside func(path ...string) bool, names ...string) {
	switch p.kind {
	case "body":
		paths := p.paths
		if len(paths) == 0 {
			paths = []body.Path{nil}
		}
		for _, path := range paths {
			c.parts = append(c.parts, coveredPart{path, inside, len(paths) > 1, names})
		}
	case "header":
		c.headers = append(c.headers, p.only...)
	default:
		c.other = true
	}
}

// anything reports whether a text covers a part of what a message says.
func (c *coverage) anything() bool { return c.bytes || c.other || len(c.parts) > 0 }

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
	head, tail, star := strings.Cut(p[len(p)-1], "*")
	if !star {
		return body.Path(p).Covers(path)
	}
	name := path[len(p)-1]
	return body.Path(p[:len(p)-1]).Covers(path) && len(name) >= len(head)+len(tail) && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail)
}

// reads are the members that are read by name.
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

// mentions are the members that the text names, those with a * in their last name
// and each of one-of among them.
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
	return len(p.path) > 0 && strings.Contains(p.path[len(p.path)-1], "*")
}

// name is what Countersign-Signed has for the text: "*" for the payload as a
// whole, otherwise its members. What is protocol alone, such as a time stamp, is
// left out where something else is covered.
func (c *coverage) name(protocol []body.Path) string {
	if c.bytes {
		return "*"
	}
	if len(c.named) > 0 {
		return strings.Join(c.named, ",")
	}
	var names, all []string
	for _, p := range c.parts {
		if len(p.path) == 0 {
			return "*"
		}
		name := p.path.String()
		if slices.Contains(all, name) {
			continue
		}
		all = append(all, name)
		if !slices.ContainsFunc(protocol, func(q body.Path) bool { return q.String() == name }) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = all
	}
	if len(names) == 0 {
		return "*"
	}
	return strings.Join(names, ",")
}
