package hkrt

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// writer writes the canonical string (code): members sorted by name, each as
// name=value, joined by "&"; in the place of an object or a list stands its own
// string, that of a list without an index.
type writer struct {
	keepEmpty bool // write name= for an empty list or object
	shortest  bool // of numbers

	text    []byte
	pairs   []canonical.Pair // of all levels
	boolean bool             // there is true or false
}

func (s *Scheme) coveredOfRequest(members []body.Member) (scheme.Covered, error) {
	w := writer{keepEmpty: s.EmptyList == "keep"}
	w.message(members)
	if w.boolean {
		return scheme.Covered{}, scheme.Failf(scheme.Invalid, "the request has true or false, for which hkrt has no rule; give a number or a string")
	}
	return scheme.Covered{Part: "*", Text: w.text, Pairs: w.pairs}, nil
}

func (s *Scheme) covered(members []body.Member) scheme.Covered {
	w := writer{keepEmpty: s.EmptyList == "keep", shortest: s.Numbers == "shortest"}
	w.message(members)
	return scheme.Covered{Part: "*", Text: w.text, Pairs: w.pairs}
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	if message.Kind == scheme.KindRequest {
		c, err := s.coveredOfRequest(message.Body.Members())
		return c.Text, err
	}
	return s.covered(message.Body.Members()).Text, nil
}

func (w *writer) message(members []body.Member) {
	all := make([]body.Tree, len(members))
	for i, m := range members {
		all[i] = m.Tree()
	}
	w.object(all)
}

func (w *writer) object(members []body.Tree) {
	members = slices.DeleteFunc(members, func(m body.Tree) bool {
		return string(m.Name()) == memberSign || w.leavesOut(m)
	})
	slices.SortFunc(members, func(a, b body.Tree) int { return canonical.CompareUTF16(a.Name(), b.Name()) })
	for i, m := range members {
		if i > 0 {
			w.text = append(w.text, '&')
		}
		w.text = append(w.text, m.Name()...)
		w.text = append(w.text, '=')
		pair := canonical.Pair{Name: m.Name()}
		if m.IsScalar() {
			pair.Value = w.scalar(m.Member)
		}
		w.pairs = append(w.pairs, pair)
		w.value(m, pair.Value)
	}
}

func (w *writer) list(elements []body.Tree) {
	elements = slices.DeleteFunc(elements, w.leavesOut)
	for i, e := range elements {
		if i > 0 {
			w.text = append(w.text, '&')
		}
		if !e.IsScalar() {
			w.value(e, nil)
			continue
		}
		value := w.scalar(e.Member)
		pair := canonical.Pair{Value: value}
		if i > 0 { // with the "&" before it an element can read as a member
			pair.Value = slices.Concat([]byte("&"), value)
		}
		w.pairs = append(w.pairs, pair)
		w.value(e, value)
	}
}

func (w *writer) value(v body.Tree, scalar []byte) {
	switch v.Kind() {
	case body.Obj:
		w.object(v.Children)
	case body.Array:
		w.list(v.Children)
	default:
		w.text = append(w.text, scalar...)
	}
}

// leavesOut reports whether a member or an element is left out. One whose string
// turns out to be empty, such as [{"remark":""}], is not.
func (w *writer) leavesOut(v body.Tree) bool {
	return v.IsEmpty() || !v.IsScalar() && len(v.Children) == 0 && !w.keepEmpty
}

func (w *writer) scalar(m body.Member) []byte {
	switch m.Kind() {
	case body.True, body.False:
		w.boolean = true
	case body.Number:
		if w.shortest {
			return shortest(m.Text())
		}
	}
	return m.Text()
}

// shortest is a number as PHP writes it after it has read it, with no more
// digits than it needs: 1.00 is 1 and 0.10 is 0.1. A whole number stays. So does
// one that PHP would write with an exponent, which depends on its settings.
func shortest(token []byte) []byte {
	if !bytes.ContainsAny(token, ".eE") {
		return token
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if abs := max(f, -f); err != nil || abs >= 1e15 || abs != 0 && abs < 1e-4 {
		return token
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}
