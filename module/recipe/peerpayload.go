package recipe

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Marker is the member that marks a payload that a sandbox has made from the recipe. It
// also makes an answer differ from the request, so that it is not refused as a
// reflection.
const Marker = "countersign_sandbox"

// Default returns the payload of a peer without a template: the members of the request
// and a result. refusal is the error with which the request was refused, or nil.
func (r *Peer) Default(kind message.Kind, to *Received, refusal error) *body.Object {
	b := r.p.answer
	if kind == message.Notification {
		b = r.p.notification
	}
	tree := emptyTree()
	if to != nil && to.Plain != nil && refusal == nil {
		for _, m := range r.inside(to.Plain) {
			if r.repeats(b, string(m.Name())) {
				_ = tree.Set(body.Path{string(m.Name())}, r.written(b, m)) // the empty tree takes every member
			}
		}
	}
	home := r.home(b)
	payload := tree
	if home != nil {
		if inner := tree.At(home); inner == nil || inner.IsList() {
			payload = emptyTree()
			_ = ensure(payload, home, tree.Text())
		}
	}
	set := func(path body.Path, raw []byte) { _ = ensure(payload, path, raw) } // where the payload has it as something else it stays
	set(append(slices.Clone(home), Marker), body.AppendQuote(nil, "recipe "+r.p.name))
	if b != nil && kind == message.Answer {
		set(r.result(refusal == nil))
	}
	if refusal != nil {
		text := strings.ToValidUTF8(refusal.Error(), "?")
		if b != nil && b.format.Options.Raw { // which has no way to write them
			text = rawLetters.Replace(text)
		}
		set(append(slices.Clone(home), "message"), body.AppendQuote(nil, text))
	}
	o, err := body.Parse(payload.Text())
	if err != nil {
		return emptyObject()
	}
	return o
}

// inside returns the members of a request: of the object that its signature covers, if
// the request has nothing beside it.
func (r *Peer) inside(plain *body.Object) []body.Member {
	all := plain.Members()
	if b := r.p.request; len(all) == 1 && b != nil && len(b.signs) > 0 {
		name := string(all[0].Name())
		for _, home := range r.p.homes(b.signs[0].text) {
			if inner := body.NewTree(plain).At(body.Path{name}); inner != nil && !inner.IsList() && len(home) == 1 && home[0] == name && !slices.Equal(r.home(r.p.answer), home) {
				return inner.Members()
			}
		}
	}
	return all
}

// repeats reports whether a member of a request stands in the default payload: not
// what the other block makes anew.
func (r *Peer) repeats(b *incomingBlock, name string) bool {
	if b == nil {
		return true
	}
	path := body.Path{name}
	if b.namesInOtherLetters(name) {
		return false
	}
	if b.stamp != nil && slices.ContainsFunc(b.stamp.value, func(p part) bool { return slices.Equal(p.path, path) }) {
		return false
	}
	return !slices.ContainsFunc(b.verifies, func(s *signature) bool {
		if by := s.text.build.listedBy; by != nil && by[0] == name { // the list has the marker too
			return true
		}
		return s.place.kind == "body" && slices.Equal(s.place.path, path) ||
			slices.ContainsFunc(s.freshValue(), func(p part) bool { return slices.Equal(p.path, path) })
	})
}

// namesInOtherLetters reports whether a signature names a member that differs from this
// one in letters alone: a message with both is refused.
func (b *incomingBlock) namesInOtherLetters(name string) bool {
	return slices.ContainsFunc(b.verifies, func(s *signature) bool {
		return slices.ContainsFunc(s.text.covers.parts, func(p coveredPart) bool {
			names := p.names
			if p.inside == nil && len(p.path) > 0 {
				names = p.path[:1]
			}
			return !slices.Contains(names, name) && slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		})
	})
}

// written returns a member as the format has it: what is not JSON has texts only.
func (r *Peer) written(b *incomingBlock, m body.Member) []byte {
	if b == nil || b.format.IsJSON() || b.format.Kind == "" || b.format.Kind == message.JSON || m.IsScalar() {
		return m.Raw()
	}
	return body.AppendQuote(nil, m.Compact())
}

// home returns the object of the payload that the signatures cover, or nil where it is
// the payload itself.
func (r *Peer) home(b *incomingBlock) body.Path {
	if b == nil {
		return nil
	}
	for _, s := range b.verifies {
		if homes := r.p.homes(s.text); len(homes) > 0 {
			return homes[0]
		}
	}
	return nil
}

// result returns the member with the provider's result, and its value.
func (r *Peer) result(ok bool) (body.Path, []byte) {
	d := r.p.description
	word := map[bool]string{true: "SUCCESS", false: "FAIL"}[ok]
	switch {
	case d.Unsigned != nil && len(d.Unsigned.Member) > 1: // errors are in a separate object
	case d.Unsigned != nil && ok:
		return d.Unsigned.Member, numberOrText(d.Unsigned.Token)
	case d.Unsigned != nil:
		return d.Unsigned.Member, []byte("9999")
	case len(d.Result) > 0:
		return d.Result, body.AppendQuote(nil, word)
	}
	return append(slices.Clone(r.home(r.p.answer)), "result"), body.AppendQuote(nil, word)
}

func numberOrText(token string) []byte {
	if json.Valid([]byte(token)) {
		return []byte(token)
	}
	return body.AppendQuote(nil, token)
}

// Template is the payload of a peer as an operator writes it: a JSON object whose texts
// may have placeholders.
type Template struct {
	object *body.Object
	texts  map[string]template // by the text as it stands
}

// ParseTemplate reads a template. Its texts may have placeholders such as {body.order},
// {time.unix} and {nonce.16}. A text that is only {body.x} becomes that member of the
// request with its JSON type.
func (r *Peer) ParseTemplate(text string) (*Template, error) {
	o, err := body.Parse([]byte(text))
	if err != nil {
		return nil, i18n.Errorf("the template is no JSON object: %w", err)
	}
	t := &Template{object: o, texts: make(map[string]template)}
	c := &compiler{p: r.p}
	var walk func(m body.Member) error
	walk = func(m body.Member) error {
		switch {
		case m.Kind() == body.String:
			tpl, err := c.parseTemplate(string(m.Text()), false)
			if err != nil {
				return i18n.Errorf("the template's text %q: %w", m.Text(), err)
			}
			for _, p := range tpl {
				if !slices.Contains([]string{"", "body", "header", "query", "method", "path", "time", "nonce", "uuid"}, p.name) || p.request {
					return i18n.Errorf("the template's text %q: a template of the sandbox has {body…}, {header…}, {query…}, {method}, {path}, {time…}, {nonce…} and {uuid}", m.Text())
				}
			}
			t.texts[string(m.Text())] = tpl
			return nil
		case m.IsScalar():
			return nil
		}
		return eachInside(m, walk)
	}
	for _, m := range o.Members() {
		if err := walk(m); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func eachInside(m body.Member, do func(body.Member) error) error {
	if o, ok := m.Object(); ok {
		for _, inner := range o.Members() {
			if err := do(inner); err != nil {
				return err
			}
		}
		return nil
	}
	var failed error
	for inner := range m.Elements {
		if failed == nil {
			failed = do(inner)
		}
	}
	return failed
}

// Fill returns the template with the values of a request. A member that the request
// lacks becomes null, or the empty text within a longer text.
func (r *Peer) Fill(t *Template, to *Received, now time.Time) (*body.Object, error) {
	m := message.New(message.Answer) // of which a member may be missing
	if to != nil {
		*m = *to.wire
		m.Kind = message.Answer
		m.SetPayload(to.Plain)
	}
	e := &env{p: r.p, m: m, now: now, zone: china, fresh: make(map[string]string)}
	if m.Payload == nil {
		m.SetPayload(emptyObject())
	}
	e.bytes = func() ([]byte, error) { return m.Payload.Text(), nil }
	tree := body.NewTree(t.object)
	if err := t.fill(tree, e); err != nil {
		return nil, err
	}
	return body.Parse(tree.Text())
}

func (t *Template) fill(tree *body.Tree, e *env) error {
	for i, m := range tree.Members() {
		at := body.Path{nameOf(tree, i, m)}
		if m.Kind() != body.String {
			if inner := tree.At(at); inner != nil {
				if err := t.fill(inner, e); err != nil {
					return err
				}
			}
			continue
		}
		tpl := t.texts[string(m.Text())]
		raw := []byte("null")
		if len(tpl) == 1 && tpl[0].name == "body" {
			if tpl[0].path == nil {
				raw = e.m.Payload.Text()
			} else if member, ok := e.m.Payload.Get(tpl[0].path); ok {
				raw = member.Raw()
			}
		} else {
			text, err := tpl.text(e)
			if err != nil {
				return err
			}
			raw = body.AppendQuote(nil, strings.ToValidUTF8(text, "?"))
		}
		if err := tree.Set(at, raw); err != nil {
			return errors.Join(err, scheme.Failf(scheme.Invalid, "filling the template"))
		}
	}
	return nil
}

// rawLetters replaces what separates or groups in a form that is not URL-encoded.
var rawLetters = strings.NewReplacer("&", "and", "{", "(", "}", ")", "[", "(", "]", ")")
