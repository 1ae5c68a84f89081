package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
)

// compileText compiles the line of a text, with its block.
func (c *compiler) compileText(l Line) (*text, error) {
	if len(l.Words) < 2 || !isName(l.Words[1]) {
		return nil, l.errorf("text needs a name, as in: text members { sorted body except sign }")
	}
	name := l.Words[1]
	switch {
	case len(l.Words) == 3 && l.Block == nil:
		return c.templateText(name, l, l.Words[2])
	case len(l.Words) != 2 || len(l.Block) == 0:
		return nil, l.errorf("text %s needs a block of steps, or one template in quotes", name)
	}
	t := &text{name: name, line: l}
	lines, err := c.kept(l.Block)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, l.errorf("text %s has no step; begin with sorted, values, raw, json or a template", name)
	}
	if err := c.builder(t, lines[0]); err != nil {
		return nil, err
	}
	secretsBefore := len(t.secrets) > 0
	for _, step := range lines[1:] {
		s, err := c.change(t, step)
		if err != nil {
			return nil, err
		}
		t.steps = append(t.steps, s)
	}
	t.tail = c.tailOf(t, secretsBefore)
	return t, nil
}

// templateText is a text that is one template.
func (c *compiler) templateText(name string, l Line, text_ string) (*text, error) {
	t := &text{name: name, line: l, tail: -1}
	var err error
	if t.build.template, err = c.parseTemplate(text_, false); err != nil {
		return nil, l.errorf("%w", err)
	}
	c.ofTemplate(t, t.build.template)
	return t, nil
}

// tailOf is the step from which on all steps append and before which no secret
// stands.
func (c *compiler) tailOf(t *text, before bool) int {
	if before {
		return -1
	}
	tail := len(t.steps)
	for tail > 0 && t.steps[tail-1].run == nil && !t.steps[tail-1].prepend {
		tail--
	}
	for _, s := range t.steps[:tail] {
		if s.template.has("secret") {
			return -1
		}
	}
	for tail < len(t.steps) && !t.steps[tail].template.has("secret") {
		tail++
	}
	return tail
}

// ofTemplate notes what a template that is a part of the text covers and holds.
func (c *compiler) ofTemplate(t *text, from template) {
	before := ""
	for _, p := range from {
		if p.name == "" {
			before = p.literal
			continue
		}
		if p.name == "secret" && !slices.Contains(t.secrets, p.arg) {
			t.secrets = append(t.secrets, p.arg)
		}
		if p.name == "text" && !p.request {
			if inner := c.texts[p.arg]; inner != nil {
				t.covers.add(inner.covers)
				for _, name := range inner.secrets {
					if !slices.Contains(t.secrets, name) {
						t.secrets = append(t.secrets, name)
					}
				}
			}
		}
		t.covers.addPlaceholder(p)
		if name, ok := strings.CutSuffix(before, "="); ok && p.name == "body" && p.path != nil && !p.request {
			t.build.ambig = append(t.build.ambig, namedPart{name[strings.LastIndexByte(name, '&')+1:], p.path})
		}
		before = ""
	}
	if len(t.build.ambig) < 2 {
		t.build.ambig = nil // there is no other name that a value could hold
	}
}

// builder compiles the first line of a text.
func (c *compiler) builder(t *text, l Line) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	if len(l.Block) > 0 {
		return l.errorf("%s takes no block", words[0])
	}
	args := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
	switch words[0] {
	case "sorted":
		return c.sorted(t, args)
	case "values":
		return c.values(t, args)
	case "json":
		return c.json(t, args)
	case "raw":
		member, err := args.one("raw takes the member whose bytes are signed, as in: raw body.*_response")
		if err != nil {
			return err
		}
		path, err := bodyPath(member)
		if err != nil {
			return l.errorf("raw: %w", err)
		}
		t.build.raw = path
		t.covers.parts = append(t.covers.parts, coveredPart{path: path})
		return nil
	case "template":
		return c.optionTemplate(t, args)
	default:
		if len(l.Words) != 1 {
			return l.errorf("%q begins no text; there are sorted, values, raw, json, template, and a template in quotes", l.Words[0])
		}
		t.build.template, err = c.parseTemplate(l.Words[0], false)
	}
	if err != nil {
		return l.errorf("%w", err)
	}
	c.ofTemplate(t, t.build.template)
	return nil
}

// optionTemplate compiles
//
//	template <text> [must <name>] [string <name>] [digits <name>] [else <name> <value>...]
//
// Where the text comes from an option {name} is the member of that name, a scalar.
// must: the text has to name it. string and digits: what it has to be. else: what
// stands for it where the message has none; one that is not empty.
func (c *compiler) optionTemplate(t *text, a *arguments) (err error) {
	if a.done() {
		return a.line.errorf("template takes one text, as in: template {option.message}")
	}
	fromOption := strings.HasPrefix(a.raw[0], "{option.")
	if t.build.template, err = c.parseTemplate(a.next(), fromOption); err != nil {
		return a.line.errorf("%w", err)
	}
	for !a.done() {
		word, name := a.next(), a.next()
		if !slices.Contains([]string{"must", "string", "digits", "else"}, word) {
			return a.unknown("template", word, []string{"must", "string", "digits", "else"})
		}
		if name == "" {
			return a.line.errorf("%s takes a name", word)
		}
		var values []template
		for word == "else" && strings.HasPrefix(rawPeek(a), "{") {
			value, err := c.parseTemplate(a.nextRaw(), false)
			if err != nil {
				return a.line.errorf("%w", err)
			}
			if err := c.noSecret(a.line, value); err != nil {
				return err
			}
			values = append(values, value)
		}
		if word == "else" && values == nil {
			return a.line.errorf("else takes a name and what stands for it, as in: else key {option.key}")
		}
		found := false
		for i := range t.build.template {
			p := &t.build.template[i]
			if !p.bare || p.path[0] != name {
				continue
			}
			found = true
			switch word {
			case "else":
				p.fallback = values
			case "string", "digits":
				p.kind = word
			}
		}
		if word == "must" {
			if !found {
				return a.line.errorf("the text has no {%s}, which would not be signed", name)
			}
			t.covers.named = append(t.covers.named, name)
		}
	}
	c.ofTemplate(t, t.build.template)
	return nil
}

// rawPeek is the next word as it stands, or "".
func rawPeek(a *arguments) string {
	if a.done() {
		return ""
	}
	return a.raw[0]
}

// part reads a part: body, body.a, query, form, header, or one-of body.a body.b.
func (c *compiler) part(a *arguments) (*textPart, error) {
	first := a.next()
	if first == "form" && !c.wraps {
		first = "body" // without fields beside a payload the form is the payload
	}
	switch {
	case first == "body", first == "query", first == "form", first == "header":
		return &textPart{kind: first}, nil
	case first == "one-of":
		p := &textPart{kind: "body"}
		for strings.HasPrefix(a.peek(), "body.") {
			path, err := bodyPath(a.next())
			if err != nil {
				return nil, a.line.errorf("one-of: %w", err)
			}
			if len(path) != 1 {
				return nil, a.line.errorf("one-of takes members of the first level, as in: one-of body.bizData body.data")
			}
			p.paths = append(p.paths, path)
		}
		if len(p.paths) < 2 {
			return nil, a.line.errorf("one-of takes two members or more, as in: one-of body.bizData body.data")
		}
		return p, nil
	case strings.HasPrefix(first, "body."):
		path, err := bodyPath(first)
		if err != nil || path.HasAny() {
			return nil, a.line.errorf("%q is no part of a message; it is body, body.<path>, query, form, header or one-of", first)
		}
		return &textPart{kind: "body", paths: []body.Path{path}}, nil
	}
	return nil, a.line.errorf("%q is no part of a message; it is body, body.<path>, query, form, header or one-of", first)
}

// sortedWords are the words behind the part of sorted and of values.
var sortedWords = []string{"except", "only", "empty", "nested", "null", "booleans", "trim", "order", "pair", "join", "after", "names", "lists", "elements", "numbers", "of"}

func (c *compiler) sorted(t *text, a *arguments) error {
	part, err := c.part(a)
	if err != nil {
		return err
	}
	s := &canonical.Sorted{}
	for !a.done() {
		switch word := a.next(); word {
		case "except":
			s.Except, err = a.names(word, sortedWords)
		case "only":
			s.Only, err = a.names(word, sortedWords)
			part.only = s.Only
		case "empty":
			s.Empty, err = a.choice(word, "skip", "keep")
		case "null":
			s.Null, err = a.choice(word, "skip", "empty")
		case "booleans":
			s.Booleans, err = a.choice(word, "text", "refuse")
		case "numbers":
			s.Numbers, err = a.choice(word, "token", "shortest")
		case "lists":
			s.EmptyList, err = a.choice(word, "skip", "keep")
		case "elements":
			s.EmptyElements, err = a.choice(word, "skip", "keep")
		case "order":
			s.Order, err = a.choice(word, "name", "name-fold", "piece-fold")
		case "nested":
			s.Nested, err = a.choice(word, "refuse", "skip", "json", "recurse", "flat")
			if s.Nested == "json" && a.peek() == "plain" {
				a.next()
				s.JSONPlain = true
			}
		case "trim":
			_, err = a.choice(word, "java")
			s.TrimJava = true
		case "pair":
			s.Pair, err = a.separator(word)
			s.NoPair = s.Pair == ""
		case "join":
			s.Join, err = a.separator(word)
			s.NoJoin = s.Join == ""
		case "after":
			s.After, err = a.separator(word)
		case "names":
			s.ListedBy, err = a.listedBy()
		default:
			return a.unknown("sorted", word, sortedWords)
		}
		if err != nil {
			return err
		}
	}
	if err := s.Check(); err != nil {
		return a.line.errorf("sorted: %w", err)
	}
	t.build.part, t.build.append = part, s.Append
	t.covers.addPart(part, s.Covers)
	return nil
}

func (c *compiler) values(t *text, a *arguments) error {
	v := &canonical.Values{Mode: "named"}
	part := &textPart{kind: "body"}
	var err error
	switch a.peek() {
	case "sorted", "by-value":
		v.Mode = a.next()
	case "names":
	default:
		if v.Names, err = a.names("values", sortedWords); err != nil {
			return err
		}
	}
	for !a.done() {
		switch word := a.next(); word {
		case "of":
			part, err = c.part(a)
		case "empty":
			v.Empty, err = a.choice(word, "skip", "keep")
		case "null":
			v.Null, err = a.choice(word, "skip", "empty")
		case "nested":
			v.Nested, err = a.choice(word, "refuse", "skip", "empty", "json", "recurse")
			if v.Nested == "json" && a.peek() == "plain" {
				a.next()
				v.JSONPlain = true
			}
		case "booleans":
			v.Booleans, err = a.choice(word, "text", "refuse")
		case "numbers":
			v.Numbers, err = a.choice(word, "token", "shortest")
		case "trim":
			_, err = a.choice(word, "java")
			v.TrimJava = true
		case "join":
			v.Join, err = a.separator(word)
		case "except":
			v.Except, err = a.names(word, sortedWords)
		case "only":
			v.Only, err = a.names(word, sortedWords)
		case "names":
			v.ListedBy, err = a.listedBy()
		default:
			return a.unknown("values", word, sortedWords)
		}
		if err != nil {
			return err
		}
	}
	if err := v.Check(); err != nil {
		return a.line.errorf("values: %w", err)
	}
	t.build.part, t.build.append = part, v.Append
	t.covers.addPart(part, v.Covers)
	return nil
}

func (c *compiler) json(t *text, a *arguments) error {
	part, err := c.part(a)
	if err != nil {
		return err
	}
	j := &canonical.JSON{Mode: "as-is"}
	type with struct {
		name string
		text template
	}
	var added []with
	for !a.done() {
		switch word := a.next(); word {
		case "sorted", "deep":
			j.Mode = word
		case "except":
			j.Except, err = a.names(word, []string{"with", "sorted", "deep"})
		case "with":
			name, text := a.next(), a.nextRaw()
			if name == "" || text == "" {
				return a.line.errorf("with takes a member and a text, as in: with key {secret}")
			}
			tpl, err := c.parseTemplate(text, false)
			if err != nil {
				return a.line.errorf("%w", err)
			}
			c.ofTemplate(t, tpl)
			added = append(added, with{name, tpl})
		default:
			return a.unknown("json", word, []string{"sorted", "deep", "except", "with"})
		}
		if err != nil {
			return err
		}
	}
	if err := j.Check(); err != nil {
		return a.line.errorf("json: %w", err)
	}
	t.covers.addPart(part, j.Covers)
	t.build.part, t.build.append = part, j.Append
	if len(added) > 0 {
		t.build.append = nil
		t.build.appendWith = func(e *env, members []body.Member) (canonical.Text, error) {
			filled := *j
			for _, w := range added {
				text, err := w.text.text(e)
				if err != nil {
					return canonical.Text{}, err
				}
				filled.With = append(filled.With, canonical.With{Name: w.name, Text: text})
			}
			return filled.Append(nil, members)
		}
	}
	return nil
}

// change compiles a line behind the first one of a text.
func (c *compiler) change(t *text, l Line) (change, error) {
	words, err := c.words(l)
	if err != nil {
		return change{}, err
	}
	if len(l.Block) > 0 {
		return change{}, l.errorf("%s takes no block", words[0])
	}
	a := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
	var s change
	switch words[0] {
	case "prepend", "append":
		if len(l.Words) != 2 {
			return s, l.errorf("%s takes one text", words[0])
		}
		if s.template, err = c.parseTemplate(l.Words[1], false); err != nil {
			return s, l.errorf("%w", err)
		}
		s.prepend = words[0] == "prepend"
		c.ofTemplate(t, s.template)
		return s, nil
	case "md5", "sha1", "sha256", "sha384", "sha512", "sm3":
		var name string
		if name, err = a.one(words[0] + " takes the encoding of the digest: hex, hex-upper or base64"); err == nil {
			s.run, err = digestStep(words[0], name)
			s.digest = true
		}
	case "url":
		mode := "rfc3986"
		if !a.done() {
			mode = a.next()
		}
		s.run, err = canonical.URL(mode)
	case "lower":
		s.run = canonical.Lower
	case "upper":
		s.run = canonical.Upper
	case "charset":
		var name string
		if name, err = a.one("charset takes gbk or gb18030"); err == nil {
			s.run, err = canonical.Charset(name)
		}
	case "strip":
		if _, err = a.choice("strip", "space"); err == nil {
			s.run = canonical.StripSpace
		}
	default:
		return s, l.errorf("unknown step %q; there are prepend, append, md5, sha1, sha256, sha384, sha512, sm3, url, lower, upper, charset and strip", words[0])
	}
	if err == nil && !a.done() {
		err = fmt.Errorf("%s does not take %q", words[0], a.next())
	}
	if err != nil {
		return s, l.wrap(err)
	}
	return s, nil
}
