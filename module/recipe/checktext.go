package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
)

// checkText refuses a text whose signature anybody could make or extend.
func (c *compiler) checkText(s *signature) error {
	t := s.text
	if !t.covers.anything() {
		return s.line.errorf("what is signed covers neither the body nor a member, the query or the URI: anybody could put the signature on another message")
	}
	if s.place.kind == "body" && slices.ContainsFunc(t.covers.parts, func(p coveredPart) bool { return p.inside == nil && slices.Equal(p.path, s.place.path) }) {
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made", s.place)
	}
	if s.algorithm.Kind() != algorithm.Digest {
		if len(t.secrets) > 0 && !digested(t) && s.algorithm.Kind() == algorithm.Public {
			return s.line.errorf("{secret} in a text that %s signs is not digested: a signature does not hide it", s.algorithm.Name())
		}
		return nil
	}
	if len(t.secrets) == 0 {
		return s.line.errorf(`%s is a plain digest and its text has no {secret}: anybody could make it; add to the text: append "{secret}", or use hmac-%s`, s.algorithm.Name(), s.algorithm.Name())
	}
	guarded := slices.ContainsFunc(t.steps, func(s change) bool { return s.guard })
	if begins, ends := t.secretAtEnds(); begins && !ends && !guarded {
		return s.line.errorf(`the text begins with {secret} and does not end with it: with %s anybody can extend what is signed; put {secret} at its end, use hmac-%s, or where the provider's rule is so add the step: refuse extension`, s.algorithm.Name(), s.algorithm.Name())
	}
	return nil
}

// secretAtEnds reports whether a text begins, and whether it ends, with a secret.
func (t *text) secretAtEnds() (begins, ends bool) {
	first := func(tpl template) bool { return len(tpl) > 0 && tpl[0].name == "secret" }
	last := func(tpl template) bool { return len(tpl) > 0 && tpl[len(tpl)-1].name == "secret" }
	begins, ends = first(t.build.template), last(t.build.template) || last(t.build.after)
	for _, s := range t.steps {
		switch {
		case s.digest:
			begins, ends = false, false
		case s.run != nil:
		case s.prepend:
			if len(s.template) > 0 {
				begins = first(s.template)
			}
		case len(s.template) > 0:
			ends = last(s.template)
		}
	}
	return begins, ends
}
