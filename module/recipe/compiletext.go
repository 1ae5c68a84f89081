package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/i18n"
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
	if len(lines) > maxSteps {
		return nil, l.errorf("text %s has more than %d steps", name, maxSteps)
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
	return t, t.checkSize()
}

// templateText returns a text that is one template.
func (c *compiler) templateText(name string, l Line, text_ string) (*text, error) {
	t := &text{name: name, line: l, tail: -1}
	var err error
	if t.build.template, err = c.parseTemplate(text_, false); err != nil {
		return nil, l.errorf("%w", err)
	}
	c.ofTemplate(t, t.build.template)
	return t, t.checkSize()
}

// maxTexts bounds how many texts are filled into one, directly or through others, and
// so the time.
const maxTexts = 256

// maxSteps is how many steps a text may have: each of them reads the whole of it.
const maxSteps = 64

func (t *text) checkSize() error {
	if t.size > maxTexts {
		return t.line.errorf("more than %d texts are filled into this one, one in another; name each text once", maxTexts)
	}
	return nil
}

// tailOf returns the step from which on all steps append and before which no secret
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

// ofTemplate adds to the text what a template that is a part of it covers and contains.
func (c *compiler) ofTemplate(t *text, from template) {
	before := ""
	for _, p := range from {
		if p.name == "" {
			before = p.literal
			continue
		}
		t.parts = append(t.parts, p)
		if p.name == "secret" && !slices.Contains(t.secrets, p.arg) {
			t.secrets = append(t.secrets, p.arg)
		}
		if p.name == "text" && !p.request {
			if inner := c.texts[p.arg]; inner != nil {
				if t.size += inner.size + 1; t.size > maxTexts {
					continue // the text is refused
				}
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
	l = c.spread(l)
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
// If the text comes from an option, {name} is the member of that name, a scalar. must:
// the text has to contain it. string and digits: its type. else: a value that is not
// empty, for a message without the member.
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

// rawPeek returns the next word as it stands, or "".
func rawPeek(a *arguments) string {
	if a.done() {
		return ""
	}
	return a.raw[0]
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
		if name, err = a.one("%s takes the encoding of the digest: hex, hex-upper or base64", words[0]); err == nil {
			s.run, err = digestStep(words[0], name)
			s.digest = true
			if a, err := algorithm.Named(words[0]); err == nil && a.Weak() != "" { // what is signed is the digest
				c.warn("text %s: %s", t.name, a.Weak())
			}
		}
	case "url":
		mode := "rfc3986"
		if !a.done() {
			mode = a.next()
		}
		s.run, err = canonical.URL(mode)
	case "lower":
		s.run, s.fold = canonical.Lower, true
	case "upper":
		s.run, s.fold = canonical.Upper, true
	case "charset":
		var name string
		if name, err = a.one("charset takes gbk, gb18030 or iso-8859-9"); err == nil {
			s.run, err = canonical.Charset(name)
		}
	case "strip":
		s.run, err = stripStep(a)
		s.loose = true
	case "replace":
		if len(a.words) != 2 || a.words[0] == "" {
			return s, l.errorf(`replace takes characters and what stands in place of each of them, as in: replace ".," ""`)
		}
		s.run, s.loose = canonical.Replace(unescape(a.next()), unescape(a.next())), true
	case "refuse":
		if _, err = a.choice("refuse", "extension"); err == nil {
			s.run, s.guard = canonical.RefuseExtension, true
		}
	default:
		return s, l.errorf("unknown step %q; there are prepend, append, md5, sha1, sha256, sha384, sha512, sm3, url, lower, upper, charset, strip, replace and refuse extension", words[0])
	}
	if err == nil && !a.done() {
		err = i18n.Errorf("%s does not take %q", words[0], a.next())
	}
	if err != nil {
		return s, l.wrap(err)
	}
	return s, nil
}

// stripStep reads "strip space", "strip prefix <text>" or "strip suffix <text>".
func stripStep(a *arguments) (canonical.Change, error) {
	what, err := a.choice("strip", "space", "prefix", "suffix")
	if err != nil || what == "space" {
		return canonical.StripSpace, err
	}
	if a.peek() == "" {
		return nil, a.line.errorf("strip %s takes a text, as in: strip prefix /gateway", what)
	}
	if what == "suffix" {
		return canonical.StripSuffix(unescape(a.next())), nil
	}
	return canonical.StripPrefix(unescape(a.next())), nil
}
