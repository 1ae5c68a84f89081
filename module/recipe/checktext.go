package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/message"
)

// checkText refuses a text whose signature could be made or extended without the
// secret.
func (c *compiler) checkText(s *signature, kind message.Kind) error {
	t := s.text
	if err := c.checkPlaceholders(s.line, t, kind); err != nil {
		return err
	}
	if !t.covers.anything(kind == message.Answer) {
		return s.line.errorf("what is signed covers neither the body nor a member, the query or the URI: anybody could put the signature on another message")
	}
	if err := c.checkHoldsItself(s); err != nil {
		return err
	}
	if s.algorithm.Kind() != algorithm.Digest {
		if s.algorithm.Kind() == algorithm.Public && c.exposed(t) {
			return s.line.errorf("{secret} in a text that %s signs is not digested: a signature does not hide it", s.algorithm.Name())
		}
		return nil
	}
	if len(t.secrets) == 0 {
		return s.line.errorf(`%s is a plain digest and its text has no {secret}: anybody could make it; add to the text: append "{secret}", or use hmac-%s`, s.algorithm.Name(), s.algorithm.Name())
	}
	switch first, last := c.ends(t); {
	case last || t.guarded():
	case first:
		return s.line.errorf(`the text begins with {secret} and does not end with it: with %s anybody can extend what is signed; put {secret} at its end, use hmac-%s, or where the provider's rule is so add the step: refuse extension`, s.algorithm.Name(), s.algorithm.Name())
	case !t.build.json: // a JSON text ends where its object does
		c.warn("%s: {secret} does not stand at the end of the text, so that whoever knows how long it is can extend what is signed; use hmac-%s if the provider has it", s.algorithm.Name(), s.algorithm.Name())
	}
	return nil
}

// guarded reports whether a step refuses the bytes that a length extension needs, and
// no later step adds a part of the message.
func (t *text) guarded() bool {
	guarded := false
	for _, s := range t.steps {
		guarded = guarded && !slices.ContainsFunc(s.template, func(p part) bool { return p.name != "" && p.name != "secret" }) || s.guard
	}
	return guarded
}

// ends reports whether a text begins, and whether it ends, with a secret, also through
// a text that is filled into it.
func (c *compiler) ends(t *text) (first, last bool) {
	of := func(tpl template, front bool) bool {
		if len(tpl) == 0 {
			return false
		}
		p := tpl[len(tpl)-1]
		if front {
			p = tpl[0]
		}
		if p.name == "text" && c.texts[p.arg] != nil {
			first, last := c.ends(c.texts[p.arg])
			return front && first || !front && last
		}
		return p.name == "secret"
	}
	first, last = of(t.build.template, true), of(t.build.template, false) || of(t.build.after, false)
	first = first || len(t.build.listed) > 0 // the message says where
	for _, s := range t.steps {
		switch {
		case s.digest:
			first, last = false, true // what has a fixed length cannot be made longer
		case s.run != nil || len(s.template) == 0:
		case s.prepend:
			first = of(s.template, true)
		default:
			last = of(s.template, false)
		}
	}
	return first, last
}

// exposed reports whether a text contains a secret outside of a digest.
func (c *compiler) exposed(t *text) bool {
	exposed := t.build.json && len(t.secrets) > 0 || c.exposes(t.build.template) || c.exposes(t.build.after) || c.exposes(t.build.listed)
	for _, s := range t.steps {
		if s.digest {
			exposed = false
		}
		exposed = exposed || c.exposes(s.template)
	}
	return exposed
}

// exposes reports whether a template contains a secret outside of a digest.
func (c *compiler) exposes(t template) bool {
	return slices.ContainsFunc(t, func(p part) bool {
		return p.name == "secret" || p.name == "text" && c.texts[p.arg] != nil && c.exposed(c.texts[p.arg])
	})
}
