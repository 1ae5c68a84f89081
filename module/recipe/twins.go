package recipe

import (
	"bytes"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// checkTwins refuses twins among the members that a text reads. It is called for a
// message that has verified and is not released yet.
func (t *text) checkTwins(e *env) error {
	if part := t.build.part; part != nil && t.build.unnamed && part.kind == "body" {
		members, err := part.members(e)
		if err != nil {
			return err
		}
		if err := checkTwins(members, t.build.inner); err != nil {
			return err
		}
	}
	for _, p := range t.parts {
		if inner := e.p.texts[p.arg]; p.name == "text" && !p.request && inner != nil {
			if err := inner.checkTwins(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkParams refuses two parameters of the query that are twins, if a text takes one of
// them by its name.
func (c *coverage) checkParams(e *env) error {
	if len(c.params) == 0 && !slices.ContainsFunc(c.queries, func(name string) bool { return name != "" }) {
		return nil
	}
	members, err := (&textPart{kind: "query"}).members(e)
	if err != nil {
		return err
	}
	taken := make(map[string]bool, len(members)) // whether one with these letters is taken
	for _, m := range members {
		name, key := string(m.Name()), folded(m.Name())
		takes := slices.Contains(c.queries, name) || slices.ContainsFunc(c.params, func(p coveredPart) bool { return p.covers(body.Path{name}) })
		other, twin := taken[key]
		if twin && (takes || other) {
			return scheme.Failf(scheme.Ambiguous, "the message can be read in two ways: there is another parameter %s in other letters", body.ShowName(name))
		}
		taken[key] = takes || other
	}
	return nil
}

// checkTwins refuses members whose names differ in letters alone, such as amount and
// Amount, where a builder reads both: both are signed, and which of them counts
// depends on who reads.
func checkTwins(members []body.Member, inner bool) error {
	t := twinNames{}
	for _, m := range members {
		if err := t.add(m.Name()); err != nil {
			return err
		}
		if inner && !m.IsScalar() {
			s := m.Stream()
			if err := twinsInside(&s); err != nil {
				return err
			}
		}
	}
	return nil
}

// twinsInside looks at the objects in the next value of a stream, which it reads.
func twinsInside(s *body.Stream) (err error) {
	switch s.Kind() {
	case body.Obj:
		t := twinNames{}
		for name := range s.Members() {
			if err = t.add(name); err == nil {
				err = twinsInside(s)
			}
			if err != nil {
				return err
			}
		}
	case body.Array:
		for range s.Elements() {
			if err := twinsInside(s); err != nil {
				return err
			}
		}
	default:
		s.Value()
	}
	return nil
}

// twinNames are the names of one object. Few are compared with each other, which needs
// no memory; many are looked up.
type twinNames struct {
	few   [16][]byte
	n     int
	known map[string]bool
}

func (t *twinNames) add(name []byte) error {
	twin := false
	if t.known == nil && t.n < len(t.few) {
		for _, other := range t.few[:t.n] {
			twin = twin || bytes.EqualFold(other, name)
		}
		t.few[t.n] = name
		t.n++
	} else {
		if t.known == nil {
			t.known = make(map[string]bool, 2*len(t.few))
			for _, other := range t.few {
				t.known[folded(other)] = true
			}
		}
		twin = t.known[folded(name)]
		t.known[folded(name)] = true
	}
	if twin {
		return scheme.Failf(scheme.Ambiguous, "the message can be read in two ways: there is another member %s in other letters", body.ShowName(name))
	}
	return nil
}

// folded returns the same text for names that bytes.EqualFold takes for equal.
func folded(name []byte) string {
	return strings.ToLower(strings.ToUpper(strings.ToLower(string(name))))
}
