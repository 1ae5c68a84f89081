package attack

import (
	"bytes"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
)

// fields changes the fields that stand beside a payload in another body.
func (a *attacker) fields() {
	m := a.read(a.genuine)
	if m == nil || m.Form == nil {
		return
	}
	for _, l := range leaves(m.Form) {
		name := l.path[0]
		if a.isPlace("form." + name) {
			continue
		}
		covered := a.signed.AllFields || slices.Contains(a.signed.Fields, name)
		a.add(i18n.T("another field %s", name), covered, nil, func(m *message.Message) { _ = m.Form.Set(l.path, Another(l.m)) })
		a.add(i18n.T("without the field %s", name), covered, nil, func(m *message.Message) { m.Form.Remove(l.path) })
	}
	a.add(i18n.T("an added field"), a.signed.AllFields, nil, func(m *message.Message) { _ = m.Form.SetString(body.Path{added}, "1") })
}

// bytes changes the bytes of a body that are signed as they stand: every one of a
// short one, and its members' order.
func (a *attacker) bytes() {
	if !a.signed.Bytes || len(a.genuine.Wire) == 0 || a.format.Wrap != nil || slices.ContainsFunc(a.signed.Places, func(p string) bool { return strings.HasPrefix(p, "body.") }) {
		return
	}
	wire := func(name i18n.Text, text []byte) {
		a.add(name, true, nil, func(m *message.Message) { m.Wire = text })
	}
	was := a.genuine.Wire
	step := max(1, len(was)/64)
	for i := 0; i < len(was); i += step {
		changed := bytes.Clone(was)
		changed[i] ^= 1
		wire(i18n.T("another byte of the body"), changed)
	}
	if !a.signed.Loose { // else blanks may be what does not count
		wire(i18n.T("a blank behind the body"), append(bytes.Clone(was), ' '))
		wire(i18n.T("a blank before the body"), append([]byte(" "), was...))
	}
	wire(i18n.T("the body cut off"), was[:len(was)-1])
	wire(i18n.T("no body"), nil)
	if m := a.read(a.genuine); m != nil && m.Payload != nil && !m.Payload.IsList() && a.format.IsJSON() {
		if members := m.Payload.Members(); len(members) > 1 {
			var pieces [][]byte
			for _, one := range slices.Backward(members) {
				pieces = append(pieces, slices.Concat(body.AppendQuote(nil, one.Name()), []byte(":"), one.Raw()))
			}
			wire(i18n.T("the members in another order"), slices.Concat([]byte("{"), bytes.Join(pieces, []byte(",")), []byte("}")))
		}
	}
}

// ciphertext changes a payload that is encrypted as a whole, which a signature
// covers from outside or from within. The end is left alone: its last letter may
// have bits that say nothing.
func (a *attacker) ciphertext() {
	m := a.read(a.genuine)
	if m == nil || m.Payload != nil || len(m.Inner) < 32 {
		return
	}
	if !a.wrapCovered() && !a.signed.Bytes && !slices.ContainsFunc(a.signed.Places, func(p string) bool { return strings.HasPrefix(p, "body.") }) {
		return
	}
	seal := func(name i18n.Text, text []byte) {
		a.add(name, true, nil, func(m *message.Message) {
			if m.Form == nil {
				m.Wire = text
				return
			}
			_ = m.Form.SetString(body.Path{a.format.Wrap.Field}, string(text))
		})
	}
	step := max(1, len(m.Inner)/16)
	for i := 0; i < len(m.Inner)-8; i += step {
		changed := bytes.Clone(m.Inner)
		if changed[i] == '0' {
			changed[i] = '1'
		} else {
			changed[i] = '0'
		}
		seal(i18n.T("another letter of the ciphertext"), changed)
	}
	seal(i18n.T("the ciphertext cut off"), m.Inner[:len(m.Inner)/2])
}

// headers changes the headers that are signed, and one that is not.
func (a *attacker) headers() {
	for _, name := range a.signed.Headers {
		name = canonicalHeader(name)
		value := a.genuine.Header.Get(name)
		if value == "" || slices.ContainsFunc(a.signed.Places, func(p string) bool { kind, n, _ := cutPlace(p); return kind == "header" && n == name }) {
			continue
		}
		a.add(i18n.T("another header %s", name), true, nil, func(m *message.Message) { m.Header.Set(name, value+"0") })
		a.add(i18n.T("without the header %s", name), true, nil, func(m *message.Message) { m.Header.Del(name) })
		a.add(i18n.T("the header %s twice", name), true, nil, func(m *message.Message) { m.Header.Add(name, value+"0") })
	}
	a.add(i18n.T("a header that nobody signs"), false, nil, func(m *message.Message) { m.Header.Set("X-Nobody-Signs", "1") })
}

// target changes where a message goes, how, and the status.
func (a *attacker) target() {
	if a.kind == message.Answer {
		a.add(i18n.T("another status"), a.signed.Status, nil, func(m *message.Message) { m.Status++ })
		return
	}
	a.add(i18n.T("another method"), a.signed.Method, nil, func(m *message.Message) { m.Method = "PUT" })
	a.add(i18n.T("another path"), a.signed.Path, nil, func(m *message.Message) { m.Path += "x" })
	a.add(i18n.T("another host"), a.signed.Host, nil, func(m *message.Message) { m.Host = "evil.example" })
	if a.format.Kind == message.Query || a.kind == message.Notification && a.format.Kind == message.Form {
		return // the query is the payload, or stands in its place
	}
	a.add(i18n.T("another parameter"), a.signed.Query, nil, func(m *message.Message) { m.SetParam(added, "1") })
	for _, name := range a.signed.Params {
		value, ok, err := a.genuine.Param(name)
		if !ok || err != nil {
			continue
		}
		a.add(i18n.T("another %s in the query", name), true, nil, func(m *message.Message) { m.SetParam(name, value+"0") })
		a.add(i18n.T("no %s in the query", name), true, nil, func(m *message.Message) { m.RemoveParam(name) })
		a.add(i18n.T("%s twice in the query", name), true, nil, func(m *message.Message) { m.Query += "&" + name + "=x" })
		if upper := strings.ToUpper(name); upper != name && a.kind == message.Notification {
			a.add(i18n.T("a twin %s in the query", upper), true, nil, func(m *message.Message) { m.Query += "&" + upper + "=" })
		}
	}
}

// signatures takes away, spoils, moves and replaces each signature.
func (a *attacker) signatures() {
	for _, place := range a.signed.Places {
		was := a.at(a.genuine, place)
		if was == "" {
			continue
		}
		replace := func(what i18n.Text, text string) {
			if text == was {
				return
			}
			a.add(what, true, nil, func(m *message.Message) { a.put(m, place, text) })
		}
		a.add(i18n.T("without %s", place), true, nil, func(m *message.Message) { a.drop(m, place) })
		replace(i18n.T("%s emptied", place), "")
		replace(i18n.T("%s cut off", place), was[:len(was)-len(was)/4-1])
		replace(i18n.T("%s cut to one letter", place), was[:1])
		last := strings.TrimRight(was, `="`)
		n := len(last) - 5
		if n > 0 {
			flipped := []byte(was)
			flipped[n] = map[bool]byte{true: 'A', false: 'B'}[flipped[n] != 'A']
			if flipped[n]|0x20 != was[n]|0x20 { // hex is read in any case
				replace(i18n.T("%s with another letter", place), string(flipped))
			}
		}
		replace(i18n.T("%s of zeros", place), strings.Repeat("0", len(was)))
		if a.other != nil {
			replace(i18n.T("%s of another message", place), a.at(a.other, place))
		}
		a.add(i18n.T("%s moved into a header that nobody reads", place), true, nil, func(m *message.Message) {
			a.drop(m, place)
			m.Header.Set("Nobody-Reads-This", was)
		})
		if kind, name, key := cutPlace(place); kind == "header" && key == "" {
			a.add(i18n.T("%s twice", place), true, nil, func(m *message.Message) { m.Header.Add(name, was) })
		}
	}
}

// at is the signature at a place: of a part of a header the part.
func (a *attacker) at(m *message.Message, place string) string {
	kind, name, key := cutPlace(place)
	switch kind {
	case "header":
		if key == "" {
			return m.Header.Get(name)
		}
		if values := message.Parts(m.Header.Get(name), key); len(values) > 0 {
			return values[0]
		}
		return ""
	case "query":
		value, _, _ := m.Param(name)
		return value
	}
	read := a.read(m)
	if read == nil {
		return ""
	}
	tree, path := read.Payload, pathOf(name)
	if kind == "form" && read.Form != nil {
		tree, path = read.Form, body.Path{name}
	}
	if tree == nil {
		return ""
	}
	value, ok := tree.Get(path)
	if !ok || value.Kind() != body.String {
		return ""
	}
	return string(value.Text())
}

// put puts a text to a place.
func (a *attacker) put(m *message.Message, place, text string) {
	kind, name, key := cutPlace(place)
	switch {
	case kind == "header" && key != "":
		was := m.Header.Get(name)
		m.Header.Set(name, strings.Replace(was, message.Parts(was, key)[0], text, 1))
	case kind == "header":
		m.Header.Set(name, text)
	case kind == "query":
		m.SetParam(name, text)
	case kind == "form" && m.Form != nil:
		_ = m.Form.SetString(body.Path{name}, text)
	case m.Payload != nil:
		_ = m.Payload.SetString(pathOf(name), text)
	}
}

// drop takes away what stands at a place.
func (a *attacker) drop(m *message.Message, place string) {
	kind, name, key := cutPlace(place)
	switch {
	case kind == "header" && key != "":
		was := m.Header.Get(name)
		m.Header.Set(name, strings.ReplaceAll(was, key+"=", "zz="))
	case kind == "header":
		m.Header.Del(name)
	case kind == "query":
		m.RemoveParam(name)
	case kind == "form" && m.Form != nil:
		m.Form.Remove(body.Path{name})
	case m.Payload != nil:
		m.Payload.Remove(pathOf(name))
	}
}

func pathOf(name string) body.Path {
	path, err := body.ParsePath(name)
	if err != nil {
		return nil
	}
	return path
}
