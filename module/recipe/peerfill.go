package recipe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// complete adds the values that the signatures, the ciphers and the checks of the other
// side read and the payload lacks: time stamps, nonces, serials, named members. It
// changes no value that exists.
func (o *outgoing) complete() error {
	if o.m.Payload == nil {
		o.m.SetPayload(emptyObject())
	}
	b := o.block
	for _, path := range b.single {
		if _, ok := o.m.Payload.Get(path); !ok {
			if err := o.m.Payload.Set(path, []byte("[{}]")); err != nil {
				return err
			}
		}
	}
	for _, e := range slices.Concat(b.before, b.after) {
		if err := o.completeInto(e); err != nil {
			return err
		}
		if err := o.completeEncrypted(e); err != nil {
			return err
		}
		if err := o.completeParams(e); err != nil {
			return err
		}
	}
	for _, s := range b.verifies {
		if err := o.completeSignature(s); err != nil {
			return err
		}
	}
	if b.stamp != nil {
		if err := o.stampAll(b.stamp); err != nil {
			return err
		}
	}
	for _, s := range b.verifies {
		for _, p := range o.p.placeholders(s.text) {
			if err := o.completePlaceholder(p); err != nil {
				return err
			}
		}
	}
	for _, s := range b.verifies {
		if err := o.completeList(s); err != nil {
			return err
		}
	}
	if b.kind == message.Notification {
		for _, path := range o.p.description.Notify.Identity {
			if m, ok := o.m.Payload.Get(path); !ok || m.IsEmpty() {
				if err := ensure(o.m.Payload, path, body.AppendQuote(nil, nonceOf(20))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// completeInto makes the member from which a plaintext is taken.
func (o *outgoing) completeInto(e *encryption) error {
	if e.into == nil || e.into.path == nil {
		return nil
	}
	if _, ok := o.m.Payload.Get(e.into.path); ok {
		return nil
	}
	return ensure(o.m.Payload, e.into.path, []byte(strings.TrimSpace(string(o.m.Payload.Text()))))
}

// completeEncrypted makes the members that a notification must have encrypted: with
// nothing in them.
func (o *outgoing) completeEncrypted(e *encryption) error {
	if o.block.kind != message.Notification || e.whole || e.into != nil {
		return nil
	}
	for _, path := range e.paths {
		_, ok := o.m.Payload.Get(path)
		_, inside := o.m.Payload.Get(path[:len(path)-1])
		if ok || len(path) > 1 && !inside || path.HasAny() || strings.Contains(path[len(path)-1], "*") {
			continue
		}
		if err := ensure(o.m.Payload, path, []byte(`"{}"`)); err != nil {
			return err
		}
	}
	return nil
}

// completeParams makes what the other side reads as iv, nonce and aad of what is
// encrypted.
func (o *outgoing) completeParams(e *encryption) error {
	if !e.whole && e.into == nil && !hasAny(o.m.Payload, e.paths) {
		return nil
	}
	for i, tpl := range []template{e.nonce, e.aad, e.iv} {
		for _, p := range tpl {
			if p.request || p.name == "body" && p.path == nil || p.name == "query" && p.arg == "" {
				continue
			}
			text := nonceOf(max(e.cipher.IVSize(), 8))
			if i == 2 && e.ivCoded {
				text = e.ivCoding.Encode([]byte(text))
			}
			if err := o.giveIfAbsent(p, text, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// completeSignature makes what a verify reads beside its text.
func (o *outgoing) completeSignature(s *signature) error {
	if s.certificate != nil {
		text, err := o.certificate(s)
		if err != nil {
			return err
		}
		if err := o.place(*s.certificate, text); err != nil {
			return err
		}
	}
	if len(s.key) == 1 {
		serial, ok := o.keys.Serial(mirrored("verify"))
		if !ok {
			return scheme.Failf(scheme.NeedsKeys, "the message names the serial of its key; put the certificate into sign.pem beside the key, or the serial into sign.serial")
		}
		if err := o.giveIfAbsent(s.key[0], serial, false); err != nil {
			return err
		}
	}
	if s.fresh != nil {
		return o.stampAll(s.fresh)
	}
	return o.completeMembers(s.text)
}

// completeList makes the member that lists the names of those that are signed.
func (o *outgoing) completeList(s *signature) error {
	by, part := s.text.build.listedBy, s.text.build.part
	if by == nil || part == nil || part.kind != "body" {
		return nil
	}
	var home body.Path
	if len(part.paths) > 0 {
		home = part.paths[0]
	}
	tree := o.m.Payload
	if home != nil {
		tree = tree.At(home)
	}
	path := append(slices.Clone(home), by[0])
	if m, ok := o.m.Payload.Get(path); tree == nil || tree.IsList() || ok && !m.IsEmpty() {
		return nil
	}
	var names []string
	for _, m := range tree.Members() {
		name := string(m.Name())
		if m.IsScalar() && name != by[0] && !strings.ContainsAny(name, ",:;|+ ") && !o.isSignature(append(slices.Clone(home), name)) {
			names = append(names, name)
		}
	}
	if by[1] != "" {
		names = append(names, by[1])
	}
	return ensure(o.m.Payload, path, body.AppendQuote(nil, strings.Join(names, ",")))
}

// completeMembers makes the objects that a text covers.
func (o *outgoing) completeMembers(t *text) error {
	for _, path := range o.homes(t) {
		if _, ok := o.m.Payload.Get(path); !ok {
			if err := ensure(o.m.Payload, path, []byte("{}")); err != nil {
				return err
			}
		}
	}
	return nil
}

// homes returns the objects of the payload that a text covers; of one-of the first.
func (o *outgoing) homes(t *text) []body.Path { return o.p.homes(t) }

func (p *Program) homes(t *text) []body.Path {
	var paths []body.Path
	if part := t.build.part; part != nil && part.kind == "body" && len(part.paths) > 0 {
		paths = append(paths, part.paths[0])
	}
	if raw := t.build.raw; raw != nil {
		path := slices.Clone(raw)
		path[len(path)-1] = strings.Replace(path[len(path)-1], "*", "sandbox", 1)
		paths = append(paths, path)
	}
	for _, q := range t.parts {
		if inner := p.texts[q.arg]; q.name == "text" && !q.request && inner != nil {
			paths = append(paths, p.homes(inner)...)
		}
	}
	return paths
}

// stampAll writes the time to every place from which it is read.
func (o *outgoing) stampAll(f *freshness) error {
	if len(f.value) != 1 {
		return nil // it is read from several parts, which the payload must have
	}
	number := o.block.format.IsJSON() && (f.layout == "unix" || f.layout == "unix_ms")
	return o.giveIfAbsent(f.value[0], formatTime(o.now, f.layout, o.zone), number)
}

// completePlaceholder makes what a placeholder of a text reads.
func (o *outgoing) completePlaceholder(p part) error {
	switch {
	case p.request:
		return nil
	case p.name == "header" && p.key == "" && o.isPlace("header", p.arg),
		p.name == "form" && (o.block.format.Wrap != nil && o.block.format.Wrap.Field == p.arg || o.isPlace("form", p.arg)),
		p.name == "body" && (p.path == nil || o.isSignature(p.path)):
		return nil // written later, by the signature or the field itself
	case p.name == partKind && o.isPlace(partKind, p.arg),
		p.name == "header" && (o.isJoined(p.arg) || p.arg == "Content-Length"):
		return nil
	case p.name == "header" && p.arg == "Content-Type":
		return o.giveIfAbsent(p, o.block.format.MediaType(), false)
	case p.name == "header", p.name == "form", p.name == partKind, p.name == "query" && p.arg != "":
		return o.giveIfAbsent(p, nonceOf(16), false)
	case p.name == "body" && p.kind == "digits":
		return o.giveIfAbsent(p, strconv.FormatInt(o.now.Unix(), 10), true)
	case p.name == "body" && p.kind == "string":
		return o.giveIfAbsent(p, "{}", false)
	case p.name == "body" && o.isEncrypted(p.path):
		return o.giveIfAbsent(p, "{}", true) // JSON, as the request's was
	case p.name == "body":
		return o.giveIfAbsent(p, "sandbox", false)
	}
	return nil
}

func (o *outgoing) isEncrypted(path body.Path) bool {
	return slices.ContainsFunc(slices.Concat(o.block.before, o.block.after), func(e *encryption) bool { return contains(e.paths, path) })
}

func (o *outgoing) isPlace(kind, name string) bool {
	return slices.ContainsFunc(o.block.verifies, func(s *signature) bool {
		return s.place.kind == kind && strings.EqualFold(s.place.name, name)
	})
}

// giveIfAbsent writes a text to the place that a placeholder reads, unless the place
// has a value.
func (o *outgoing) giveIfAbsent(p part, text string, number bool) error {
	switch p.name {
	case "header":
		if p.key != "" {
			values, err := o.m.HeaderPart(p.arg, p.key)
			if err != nil || len(values) > 0 {
				return err
			}
			return o.addPart(p.arg, p.key, text)
		}
		if o.m.Header.Get(p.arg) == "" {
			return o.put(place{kind: "header", name: p.arg}, text, false)
		}
		return nil
	case "query":
		if o.block.format.Kind == message.Query { // the payload is the query
			return o.giveIfAbsent(part{name: "body", path: body.Path{p.arg}}, text, false)
		}
		if _, ok, err := o.m.Param(p.arg); ok || err != nil {
			return err
		}
		o.m.SetParam(p.arg, text)
		return nil
	case partKind:
		if o.m.Parts[p.arg] == "" {
			o.m.Parts[p.arg] = text
		}
		return nil
	case "form":
		if _, ok := o.fields().Get(body.Path{p.arg}); ok {
			return nil
		}
		return o.place(place{kind: "form", name: p.arg}, text)
	case "body":
		if m, ok := o.m.Payload.Get(p.path); ok && !m.IsEmpty() {
			return nil
		}
		raw := []byte(text)
		if !number {
			raw = body.AppendQuote(nil, text)
		}
		return ensure(o.m.Payload, p.path, raw)
	}
	return nil
}

// ensure sets a value and makes the missing parts of its path: a list where the next
// name is 0, and objects otherwise.
func ensure(tree *body.Tree, path body.Path, raw []byte) error {
	have := 0
	for have < len(path)-1 {
		m, ok := tree.Get(path[:have+1])
		if !ok || m.IsEmpty() {
			break
		}
		have++
	}
	for i := len(path) - 1; i > have; i-- {
		if path[i] == "0" {
			raw = slices.Concat([]byte("["), raw, []byte("]"))
		} else {
			raw = slices.Concat([]byte("{"), body.AppendQuote(nil, path[i]), []byte(":"), raw, []byte("}"))
		}
	}
	return tree.Set(path[:have+1], raw)
}

// nameOf returns the name of a member, or the index of an element.
func nameOf(tree *body.Tree, i int, m body.Member) string {
	if tree.IsList() {
		return strconv.Itoa(i)
	}
	return string(m.Name())
}

// nonceOf returns a fresh text of n letters and digits.
func nonceOf(n int) string { return fresh(part{name: "nonce", n: n}) }
