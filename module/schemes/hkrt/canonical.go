package hkrt

import (
	"bytes"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/oldscheme"
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

// maxKept is how many bytes, and how many pairs, a pooled writer keeps room for.
const maxKept = 64 << 10

var writers = sync.Pool{New: func() any { return new(writer) }}

func (s *Scheme) newWriter() *writer {
	w := writers.Get().(*writer)
	w.keepEmpty, w.shortest, w.boolean = s.EmptyList == "keep", false, false
	return w
}

// release forgets the message.
func (w *writer) release() {
	if cap(w.text) > maxKept || cap(w.pairs) > maxKept/64 {
		return
	}
	clear(w.pairs)
	clear(w.pieces[:cap(w.pieces)])
	w.text, w.pairs, w.pieces, w.first = w.text[:0], w.pairs[:0], w.pieces[:0], 0
	writers.Put(w)
}

// piece is one name=value of an object, and where it stands in the text.
type piece struct {
	name       []byte
	start, end int
}

func (s *Scheme) coveredOfRequest(members []body.Member) (scheme.Covered, error) {
	w := s.newWriter()
	defer w.release()
	w.message(members)
	if w.boolean {
		return scheme.Covered{}, scheme.Failf(scheme.Invalid, "the request has true or false, for which hkrt has no rule; give a number or a string")
	}
	return w.covered(), nil
}

func (s *Scheme) coveredOfAnswer(members []body.Member) scheme.Covered {
	w := s.newWriter()
	defer w.release()
	w.shortest = s.Numbers == "shortest"
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
	text := w.text
	if cap(text) <= maxKept { // else the writer is not used again
		text = append(canonical.Room(len(text)), text...)
	}
	return scheme.Covered{Part: "*", Text: text, Ambiguous: canonical.Ambiguous(w.pairs), Own: true}
}

func (w *writer) message(members []body.Member) {
	size := 0
	for _, m := range members {
		size += len(m.Name()) + len(m.Raw()) + len("=&")
	}
	w.text = slices.Grow(w.text, size)
	for _, m := range members {
		if string(m.Name()) == memberSign {
			continue
		}
		mark := w.begin(m.Name())
		var value []byte
		var out bool
		if m.IsScalar() {
			value, out = w.scalar(m)
		} else {
			v := m.Stream()
			value, out = w.value(&v)
		}
		w.end(mark, value, out)
	}
	w.sort()
}

func (w *writer) object(v *body.Stream) (empty bool) {
	outer := w.first
	w.first = len(w.pieces)
	empty = true
	for name := range v.Members() {
		empty = false
		if string(name) == memberSign {
			v.Value()
			continue
		}
		mark := w.begin(name)
		value, out := w.value(v)
		w.end(mark, value, out)
	}
	w.sort()
	w.pieces, w.first = w.pieces[:w.first], outer
	return empty
}

// mark is where a member begins.
type mark struct {
	name                []byte
	before, start, pair int
}

// begin writes the name of a member.
func (w *writer) begin(name []byte) mark {
	m := mark{name: name, before: len(w.text), pair: len(w.pairs)}
	if len(w.pieces) > w.first {
		w.text = append(w.text, '&')
	}
	m.start = len(w.text)
	w.text = append(append(w.text, name...), '=')
	w.pairs = append(w.pairs, canonical.Pair{Name: name})
	return m
}

// end ends a member, which is taken back if it is to be left out: null, and what
// is empty. One whose string turns out to be empty, such as [{"remark":""}], is
// not.
func (w *writer) end(m mark, value []byte, out bool) {
	if out {
		w.text, w.pairs = w.text[:m.before], w.pairs[:m.pair]
		return
	}
	w.pairs[m.pair].Value = value
	w.pieces = append(w.pieces, piece{m.name, m.start, len(w.text)})
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
	return w.scalar(v.Value())
}

// scalar is value for a scalar.
func (w *writer) scalar(m body.Member) (scalar []byte, out bool) {
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
