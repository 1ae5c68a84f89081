package hkrt

import (
	"bytes"
	"slices"

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

	pieces  []piece // of the objects that are being written
	first   int     // of the innermost one's pieces
	scratch []byte
}

// piece is one name=value of an object, and where it stands in the text.
type piece struct {
	name       []byte
	start, end int
}

func (s *Scheme) coveredOfRequest(members []body.Member) (scheme.Covered, error) {
	w := writer{keepEmpty: s.EmptyList == "keep"}
	w.message(members)
	if w.boolean {
		return scheme.Covered{}, scheme.Failf(scheme.Invalid, "the request has true or false, for which hkrt has no rule; give a number or a string")
	}
	return w.covered(), nil
}

func (s *Scheme) coveredOfAnswer(members []body.Member) scheme.Covered {
	w := writer{keepEmpty: s.EmptyList == "keep", shortest: s.Numbers == "shortest"}
	w.message(members)
	return w.covered()
}

// Canonical is the canonical string of a message on the wire.
func (s *Scheme) Canonical(message scheme.Wire) ([]byte, error) {
	if message.Kind == scheme.KindRequest {
		c, err := s.coveredOfRequest(message.Body.Members())
		return c.Text, err
	}
	return s.coveredOfAnswer(message.Body.Members()).Text, nil
}

func (w *writer) covered() scheme.Covered {
	return scheme.Covered{Part: "*", Text: w.text, Pairs: w.pairs}
}

func (w *writer) message(members []body.Member) {
	for _, m := range members {
		m.Stream(func(v *body.Stream) { w.member(m.Name(), v) })
	}
	w.sort()
}

func (w *writer) object(v *body.Stream) (empty bool) {
	outer := w.first
	w.first = len(w.pieces)
	empty = true
	for name := range v.Members() {
		empty = false
		w.member(name, v)
	}
	w.sort()
	w.pieces, w.first = w.pieces[:w.first], outer
	return empty
}

// member writes a member, unless it is left out: a sign, null, and what is
// empty. One whose string turns out to be empty, such as [{"remark":""}], is
// not.
func (w *writer) member(name []byte, v *body.Stream) {
	if string(name) == memberSign {
		v.Value()
		return
	}
	before, pair := len(w.text), len(w.pairs)
	if len(w.pieces) > w.first {
		w.text = append(w.text, '&')
	}
	start := len(w.text)
	w.text = append(append(w.text, name...), '=')
	w.pairs = append(w.pairs, canonical.Pair{Name: name})
	value, out := w.value(v)
	if out {
		w.text, w.pairs = w.text[:before], w.pairs[:pair]
		return
	}
	w.pairs[pair].Value = value
	w.pieces = append(w.pieces, piece{name, start, len(w.text)})
}

func (w *writer) list(v *body.Stream) (empty bool) {
	empty = true
	first := true
	for range v.Elements() {
		empty = false
		start := len(w.text)
		if !first {
			w.text = append(w.text, '&')
		}
		value, out := w.value(v)
		switch {
		case out:
			w.text = w.text[:start]
			continue
		case !first && bytes.IndexByte(value, '=') >= 0: // with the "&" before it an element can read as a member
			w.pairs = append(w.pairs, canonical.Pair{Value: slices.Concat([]byte("&"), value)})
		case bytes.IndexByte(value, '&') >= 0:
			w.pairs = append(w.pairs, canonical.Pair{Value: value})
		}
		first = false
	}
	return empty
}

// value writes a value. It returns the text of a scalar, and whether the value
// is to be left out.
func (w *writer) value(v *body.Stream) (scalar []byte, out bool) {
	switch v.Kind() {
	case body.Obj:
		return nil, w.object(v) && !w.keepEmpty
	case body.Array:
		return nil, w.list(v) && !w.keepEmpty
	}
	m := v.Value()
	scalar = m.Text()
	switch m.Kind() {
	case body.Null:
		return nil, true
	case body.True, body.False:
		w.boolean = true
	case body.Number:
		if w.shortest {
			scalar = shortest(scalar)
		}
	}
	w.text = append(w.text, scalar...)
	return scalar, len(scalar) == 0
}

// sort puts the pieces of the innermost object, which stand in the text joined
// by "&", into their order.
func (w *writer) sort() {
	pieces := w.pieces[w.first:]
	byName := func(a, b piece) int { return canonical.CompareUTF16(a.name, b.name) }
	if slices.IsSortedFunc(pieces, byName) {
		return
	}
	at := pieces[0].start
	w.scratch = append(w.scratch[:0], w.text[at:]...)
	slices.SortFunc(pieces, byName)
	text := w.text[:at]
	for i, p := range pieces {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(text, w.scratch[p.start-at:p.end-at]...)
	}
}
