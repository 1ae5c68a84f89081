package recipe

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// decrypt compiles "decrypt <cipher> <encoding> <member>|body { … } [before verify]"
// and "open <member>|body... <cipher> <encoding> { … } [before verify]".
func (c *compiler) decrypt(b *incomingBlock, l Line) error {
	before := false
	if n := len(l.Words); n > 3 && l.Words[n-2] == "before" && l.Words[n-1] == "verify" {
		before = true
		l.Words = l.Words[:n-2]
	}
	var e *encryption
	var err error
	if l.Words[0] == "open" {
		e, err = c.sealLine(l)
	} else {
		e, err = c.encryptLine(l)
	}
	if err != nil {
		return err
	}
	e.role = decryptRole(e)
	if err := c.encryptionBlock(e); err != nil {
		return err
	}
	if err := c.checkValue(l, slices.Concat(e.iv, e.nonce, e.aad), b.kind); err != nil {
		return err
	}
	if e.plain {
		all := b.covers()
		if before || e.whole && !all.bytes || slices.ContainsFunc(e.paths, func(path body.Path) bool { return !all.member(path) }) {
			return l.errorf("plain object stands where a verify above covers the member: else anybody could send one that was never encrypted")
		}
	}
	e.before = before
	e.roles = e.decryptRoles()
	if e.whole {
		b.sealed = true
	}
	if before {
		b.before = append(b.before, e)
		b.stages = append(b.stages, stage{encryption: e})
	} else {
		b.after = append(b.after, e)
	}
	return nil
}

func decryptRole(e *encryption) keys.Role {
	if e.cipher.Kind() == cipher.Symmetric && e.envelope == nil {
		return keys.SharedSecret
	}
	return keys.Decrypt
}

func (e *encryption) decryptRoles() []keys.Role {
	if e.envelope != nil {
		return []keys.Role{withID(keys.Decrypt, e.envelope.id)}
	}
	return []keys.Role{withID(e.role, e.id)}
}

// decrypt decrypts members, or the payload as a whole.
func (b *incomingBlock) decrypt(e *env, in *scheme.Incoming, d *encryption) error {
	if d.whole {
		return b.decryptWhole(e, in, d)
	}
	for _, d := range d.layers() {
		if err := inTexts(e.m.Payload, b.strings, d.paths, false, func() error { return b.decryptIn(e, in, d) }); err != nil {
			return err
		}
	}
	return nil
}

// layers returns the statement in parts that are decrypted one after the other: a member
// that was encrypted before the one around it is not there until that one is decrypted.
func (e *encryption) layers() []*encryption {
	held := func(i int) bool {
		return slices.ContainsFunc(e.paths[i+1:], func(outer body.Path) bool { return mayHold(outer, e.paths[i]) })
	}
	outer, inner := *e, *e
	outer.paths, inner.paths = nil, nil
	for i, path := range e.paths {
		if held(i) {
			inner.paths = append(inner.paths, path)
		} else {
			outer.paths = append(outer.paths, path)
		}
	}
	if len(inner.paths) == 0 {
		return []*encryption{e}
	}
	return append([]*encryption{&outer}, inner.layers()...)
}

func (b *incomingBlock) decryptIn(e *env, in *scheme.Incoming, d *encryption) error {
	d, err := d.matched(e.m.Payload)
	if err != nil {
		return err
	}
	if e.m.Payload == nil || !hasAny(e.m.Payload, d.paths) {
		if d.envelope != nil && in.Request == nil && b.kind == message.Answer {
			if values, err := d.envelope.place.values(e.m, e.fields()); err == nil && len(values) > 0 {
				in.Note(i18n.T("verified, not decryptable: there is an envelope and no encrypted member; an echoed envelope opens only with the key of its request"))
			}
		}
		if d.implied || d.envelope != nil || e.m.Payload == nil && b.kind == message.Answer {
			return nil
		}
		if b.kind == message.Notification {
			return scheme.DecryptionFailed()
		}
		return nil
	}
	all, err := d.decrypters(e, in)
	if err == nil {
		err = b.decryptMembers(e, in, d, all)
	}
	switch {
	case err == nil:
		return nil
	case d.envelope != nil && in.Request == nil && b.kind == message.Answer:
		in.Note(i18n.T("verified, not decryptable: the envelope does not open with these keys and options; an echoed envelope opens only with the key of its request%s", d.advice()))
		return nil
	case scheme.ReasonOf(err) == scheme.NeedsKeys:
		return err
	}
	return scheme.DecryptionFailed()
}

// matched returns the statement with its patterns, such as body.*_response, replaced by
// the member that each matches in a message: exactly one, as with raw.
func (e *encryption) matched(tree *body.Tree) (*encryption, error) {
	if tree == nil || !slices.ContainsFunc(e.paths, isPattern) {
		return e, nil
	}
	found := *e
	found.paths = slices.Clone(e.paths)
	for i, path := range e.paths {
		if !isPattern(path) {
			continue
		}
		var err error
		if found.paths[i], err = matchOne(tree, path); err != nil {
			return nil, err
		}
	}
	return &found, nil
}

// isPattern reports whether the last name of a path is a pattern, and not the * that
// stands for every member.
func isPattern(path body.Path) bool {
	return len(path) > 0 && path[len(path)-1] != body.Any && strings.Contains(path[len(path)-1], "*")
}

// advice names the options that say how a provider encrypts.
func (e *encryption) advice() i18n.Text {
	var advice []i18n.Text
	for _, l := range e.line.Block {
		if len(l.Words) != 2 {
			continue
		}
		option, ok := optionIn(l.Words[1])
		switch {
		case !ok:
		case l.Words[0] == "prefix":
			advice = append(advice, i18n.T("set %s to what the provider puts before the symmetric key, such as 01|, or leave it out", option))
		case l.Words[0] == "padding":
			advice = append(advice, i18n.T("set %s to how the provider fills up the text", option))
		}
	}
	if len(advice) == 0 {
		return i18n.Text{}
	}
	slices.Reverse(advice)
	all := advice[0]
	for _, next := range advice[1:] {
		all = i18n.T("%v, and %v", all, next)
	}
	return i18n.T("; if it is not echoed, %v", all)
}

// decryptMembers tries one key after the other, each on all members.
func (b *incomingBlock) decryptMembers(e *env, in *scheme.Incoming, d *encryption, all []decrypter) error {
	for _, key := range all {
		plain, err := d.texts(e.m.Payload, key)
		if err != nil {
			continue
		}
		for _, p := range plain {
			if err := b.place(e, in, d, p); err != nil {
				return err
			}
		}
		if key.fingerprint != "" {
			in.Used(key.fingerprint)
		}
		return nil
	}
	return errOpen
}

// plaintext is a member that was decrypted.
type plaintext struct {
	at   body.Path
	text []byte
}

// texts decrypts the members with one key.
func (e *encryption) texts(tree *body.Tree, key decrypter) ([]plaintext, error) {
	var out []plaintext
	var failed error
	for _, path := range e.paths {
		eachPath(tree, path, func(outer body.Path, r body.Ref) {
			m := r.Member()
			if m.IsEmpty() || failed != nil {
				return
			}
			if m.Kind() != body.String {
				if _, object := m.Object(); !object || !e.plain {
					failed = errOpen
				}
				return
			}
			ciphertext, err := e.encoding.Decode(m.Text())
			if err != nil {
				failed = errOpen
				return
			}
			text, err := key.decrypt(ciphertext)
			if err != nil || !utf8.Valid(text) {
				failed = errOpen
				return
			}
			out = append(out, plaintext{r.In(outer), text})
		})
	}
	return out, failed
}

// place writes a plaintext into the payload: as JSON or as a string, as the application
// sent the same member. If the request did not have the member, an object or a list is
// JSON and everything else a string.
func (b *incomingBlock) place(e *env, in *scheme.Incoming, d *encryption, p plaintext) error {
	memory := in.Memory()
	if meetsAny(d.inner, p.at) { // a ciphertext again, whose own line comes below
		memory = scheme.Memory{}
		memory.Texts.Add(p.at)
	}
	isJSON := body.Valid(p.text) == nil
	asText := memory.Texts.Has(p.at)
	asJSON := memory.JSON.Has(p.at)
	if asJSON && !isJSON {
		return errOpen
	}
	raw := p.text
	if asText || !asJSON && (!isJSON || !isContainer(p.text)) {
		raw = body.AppendQuote(nil, p.text)
	}
	target := p.at
	if d.into != nil {
		if d.into.path == nil {
			o, err := b.format.Parse(p.text)
			if err != nil {
				return errOpen
			}
			e.m.SetPayload(o)
			return nil
		}
		target = d.into.path
	}
	if err := e.m.Payload.Set(target, raw); err != nil {
		return errOpen
	}
	return nil
}

func isContainer(text []byte) bool {
	first := strings.TrimLeft(string(text[:min(len(text), 16)]), " \t\r\n")
	return first != "" && (first[0] == '{' || first[0] == '[')
}

// decryptWhole decrypts the payload and reads it.
func (b *incomingBlock) decryptWhole(e *env, in *scheme.Incoming, d *encryption) error {
	source := e.m.Inner
	if source == nil {
		source = e.m.Wire
	}
	text := bytes.TrimSpace(source)
	if n := len(text); n > 1 && text[0] == '"' && text[n-1] == '"' { // a JSON string: no encoding has quotes
		text = text[1 : n-1]
	}
	if d.plain && isContainer(text) { // no encoding has a brace or a bracket
		o, err := b.format.Parse(source)
		if err != nil {
			return scheme.DecryptionFailed()
		}
		e.m.SetPayload(o)
		return nil
	}
	ciphertext, err := d.encoding.Decode(text)
	if err != nil || len(ciphertext) == 0 {
		return scheme.DecryptionFailed()
	}
	all, err := d.decrypters(e, in)
	if scheme.ReasonOf(err) == scheme.NeedsKeys {
		return err
	}
	for _, key := range all {
		text, err := key.decrypt(ciphertext)
		if err != nil {
			continue
		}
		var o *body.Object
		if d.cut {
			if !utf8.Valid(text) {
				continue
			}
		} else if o, err = b.format.Parse(text); err != nil {
			continue
		}
		e.m.SetPayload(o)
		e.m.Inner = text
		if d.before { // the text is signed as it was before it was encrypted
			e.bytes = func() ([]byte, error) { return text, nil }
		}
		if key.fingerprint != "" {
			in.Used(key.fingerprint)
		}
		return nil
	}
	return scheme.DecryptionFailed()
}
