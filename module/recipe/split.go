package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/scheme"
)

// partKind is the kind of the places that hold what split has cut out.
const partKind = "part"

// split is the line
//
//	split <source> <separator> [last] <part>...
//
// It cuts a text at a separator into as many parts as are named. A part is part.<name>,
// body, which is what the lines below read as the body, or a text that must stand
// there. Split only names parts for the lines below it; of the parts only the body is
// revealed.
type split struct {
	line      Line
	source    place // of kind "body" without a path: the body
	separator string
	last      bool // at the last separator, and not at each
	parts     []cutPart
	reads     bool // the body that it leaves is the payload
}

// cutPart is one of the parts of a text.
type cutPart struct {
	name     string // of part.<name>
	body     bool
	literal  string
	optional bool
}

// stage is a step that is carried out before the signature of a message is verified.
type stage struct {
	split      *split
	encryption *encryption
}

// split compiles the line.
func (c *compiler) split(b *incomingBlock, l Line) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	if len(words) < 5 || len(l.Block) > 0 || unescape(words[2]) == "" {
		return l.errorf("split takes a source, a separator and at least two parts, as in: split header.Authorization : part.key part.sign")
	}
	if len(b.verifies) > 0 {
		return l.errorf("split stands above verify: what it cuts out is what the signature is verified over")
	}
	s := &split{line: l, separator: unescape(words[2])}
	rest := words[3:]
	if s.last = rest[0] == "last"; s.last {
		if rest = rest[1:]; len(rest) != 2 {
			return l.errorf("split … last cuts a text in two, as in: split body $ last body part.sign")
		}
	}
	whole := words[1] == "body"
	if !whole {
		if s.source, err = parsePlace(words[1]); err != nil {
			return l.errorf("%w", err)
		}
		if s.source.kind == partKind && !c.parts[s.source.name] {
			return l.errorf("no split above has cut out %s", s.source)
		}
	}
	for i, word := range rest {
		p := cutPart{literal: unescape(word)}
		if name, ok := strings.CutPrefix(word, partKind+"."); ok {
			p.name, p.optional = strings.CutSuffix(name, "?")
			p.literal = ""
			switch {
			case p.name == "" || c.parts[p.name]:
				return l.errorf("part.%s: each part has a name of its own", p.name)
			case p.optional && i < len(rest)-1:
				return l.errorf("only the last part may be missing: part.%s", name)
			}
			c.parts[p.name] = true
		} else if word == "body" {
			if p.body = true; !whole {
				return l.errorf("only a part of the body becomes the body: the signature covers it, and nothing else")
			}
			if slices.ContainsFunc(s.parts, func(p cutPart) bool { return p.body }) {
				return l.errorf("split has one part that becomes the body")
			}
			p.literal = ""
		} else if strings.Contains(p.literal, s.separator) {
			return l.errorf("the part %q holds the separator", word)
		}
		s.parts = append(s.parts, p)
	}
	if whole {
		if !slices.ContainsFunc(s.parts, func(p cutPart) bool { return p.body }) {
			return l.errorf("one part of the body must become the body, as in: split body $ last body part.sign")
		}
		b.sealed = true
	}
	b.stages = append(b.stages, stage{split: s})
	return nil
}

// isBody reports whether the body is what is cut.
func (s *split) isBody() bool { return s.source.kind == "" }

// readLast finds the line that leaves the payload behind: the last of those that
// change the body as a whole.
func (b *incomingBlock) readLast() {
	last := func(bool) {}
	for _, at := range b.stages {
		switch {
		case at.split != nil && at.split.isBody():
			last = func(is bool) { at.split.reads = is }
		case at.encryption != nil && at.encryption.whole:
			last = func(is bool) { at.encryption.cut = !is }
		default:
			continue
		}
		last(false)
	}
	if !slices.ContainsFunc(b.after, func(e *encryption) bool { return e.whole }) {
		last(true)
	}
}

// splits returns the lines that cut something else than the body.
func (b *incomingBlock) splits() []*split {
	var all []*split
	for _, at := range b.stages {
		if at.split != nil && !at.split.isBody() {
			all = append(all, at.split)
		}
	}
	return all
}

// sourceOf returns the place that a part was cut out of; of a part of the body the zero
// place.
func (b *incomingBlock) sourceOf(p place) place {
	for p.kind == partKind {
		i := slices.IndexFunc(b.stages, func(at stage) bool {
			return at.split != nil && slices.ContainsFunc(at.split.parts, func(c cutPart) bool { return c.name == p.name })
		})
		if i < 0 {
			return place{}
		}
		p = b.stages[i].split.source
	}
	return p
}

// run cuts a text of the message. Where there is none, its parts are missing.
func (s *split) run(e *env, b *incomingBlock) error {
	var text string
	if s.isBody() {
		text = string(e.m.Inner)
		if e.m.Inner == nil {
			text = string(e.m.Wire)
		}
	} else {
		values, err := s.source.values(e.m, e.fields())
		if err != nil {
			return invalid(err)
		}
		if len(values) == 0 {
			return nil
		}
		text = values[0]
	}
	pieces, ok := s.cut(text)
	if !ok {
		return scheme.Failf(scheme.Invalid, "%s does not have the parts that the recipe says", s.name())
	}
	for i, p := range s.parts {
		switch {
		case p.body:
			e.m.Inner = []byte(pieces[i])
		case p.name != "":
			e.m.Parts[p.name] = pieces[i]
		case pieces[i] != p.literal:
			return scheme.Failf(scheme.Invalid, "part %d of %s is not %s, as the recipe says", i+1, s.name(), p.literal)
		}
	}
	if !s.isBody() {
		return nil
	}
	inner := e.m.Inner
	e.bytes = func() ([]byte, error) { return inner, nil }
	if !s.reads {
		return nil
	}
	o, err := b.format.Parse(inner)
	if err != nil {
		return invalid(err)
	}
	e.m.SetPayload(o)
	return nil
}

func (s *split) name() string {
	if s.isBody() {
		return "body"
	}
	return strings.TrimPrefix(s.source.String(), "body.")
}

// cut cuts a text.
func (s *split) cut(text string) ([]string, bool) {
	if s.last {
		at := strings.LastIndex(text, s.separator)
		if at < 0 {
			return nil, false
		}
		return []string{text[:at], text[at+len(s.separator):]}, true
	}
	pieces := strings.Split(text, s.separator)
	if n := len(s.parts); len(pieces) == n-1 && s.parts[n-1].optional {
		pieces = append(pieces, "")
	}
	return pieces, len(pieces) == len(s.parts)
}
