package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
)

// sortedWords are the words behind the part of sorted and of values.
var sortedWords = []string{"except", "only", "empty", "nested", "null", "booleans", "trim", "order", "pair", "join", "after", "names", "lists", "elements", "numbers", "of", "escape", "lengths", "with"}

func (c *compiler) sorted(t *text, a *arguments) error {
	part, err := c.part(a)
	if err != nil {
		return err
	}
	s := &canonical.Sorted{}
	var after template // with a secret in it
	var with []template
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
			s.Order, err = a.choice(word, "name", "name-fold", "piece-fold", "message", "only")
		case "escape":
			s.Escape, err = a.choice(word, "rfc3986", "form", "java", "dotnet")
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
			if strings.Contains(a.peek(), "{secret") {
				if after, err = c.parseTemplate(a.nextRaw(), false); err != nil {
					err = a.line.errorf("%w", err)
				}
				s.After = "{secret}"
			} else {
				s.After, err = a.separator(word)
			}
		case "with":
			name, text := a.next(), a.nextRaw()
			if name == "" || text == "" || strings.HasSuffix(name, "*") {
				return a.line.errorf("with takes a member and a text, as in: with key {secret}")
			}
			var tpl template
			if tpl, err = c.parseTemplate(text, false); err != nil {
				err = a.line.errorf("%w", err)
			}
			s.With, with = append(s.With, canonical.With{Name: name}), append(with, tpl)
		case "names":
			if a.peek() == "upper" {
				a.next()
				s.UpperNames = true
			} else {
				s.ListedBy, err = a.listedBy()
			}
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
	t.build.upper = s.UpperNames
	t.build.unnamed, t.build.inner = !writtenOut(s.Only), s.Nested == "recurse" || s.Nested == "flat"
	t.covers.addPart(part, func(path ...string) bool {
		return s.Covers(path...) && !slices.ContainsFunc(s.With, func(w canonical.With) bool { return w.Name == path[0] })
	}, s.ListedBy, s.Only...)
	t.build.list(s.ListedBy, "")
	if after == nil && len(with) == 0 {
		return nil
	}
	c.ofTemplate(t, after)
	for _, tpl := range with {
		c.ofTemplate(t, tpl)
	}
	t.build.after = after
	t.build.appendWith = func(e *env, members []body.Member) (canonical.Text, error) {
		filled := *s
		var err error
		if after != nil {
			if filled.After, err = after.text(e); err != nil {
				return canonical.Text{}, err
			}
		}
		filled.With = slices.Clone(s.With)
		for i, tpl := range with {
			if filled.With[i].Text, err = tpl.text(e); err != nil {
				return canonical.Text{}, err
			}
		}
		return filled.Append(nil, members)
	}
	return nil
}

// writtenOut reports whether names say which members are read, each by its name.
func writtenOut(names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "*") })
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
		case "order":
			v.Order, err = a.choice(word, "name", "name-fold")
		case "escape":
			v.Escape = true
		case "lengths":
			if v.Lengths, err = a.separator(word); err == nil && v.Lengths == "" {
				err = a.line.errorf("lengths takes the text that stands for an empty value, as in: lengths -")
			}
		case "except":
			v.Except, err = a.names(word, sortedWords)
		case "only":
			v.Only, err = a.names(word, sortedWords)
		case "names":
			if v.ListedBy, err = a.listedBy(); err == nil && a.peek() == "secret" {
				a.next()
				if v.SecretName = a.next(); v.SecretName == "" {
					err = a.line.errorf("secret takes the listed name in whose place the secret stands, as in: names listed by order secret secret")
				}
			}
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
	t.build.unnamed, t.build.inner = !writtenOut(v.Names) && !writtenOut(v.Only), v.Nested == "recurse"
	t.build.bare, t.build.shuffled = t.build.unnamed && v.ListedBy == "", v.Mode == "by-value"
	switch {
	case t.build.shuffled:
		c.warn("text %s: values by-value signs no names, so that two values can be swapped; compare each value with your own books", t.name)
	case t.build.bare:
		c.warn("text %s: values sorted signs no names, so that a value can be given another name that sorts to the same place; compare each value with your own books", t.name)
	}
	t.covers.addPart(part, v.Covers, v.ListedBy, slices.Concat(v.Names, v.Only)...)
	t.build.list(v.ListedBy, v.SecretName)
	if v.SecretName == "" {
		return nil
	}
	secret, err := c.parseTemplate("{secret}", false)
	if err != nil {
		return err
	}
	c.ofTemplate(t, secret)
	t.build.listed = secret
	t.build.appendWith = func(e *env, members []body.Member) (canonical.Text, error) {
		text, err := secret.text(e)
		if err != nil {
			return canonical.Text{}, err
		}
		filled := *v
		filled.Secret = text
		return filled.Append(nil, members)
	}
	return nil
}

func (c *compiler) json(t *text, a *arguments) error {
	part, err := c.part(a)
	if err != nil {
		return err
	}
	j := &canonical.JSON{Mode: "as-is"}
	var added []with
	for !a.done() {
		switch word := a.next(); word {
		case "sorted", "deep":
			j.Mode = word
		case "except":
			j.Except, err = a.names(word, []string{"with", "sorted", "deep", "null", "empty"})
		case "null":
			_, err = a.choice(word, "skip")
			j.SkipNull = true
		case "empty":
			_, err = a.choice(word, "skip")
			j.SkipEmpty = true
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
			path, err := body.ParsePath(name)
			if err != nil || path.HasAny() {
				return a.line.errorf("with takes one member, as in: with key {secret}, or: with signature.sigdat <text>")
			}
			added = append(added, with{path, tpl})
		default:
			return a.unknown("json", word, []string{"sorted", "deep", "except", "with", "null", "empty"})
		}
		if err != nil {
			return err
		}
	}
	if err := j.Check(); err != nil {
		return a.line.errorf("json: %w", err)
	}
	t.covers.addPart(part, func(path ...string) bool {
		return j.Covers(path...) && !slices.ContainsFunc(added, func(w with) bool { return w.path.Covers(path) })
	}, "")
	t.build.part, t.build.append, t.build.json, t.build.unnamed = part, j.Append, true, true
	if len(added) > 0 {
		t.build.append = nil
		t.build.appendWith = func(e *env, members []body.Member) (canonical.Text, error) {
			filled := *j
			for _, w := range added {
				text, err := w.text.text(e)
				if err != nil {
					return canonical.Text{}, err
				}
				if len(w.path) == 1 {
					filled.With = append(filled.With, canonical.With{Name: w.path[0], Text: text})
				} else if members, err = withInside(members, w.path, text); err != nil {
					return canonical.Text{}, err
				}
			}
			return filled.Append(nil, members)
		}
	}
	return nil
}

// with is a member that a json text has beside, or instead of, one of the message.
type with struct {
	path body.Path
	text template
}

// withInside returns the members with a text at a path inside of one of them.
func withInside(members []body.Member, path body.Path, text string) ([]body.Member, error) {
	raw := []byte("{")
	for i, m := range members {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(append(body.AppendQuote(raw, m.Name()), ':'), m.Raw()...)
	}
	o, err := body.Parse(append(raw, '}'))
	if err != nil {
		return nil, err
	}
	tree := body.NewTree(o)
	if err := tree.SetString(path, text); err != nil {
		return nil, err
	}
	return tree.Members(), nil
}
