package main

import (
	"bytes"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// hkrt signs everything that is in a message, objects and lists included, with MD5.
type hkrt struct {
	accessID    string
	description scheme.Description
}

func (*hkrt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.schemes.hkrt_go", New: func() caddy.Module { return new(hkrt) }}
}

func (*hkrt) Options() []recipe.Option { return []recipe.Option{{Name: "access_id"}} }

func (h *hkrt) Configure(settings recipe.Settings) (err error) {
	if h.accessID, err = one(settings, "access_id"); err != nil {
		return err
	}
	roles := []keys.Role{keys.SharedSecret}
	match := []body.Path{{"apply_no"}}
	signed := func(path body.Path) bool { return !slices.Contains(path, "sign") }
	h.description = scheme.Description{
		Name: "hkrt_go", Methods: []string{"POST"}, Needs: needsSecret,
		Request: &scheme.Direction{Part: "*", Roles: roles, Signed: signed},
		Answer:  &scheme.Direction{Part: "*", Roles: roles, Signed: signed, Reads: []body.Path{pathSign, match[0], {"return_code"}}},
		Match:   match, Result: body.Path{"return_code"},
	}
	return nil
}

func (h *hkrt) Describe() *scheme.Description { return &h.description }

func (h *hkrt) Complete(d *scheme.Draft) error {
	t := d.Message.Payload
	if t == nil {
		return scheme.Failf(scheme.Invalid, "the request has no members")
	}
	if err := byDefault(t, "accessid", h.accessID); err != nil {
		return err
	}
	s, err := ofAll(t, true)
	if err != nil {
		return err
	}
	return send(d, s)
}

func (h *hkrt) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	if in.Message.Payload == nil {
		return nil, scheme.Failf(scheme.Invalid, "the message has no members")
	}
	s, err := ofAll(in.Message.Payload, false)
	if err != nil {
		return nil, err
	}
	return received(in, s)
}

func (*hkrt) Reveal(*scheme.Incoming) error { return nil }

// ofAll is the signature over all that is in an object, with the secret behind it.
func ofAll(t *body.Tree, strict bool) (scheme.Signature, error) {
	w := &writer{strict: strict, text: make([]byte, 0, t.Size())}
	w.members(t.Members())
	if w.refused {
		return scheme.Signature{}, scheme.Failf(scheme.Invalid, "%w", canonical.ErrBoolean)
	}
	return scheme.Signature{
		Algorithm: md5, Encoding: hexUpper, Part: "*", Text: behind(w.text, ""), Ambiguous: canonical.Ambiguous(w.pairs),
	}, nil
}

// writer writes name=value pieces, joined by "&", in the order of the names. In the
// place of an object or a list stands its own text, that of a list without an index.
type writer struct {
	strict  bool // refuse true and false
	refused bool
	text    []byte
	pairs   []canonical.Pair // of all levels
}

// piece is one name=value of an object, and where it stands in the text.
type piece struct {
	name       []byte
	start, end int
}

func (w *writer) members(members []body.Member) {
	pieces := make([]piece, 0, len(members))
	for _, m := range members {
		v := m.Stream()
		pieces = w.member(pieces, m.Name(), &v)
	}
	w.sort(pieces)
}

func (w *writer) object(v *body.Stream) (empty bool) {
	var pieces []piece
	empty = true
	for name := range v.Members() {
		empty = false
		pieces = w.member(pieces, name, v)
	}
	w.sort(pieces)
	return empty
}

// member writes a member, and takes it back if it is null or empty.
func (w *writer) member(pieces []piece, name []byte, v *body.Stream) []piece {
	if string(name) == "sign" {
		v.Value()
		return pieces
	}
	before, pair := len(w.text), len(w.pairs)
	if len(pieces) > 0 {
		w.text = append(w.text, '&')
	}
	start := len(w.text)
	w.text = append(append(w.text, name...), '=')
	w.pairs = append(w.pairs, canonical.Pair{Name: name})
	value, empty := w.value(v)
	if empty {
		w.text, w.pairs = w.text[:before], w.pairs[:pair]
		return pieces
	}
	w.pairs[pair].Value = value
	return append(pieces, piece{name, start, len(w.text)})
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

// value writes a value. It returns the text of a scalar, and whether it is left out.
func (w *writer) value(v *body.Stream) (scalar []byte, empty bool) {
	switch v.Kind() {
	case body.Obj:
		return nil, w.object(v)
	case body.Array:
		return nil, w.list(v)
	}
	m := v.Value()
	scalar = m.Text()
	switch m.Kind() {
	case body.Null:
		return nil, true
	case body.True, body.False:
		w.refused = w.refused || w.strict
	}
	w.text = append(w.text, scalar...)
	return scalar, len(scalar) == 0
}

// sort puts pieces, which stand at the end of the text joined by "&", into their order.
func (w *writer) sort(pieces []piece) {
	byName := func(a, b piece) int { return canonical.CompareUTF16(a.name, b.name) }
	if slices.IsSortedFunc(pieces, byName) {
		return
	}
	at := pieces[0].start
	unsorted := bytes.Clone(w.text[at:])
	slices.SortFunc(pieces, byName)
	w.text = w.text[:at]
	for i, p := range pieces {
		if i > 0 {
			w.text = append(w.text, '&')
		}
		w.text = append(w.text, unsorted[p.start-at:p.end-at]...)
	}
}
