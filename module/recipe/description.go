package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func (c *compiler) requestDirection(b *requestBlock) *scheme.Direction {
	var all coverage
	dir := &scheme.Direction{Format: b.format, Target: c.aimed || b.format.Kind == message.Query}
	for _, s := range b.signs {
		all.add(s.text.covers)
		dir.Roles = append(dir.Roles, s.roles(message.Request)...)
		s.part = s.text.covers.name(b.format, b.protocol)
	}
	dir.Roles = append(dir.Roles, b.tokenRoles(c)...)
	dir.Part = all.name(b.format, b.protocol)
	if len(b.signs) == 0 {
		dir.Part = ""
	}
	dir.Signed = c.coveredBy(all, b.signs, c.travelling(b))
	return dir
}

// travelling returns the members whose value is sent as one text, so that a signature
// over such a member covers everything in it.
func (c *compiler) travelling(b *requestBlock) []body.Path {
	paths := slices.Clone(b.strings)
	for _, e := range b.encrypted {
		paths = append(paths, e.paths...)
	}
	return paths
}

// coveredBy reports whether a text covers a path, or a member that holds it as one
// text.
func (c *compiler) coveredBy(all coverage, signs []*signature, travelling []body.Path) func(body.Path) bool {
	return func(path body.Path) bool {
		for _, s := range signs {
			if s.place.kind == "body" && slices.Equal(s.place.path, path) {
				return false
			}
		}
		if all.member(path) {
			return true
		}
		for _, outer := range travelling {
			if outer.Covers(path) && all.member(path[:len(outer)]) {
				return true
			}
		}
		return false
	}
}

// revealed reports whether the signatures cover a path of the revealed payload: a
// decrypted value is covered if its ciphertext is.
func (b *incomingBlock) revealed(all *coverage, wire func(body.Path) bool) func(body.Path) bool {
	if w := b.format.Wrap; w != nil && w.Field != "" && all.field(w.Field) || b.format.Wrap != nil && all.bytes {
		wire = func(body.Path) bool { return true } // the payload as one text
	} else if b.sealed && len(b.before) == 0 {
		wire = func(body.Path) bool { return all.bytes } // it has no members before it is decrypted
	}
	var covered func(statements []*encryption, path body.Path) bool
	covered = func(statements []*encryption, path body.Path) bool {
		for i, e := range slices.Backward(statements) {
			if e.into == nil {
				continue
			}
			target := e.into.path
			if !target.Covers(path) && !path.Covers(target) {
				continue
			}
			for _, from := range e.paths {
				if !covered(statements[:i], from) {
					return false
				}
			}
			if target.Covers(path) {
				return true
			}
		}
		return wire(path)
	}
	return func(path body.Path) bool { return covered(b.after, path) }
}

func (c *compiler) direction(b *incomingBlock) *scheme.Direction {
	all := b.covers()
	dir := &scheme.Direction{Format: b.format}
	var protocol, travelling []body.Path
	if c.p.request != nil {
		protocol = c.p.request.protocol
		travelling = c.travelling(c.p.request)
	}
	for _, e := range slices.Concat(b.before, b.after) {
		dir.Encrypted = append(dir.Encrypted, e.paths...)
		travelling = append(travelling, e.paths...)
		if e.into != nil && len(e.into.path) > 0 {
			dir.Reads = append(dir.Reads, e.into.path)
		}
		if !e.implied && (b.kind == message.Answer || e.whole || e.before) { // else only where the member is there
			dir.Roles = append(dir.Roles, e.roles...)
		}
	}
	for _, s := range b.verifies {
		dir.Roles = append(dir.Roles, s.roles(b.kind)...)
		dir.Reads = append(dir.Reads, s.reads()...)
		s.part = s.text.covers.name(b.format, protocol)
	}
	dir.Part = all.name(b.format, protocol)
	dir.Signed = b.revealed(all, c.coveredBy(*all, b.verifies, travelling))
	dir.Roles = unique(dir.Roles)
	return dir
}

// unsignedRule fills in what makes an answer one that the provider does not sign:
// it has no signature, wherever that stands, and none of the members that are
// signed by their names.
func (c *compiler) unsignedRule(b *incomingBlock, rule *scheme.UnsignedRule) {
	for _, s := range b.verifies {
		rule.Signed = append(rule.Signed, s.reads()...)
		rule.Signed = append(rule.Signed, s.text.covers.mentions()...)
		if slices.ContainsFunc(s.text.covers.parts, func(p coveredPart) bool { return len(p.path) == 0 && len(p.names) == 0 }) {
			c.warn("unsigned error: the signature covers all members, so that whoever takes it away and changes %s passes the others, marked as not verified", "body."+rule.Member.String())
		}
	}
	rule.Signed = slices.Clip(rule.Signed)
	rule.Bears = func(m *message.Message) bool {
		e := &env{m: m}
		return slices.ContainsFunc(b.verifies, func(s *signature) bool {
			if s.place.kind == partKind { // it may be in what is not cut yet
				return true
			}
			values, err := s.place.values(m, e.fields())
			return s.place.kind != "body" && (err != nil || len(values) > 0)
		})
	}
}

// Roles returns all roles that the recipe may need, those of members that only some
// messages have among them.
func (p *Program) Roles() []keys.Role {
	var roles []keys.Role
	d := p.description
	for _, direction := range []*scheme.Direction{d.Request, d.Answer, d.Notification} {
		if direction != nil {
			roles = append(roles, direction.Roles...)
		}
	}
	encryptions := func(all []*encryption) {
		for _, e := range all {
			roles = append(roles, e.roles...)
			for _, tpl := range []template{e.iv, e.nonce, e.aad} {
				for _, part := range tpl {
					if part.name == "secret" {
						roles = append(roles, part.secretName())
					}
				}
			}
		}
	}
	if p.request != nil {
		encryptions(p.request.encrypted)
	}
	for _, b := range []*incomingBlock{p.answer, p.notification} {
		if b != nil {
			encryptions(b.before)
			encryptions(b.after)
		}
	}
	return unique(roles)
}

// SecretSizes returns the lengths of the secrets that are keys of ciphers as they stand,
// in bytes, where the cipher fixes it.
func (p *Program) SecretSizes() map[keys.Role]int {
	sizes := make(map[keys.Role]int)
	add := func(all []*encryption) {
		for _, e := range all {
			if e.envelope == nil && e.cipher.Kind() == cipher.Symmetric && e.form.derive() == nil && e.cipher.KeySize() > 0 {
				sizes[withID(keys.SharedSecret, e.id)] = e.cipher.KeySize()
			}
		}
	}
	if p.request != nil {
		add(p.request.encrypted)
	}
	for _, b := range []*incomingBlock{p.answer, p.notification} {
		if b != nil {
			add(b.before)
			add(b.after)
		}
	}
	return sizes
}

// keyKinds returns the kinds of keys that the statements need, by role: "RSA", "SM2",
// "ECDSA" or "Ed25519".
func (p *Program) keyKinds() map[keys.Role]string {
	kinds := make(map[keys.Role]string)
	add := func(role keys.Role, kind string) {
		if kind != "" {
			kinds[role] = kind
		}
	}
	if p.request != nil {
		for _, s := range p.request.signs {
			if s.algorithm.Kind() == algorithm.Public {
				add(withID(keys.Sign, s.id), s.algorithm.KeyKind())
			}
		}
		for _, e := range p.request.encrypted {
			if e.envelope != nil {
				add(withID(keys.Encrypt, e.envelope.id), e.envelope.cipher.KeyKind())
			} else {
				add(withID(e.role, e.id), e.cipher.KeyKind())
			}
		}
	}
	for _, b := range []*incomingBlock{p.answer, p.notification} {
		if b == nil {
			continue
		}
		for _, s := range b.verifies {
			if s.algorithm.Kind() == algorithm.Public && s.certificate == nil {
				add(withID(keys.Verify, s.id), s.algorithm.KeyKind())
			}
		}
		for _, e := range slices.Concat(b.before, b.after) {
			if e.envelope != nil {
				add(withID(keys.Decrypt, e.envelope.id), e.envelope.cipher.KeyKind())
			} else {
				add(withID(e.role, e.id), e.cipher.KeyKind())
			}
		}
	}
	return kinds
}
