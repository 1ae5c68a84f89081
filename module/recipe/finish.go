package recipe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func (c *compiler) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.p.warnings, text) {
		c.p.warnings = append(c.p.warnings, text)
	}
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

// sealsBack reports whether an answer may come under an envelope of its own.
func (p *Program) sealsBack() bool { return true }

// answerLine compiles match, result and unsigned.
func (c *compiler) answerLine(_ *incomingBlock, l Line) error {
	d := &c.p.description
	words, err := c.words(l)
	if err != nil {
		return err
	}
	switch words[0] {
	case "match":
		paths, err := c.paths(l, l.Words[1:])
		if err != nil || len(paths) == 0 {
			return l.errorf("match takes members, as in: match body.orderId")
		}
		for _, path := range paths {
			if len(path) > 1 {
				c.p.held = append(c.p.held, path[:len(path)-1])
			}
		}
		if c.settings["match"][0] == "on" {
			d.Match = append(d.Match, paths...)
		}
	case "result":
		if len(words) != 2 {
			return l.errorf("result takes one member, as in: result body.code")
		}
		if d.Result, err = bodyPath(words[1]); err != nil {
			return l.errorf("%w", err)
		}
	case "unsigned":
		if len(words) != 4 || words[1] != "error" {
			return l.errorf("unsigned is written: unsigned error <member> <token of success>, as in: unsigned error body.code 0")
		}
		path, err := bodyPath(words[2])
		if err != nil {
			return l.errorf("%w", err)
		}
		d.Unsigned = &scheme.UnsignedRule{Member: path, Token: words[3]}
	}
	return nil
}

// notificationLine compiles ack, time, single and identity.
func (c *compiler) notificationLine(b *incomingBlock, l Line, rule *scheme.NotifyRule) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	switch words[0] {
	case "ack":
		if len(words) > 1 && words[1] == "sign" {
			return c.ackSign(l, rule)
		}
		if len(words) < 2 || len(words) > 4 || len(words) == 4 && (words[2] != "ignore" || words[3] != "case") || len(words) == 3 {
			return l.errorf(`ack takes one text, as in: ack success, or: ack success ignore case`)
		}
		rule.Ack, rule.IgnoreCase = unescape(words[1]), len(words) == 4
	case "time":
		if len(words) != 3 {
			return l.errorf("time takes a value and a unit or layout, as in: time {body.timestamp} unix")
		}
		value, err := c.parseTemplate(l.Words[1], false)
		if err != nil {
			return l.errorf("%w", err)
		}
		if err := checkLayout(l, words[2]); err != nil {
			return err
		}
		if err := c.noSecret(l, value); err != nil {
			return err
		}
		for _, part := range value {
			if part.name == "body" && part.path != nil {
				b.times = append(b.times, part.path)
			}
		}
		layout := words[2]
		rule.Time = func(v *scheme.Verified) (time.Time, bool) {
			m := v.Message()
			e := &env{p: c.p, m: &m, zone: b.zone, bytes: func() ([]byte, error) { return m.Wire, nil }}
			text, err := value.text(e)
			if err != nil {
				return time.Time{}, false
			}
			return parseTime(text, layout, b.zone)
		}
	case "single":
		if b.single, err = c.paths(l, l.Words[1:]); err != nil || len(b.single) == 0 {
			return l.errorf("single takes a list, as in: single body.notificationItems")
		}
	case "identity":
		if len(words) > 3 && words[1] == "body" && words[2] == "except" {
			rule.IdentityExcept = words[3:]
			break
		}
		if rule.Identity, err = c.paths(l, l.Words[1:]); err != nil || len(rule.Identity) == 0 {
			return l.errorf("identity takes members, as in: identity body.id, or: identity body except timestamp")
		}
	}
	return nil
}

// ackSign compiles "ack sign <target> <algorithm> <encoding> <text>".
func (c *compiler) ackSign(l Line, rule *scheme.NotifyRule) error {
	signLine := l
	signLine.Words = append([]string{"sign"}, l.Words[2:]...)
	s, rest, err := c.signatureLine(signLine)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return l.errorf("ack sign takes a target, an algorithm, an encoding and a text")
	}
	if err := c.signatureBlock(s); err != nil {
		return err
	}
	c.p.ackRoles = s.roles(message.Request)
	rule.SignAck = func(d *scheme.Draft) error {
		o := &sealing{block: &requestBlock{zone: china}, draft: d}
		o.env = env{p: c.p, m: d.Message, keys: d.Keys, now: d.Now, zone: china, bytes: o.payload}
		if err := o.sign(s); err != nil {
			return err
		}
		if d.Message.Payload != nil {
			d.Message.Wire = d.Message.Payload.Text()
		}
		return nil
	}
	return nil
}

// finish fills in the description, once all blocks are compiled.
func (c *compiler) finish(r Recipe) error {
	p, d := c.p, &c.p.description
	if b := p.request; b != nil {
		d.Request = c.requestDirection(b)
		d.Needs = p.needs
		for _, path := range b.strings {
			if !path.HasAny() {
				d.Inside = append(d.Inside, path)
			}
		}
		for _, e := range b.encrypted {
			d.Encryption = append(d.Encryption, e.roles...)
		}
		if p.answer != nil {
			c.imply(b, p.answer)
		}
	}
	if p.answer != nil {
		d.Answer = c.direction(p.answer)
		d.Answer.Reads = append(d.Answer.Reads, d.Match...)
		if d.Unsigned != nil {
			d.Unsigned.Signed = c.signedMembers(p.answer)
		}
		if p.request != nil && !c.hasMatch() {
			c.warn("an answer is not matched to its request: the recipe has no match")
		}
	}
	if p.notification != nil {
		if err := c.notification(p.notification); err != nil {
			return err
		}
	}
	for name, o := range c.options {
		if name != "match" && !r.mentions(name, "{option."+name+"}", &Line{Words: []string{"option"}, At: o.At}) {
			return Line{At: o.At}.errorf("option %s is never used; remove it, or write {option.%s}", name, name)
		}
	}
	if p.proof == "guess" && !c.confirmed() {
		c.warn("%s", strings.TrimSpace("how this provider signs is a guess; "+p.proofNote))
	}
	d.Warnings = p.warnings
	return nil
}

// confirmed reports whether an operator has set every text that the recipe
// guesses.
func (c *compiler) confirmed() bool {
	guessed := 0
	for name, o := range c.options {
		if len(o.Values) > 0 || o.List || len(o.Default) == 0 {
			continue
		}
		guessed++
		if slices.Equal(c.settings[name], o.Default) {
			return false
		}
	}
	return guessed > 0
}

func (c *compiler) hasMatch() bool {
	for _, l := range c.p.answer.line.Block {
		if l.Words[0] == "match" || l.Words[0] == "when" {
			return true
		}
	}
	return false
}

func (c *compiler) requestDirection(b *requestBlock) *scheme.Direction {
	var all coverage
	dir := &scheme.Direction{Format: b.format, Target: c.aimed || b.format.Kind == message.Query}
	for _, s := range b.signs {
		all.add(s.text.covers)
		dir.Roles = append(dir.Roles, s.roles(message.Request)...)
		s.part = s.text.covers.name(b.protocol)
	}
	dir.Roles = append(dir.Roles, b.tokenRoles(c)...)
	dir.Part = all.name(b.protocol)
	if len(b.signs) == 0 {
		dir.Part = ""
	}
	dir.Signed = c.coveredBy(all, b.signs, c.travelling(b))
	return dir
}

// travelling are the members whose value travels as one text, so that what is in
// them is covered where they are.
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

func (c *compiler) direction(b *incomingBlock) *scheme.Direction {
	var all coverage
	dir := &scheme.Direction{Format: b.format}
	var protocol, travelling []body.Path
	if c.p.request != nil {
		protocol = c.p.request.protocol
		travelling = c.travelling(c.p.request)
	}
	for _, e := range slices.Concat(b.before, b.after) {
		travelling = append(travelling, e.paths...)
		if e.into != nil && e.into.path != nil {
			travelling = append(travelling, e.into.path)
		}
		if !e.implied && (b.kind == message.Answer || e.whole || e.before) { // else only where the member is there
			dir.Roles = append(dir.Roles, e.roles...)
		}
	}
	for _, s := range b.verifies {
		all.add(s.text.covers)
		dir.Roles = append(dir.Roles, s.roles(b.kind)...)
		dir.Reads = append(dir.Reads, s.reads()...)
		s.part = s.text.covers.name(protocol)
	}
	dir.Part = all.name(protocol)
	dir.Signed = c.coveredBy(all, b.verifies, travelling)
	if b.sealed && len(b.before) == 0 && all.bytes {
		dir.Signed = func(body.Path) bool { return true }
	}
	dir.Roles = unique(dir.Roles)
	return dir
}

// signedMembers are the members whose absence makes an answer one that the
// provider does not sign: those that are signed, and the signature.
func (c *compiler) signedMembers(b *incomingBlock) []body.Path {
	var paths []body.Path
	for _, s := range b.verifies {
		paths = append(paths, s.reads()...)
	}
	return paths
}

// imply adds to an answer what undoes the encryption of the same members of the
// request, unless the answer says so itself.
func (c *compiler) imply(b *requestBlock, answer *incomingBlock) {
	for _, e := range b.encrypted {
		if e.whole || slices.ContainsFunc(slices.Concat(answer.before, answer.after), func(d *encryption) bool {
			return d.whole || slices.ContainsFunc(d.paths, func(path body.Path) bool { return contains(e.paths, path) })
		}) {
			continue
		}
		undo := *e
		undo.implied = true
		undo.role = decryptRole(e)
		if undo.role == keys.Decrypt {
			undo.id = ""
		}
		if undo.envelope != nil {
			v := *undo.envelope
			v.id = ""
			undo.envelope = &v
		}
		undo.roles = undo.decryptRoles()
		answer.after = append(answer.after, &undo)
		if e.envelope == nil && undo.role == keys.Decrypt {
			e.roles = append(e.roles, keys.Decrypt)
		}
	}
}

// notification fills in what is known of notifications.
func (c *compiler) notification(b *incomingBlock) error {
	d := &c.p.description
	d.Notification = c.direction(b)
	d.Notification.Roles = append(d.Notification.Roles, c.p.ackRoles...)
	rule := &d.Notify
	rule.Methods = []string{"POST"}
	if b.format.Kind == message.Form || b.format.Kind == message.Query {
		rule.Methods = []string{"POST", "GET"}
	}
	for _, path := range b.times {
		if !d.Notification.Covers(path) {
			rule.Time = nil // anybody could edit it, so that a window would not help
		}
	}
	for _, path := range rule.Identity {
		if !d.Notification.Covers(path) {
			return b.line.errorf("identity %s: no signature covers it, so that a copy could have another", path)
		}
	}
	fresh := rule.Time != nil || slices.ContainsFunc(b.verifies, func(s *signature) bool {
		return s.fresh != nil || slices.ContainsFunc(s.text.covers.headers, func(name string) bool {
			return strings.Contains(strings.ToLower(name), "nonce") || strings.Contains(strings.ToLower(name), "timestamp")
		})
	})
	if !fresh {
		c.warn("a notification has neither a time nor a nonce that is read, so that an old one can be sent again: use once")
	}
	return nil
}

// KeyKinds are the kinds of keys that the statements need, by role: "RSA", "SM2",
// "ECDSA" or "Ed25519".
func (p *Program) KeyKinds() map[keys.Role]string {
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
