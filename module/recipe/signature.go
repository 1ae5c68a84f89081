package recipe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// signature is a statement sign or verify.
type signature struct {
	line      Line
	place     place
	algorithm algorithm.Algorithm
	encoding  encoding.Encoding
	text      *text
	as        template // of sign
	part      string

	role keys.Role // of the key; "" is the usual one
	id   string
	key  template // the serial of the key, read from the message
	uid  template
	pad  int
	form secretForm

	certificate *place
	subjects    []scheme.Subject
	fresh       *freshness
}

// freshness is the line fresh.
type freshness struct {
	value  template
	layout string
	window time.Duration
}

// signatureLine compiles what sign and verify have in common:
// <place> <algorithm> <encoding> <text>.
func (c *compiler) signatureLine(l Line) (*signature, []string, error) {
	usage := l.errorf("%s takes a place, an algorithm, an encoding and a text, as in: %s body.sign rsa-sha256 base64 members", l.Words[0], l.Words[0])
	if len(l.Words) < 5 {
		return nil, nil, usage
	}
	words := make([]string, 4)
	for i := range words {
		var err error
		if words[i], err = c.fill(l.Words[i]); err != nil {
			return nil, nil, l.errorf("%w", err)
		}
	}
	s := &signature{line: l}
	var err error
	if s.place, err = parsePlace(words[1]); err != nil {
		return nil, nil, l.errorf("%w", err)
	}
	if s.place.kind == "body" && s.place.path.HasAny() {
		return nil, nil, l.errorf("%s names several members; a signature stands in one", s.place)
	}
	if s.algorithm, err = algorithm.Named(words[2]); err != nil {
		return nil, nil, l.errorf("%w", err)
	}
	if s.encoding, err = encoding.Named(words[3]); err != nil {
		return nil, nil, l.errorf("%w", err)
	}
	if s.text, err = c.textOf(l, l.Words[4]); err != nil {
		return nil, nil, err
	}
	if err := c.checkText(s); err != nil {
		return nil, nil, err
	}
	if weak := s.algorithm.Weak(); weak != "" {
		c.warn("%s: %s", l.Words[0]+" "+words[1], weak)
	}
	return s, l.Words[5:], nil
}

// sign compiles "sign <target> <algorithm> <encoding> <text> [as <template>]".
func (c *compiler) sign(b *requestBlock, l Line) (func(*sealing) error, error) {
	s, rest, err := c.signatureLine(l)
	if err != nil {
		return nil, err
	}
	if s.place, err = c.target(b, l, s.place.String()); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		if rest[0] != "as" || len(rest) != 2 {
			return nil, l.errorf("behind the text of sign stands at most: as <template>")
		}
		if s.as, err = c.parseTemplate(rest[1], false); err != nil {
			return nil, l.errorf("%w", err)
		}
		if !s.as.has("signature") {
			return nil, l.errorf("the template behind as has no {signature}")
		}
		if s.as.has("secret") {
			return nil, l.errorf("{secret} stands only in texts that are digested, and in token, which sends it")
		}
	}
	if err := c.signatureBlock(s); err != nil {
		return nil, err
	}
	b.signs = append(b.signs, s)
	return func(o *sealing) error { return o.sign(s) }, nil
}

// sign makes a signature and puts it where it belongs.
func (s *sealing) sign(statement *signature) error {
	if err := s.wrap(); err != nil {
		return err
	}
	if s.m.Payload != nil && statement.place.kind == "body" && statement.text.covers.member(statement.place.path) {
		s.m.Payload.Remove(statement.place.path) // one that the application has sent is not signed
	}
	made, err := statement.make(&s.env)
	if err != nil {
		return err
	}
	text, err := s.draft.Sign(made)
	if err != nil {
		return err
	}
	if statement.as != nil {
		e := s.env
		e.signature = text
		if text, err = statement.as.text(&e); err != nil {
			return err
		}
		s.fresh = e.fresh
	}
	return s.put(statement.place, text, false)
}

// make is the signature, with what it covers in this message.
func (s *signature) make(e *env) (scheme.Signature, error) {
	if e.fresh == nil {
		e.fresh = make(map[string]string) // one map for all texts of an attempt
	}
	text, ambiguous, err := s.text.signed(e)
	if err != nil {
		return scheme.Signature{}, invalid(err)
	}
	made := scheme.Signature{
		Algorithm: s.algorithm, Encoding: s.encoding, Text: text, Part: s.part, Ambiguous: ambiguous,
		Role: s.role, Key: s.id, Where: s.place.String(), Derive: s.form.derive(),
	}
	if p := s.text.build.part; p != nil && len(p.paths) > 1 {
		chosen, err := p.choose(e.m)
		if err != nil {
			return made, err
		}
		made.Part = chosen.String()
	}
	if s.uid != nil {
		uid, err := s.uid.text(e)
		if err != nil {
			return made, err
		}
		for len(uid) < s.pad {
			uid += "0"
		}
		made.Options.UID = []byte(uid)
	}
	return made, nil
}

// checkText refuses a text whose signature anybody could make or extend.
func (c *compiler) checkText(s *signature) error {
	t := s.text
	if !t.covers.anything() {
		return s.line.errorf("what is signed covers neither the body nor a member, the query or the URI: anybody could put the signature on another message")
	}
	if s.place.kind == "body" && slices.ContainsFunc(t.covers.parts, func(p coveredPart) bool { return p.inside == nil && slices.Equal(p.path, s.place.path) }) {
		return s.line.errorf("what is signed holds the signature itself, %s, which is not known before it is made", s.place)
	}
	if s.algorithm.Kind() != algorithm.Digest {
		if len(t.secrets) > 0 && !digested(t) && s.algorithm.Kind() == algorithm.Public {
			return s.line.errorf("{secret} in a text that %s signs is not digested: a signature does not hide it", s.algorithm.Name())
		}
		return nil
	}
	if len(t.secrets) == 0 {
		return s.line.errorf(`%s is a plain digest and its text has no {secret}: anybody could make it; add to the text: append "{secret}", or use hmac-%s`, s.algorithm.Name(), s.algorithm.Name())
	}
	if begins, ends := t.secretAtEnds(); begins && !ends {
		return s.line.errorf(`the text begins with {secret} and does not end with it: with %s anybody can extend what is signed; put {secret} at its end, or use hmac-%s`, s.algorithm.Name(), s.algorithm.Name())
	}
	return nil
}

// secretAtEnds reports whether a text begins, and whether it ends, with a secret.
func (t *text) secretAtEnds() (begins, ends bool) {
	first := func(tpl template) bool { return len(tpl) > 0 && tpl[0].name == "secret" }
	last := func(tpl template) bool { return len(tpl) > 0 && tpl[len(tpl)-1].name == "secret" }
	begins, ends = first(t.build.template), last(t.build.template)
	for _, s := range t.steps {
		switch {
		case s.digest:
			begins, ends = false, false
		case s.run != nil:
		case s.prepend:
			if len(s.template) > 0 {
				begins = first(s.template)
			}
		case len(s.template) > 0:
			ends = last(s.template)
		}
	}
	return begins, ends
}

// signatureBlock compiles the lines behind sign or verify.
func (c *compiler) signatureBlock(s *signature) error {
	verify := s.line.Words[0] == "verify"
	lines, err := c.kept(s.line.Block)
	if err != nil {
		return err
	}
	for _, l := range lines {
		words, err := c.words(l)
		if err != nil {
			return err
		}
		a := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
		switch words[0] {
		case "key":
			err = c.signatureKey(s, a, verify)
		case "uid":
			err = c.uid(s, a)
		case "secret", "derive":
			err = s.form.read(words[0], a)
		case "certificate", "subject", "fresh":
			if !verify {
				return l.errorf("%s belongs to verify", words[0])
			}
			err = c.verifyLine(s, words[0], a)
		default:
			return l.errorf("unknown word %q behind %s; there are key, uid, secret, derive, and behind verify certificate, subject and fresh", words[0], s.line.Words[0])
		}
		if err != nil {
			return err
		}
	}
	if s.certificate != nil && len(s.subjects) == 0 {
		return s.line.errorf("certificate without subject takes anybody's certificate of the same authority; add: subject cn <name>")
	}
	if s.certificate != nil && s.algorithm.Kind() != algorithm.Public {
		return s.line.errorf("%s has no certificate", s.algorithm.Name())
	}
	return nil
}

// signatureKey compiles "key <role or role@id>", or behind verify "key <value>",
// the serial that the message names.
func (c *compiler) signatureKey(s *signature, a *arguments, verify bool) error {
	if len(a.words) != 1 {
		return a.line.errorf("key takes one value")
	}
	word := a.raw[0]
	roleWord, id, _ := strings.Cut(a.words[0], "@")
	role := keys.Role(roleWord)
	if !strings.Contains(word, "{") || strings.HasPrefix(word, "{option.") {
		if role == keys.Sign || role == keys.Verify || role == keys.SharedSecret || role == keys.Encrypt || role == keys.Decrypt {
			want := keys.SharedSecret
			if s.algorithm.Kind() == algorithm.Public {
				want = keys.Sign
				if verify {
					want = keys.Verify
				}
			}
			if role != want {
				return a.line.errorf("%s takes a key of the role %s, not %s", s.algorithm.Name(), want, role)
			}
			s.id = id
			return nil
		}
		if !verify {
			return a.line.errorf("key takes a role, or a role with an id, such as sign@2, not %q", word)
		}
	}
	if !verify || s.algorithm.Kind() != algorithm.Public {
		return a.line.errorf("only verify with a public key takes the serial of a key from the message")
	}
	tpl, err := c.parseTemplate(word, false)
	if err != nil {
		return a.line.errorf("%w", err)
	}
	s.key = tpl
	return c.noSecret(a.line, tpl)
}

func (c *compiler) uid(s *signature, a *arguments) error {
	var err error
	if s.uid, err = c.parseTemplate(a.nextRaw(), false); err != nil {
		return a.line.errorf("%w", err)
	}
	if a.peek() == "pad" {
		a.next()
		if s.pad, err = strconv.Atoi(a.next()); err != nil || s.pad < 1 || s.pad > 64 {
			return a.line.errorf("pad takes a number of characters, as in: uid {option.appid} pad 16")
		}
	}
	if !a.done() || len(s.uid) == 0 {
		return a.line.errorf("uid takes one value, and may be followed by: pad 16")
	}
	if !strings.HasPrefix(s.algorithm.Name(), "sm2") {
		return a.line.errorf("uid belongs to sm2")
	}
	return c.noSecret(a.line, s.uid)
}

// verifyLine compiles certificate, subject and fresh.
func (c *compiler) verifyLine(s *signature, word string, a *arguments) error {
	switch word {
	case "certificate":
		text, err := a.one("certificate takes the member that holds it, as in: certificate body.signPubKeyCert")
		if err != nil {
			return err
		}
		p, err := parsePlace(text)
		if err != nil {
			return a.line.errorf("%w", err)
		}
		s.certificate = &p
	case "subject":
		if a.next() != "cn" {
			return a.line.errorf("subject is written: subject cn <name>, or subject cn @ <n> <name> for the field n, from 0, of a name with @ in it")
		}
		subject := scheme.Subject{}
		if a.peek() == "@" {
			a.next()
			n, err := strconv.Atoi(a.next())
			if err != nil || n < 0 {
				return a.line.errorf("subject cn @ takes the number of a field, from 0")
			}
			subject.Split, subject.Field = true, n
		}
		var err error
		if subject.Text, err = a.one("subject cn takes one name; put it in quotes if it has blanks"); err != nil || subject.Text == "" {
			return a.line.errorf("subject cn takes one name; put it in quotes if it has blanks")
		}
		s.subjects = append(s.subjects, subject)
	case "fresh":
		if len(a.words) != 3 {
			return a.line.errorf("fresh takes a value, a unit or layout, and a window, as in: fresh {header.Wechatpay-Timestamp} unix 5m")
		}
		value, err := c.parseTemplate(a.nextRaw(), false)
		if err != nil {
			return a.line.errorf("%w", err)
		}
		layout := a.next()
		window, err := time.ParseDuration(a.next())
		if err != nil || window <= 0 {
			return a.line.errorf("the window of fresh is a duration such as 5m")
		}
		if err := checkLayout(a.line, layout); err != nil {
			return err
		}
		s.fresh = &freshness{value, layout, window}
		return c.noSecret(a.line, value)
	}
	return nil
}

// checkLayout refuses a layout that is none: it would parse no time at all.
func checkLayout(l Line, layout string) error {
	if layout == "unix" || layout == "unix_ms" {
		return nil
	}
	at := time.Date(2026, 11, 26, 13, 14, 15, 0, time.UTC)
	if back, err := time.Parse(layout, at.Format(layout)); err != nil || back.Year() != at.Year() || back.Day() != at.Day() {
		return l.errorf("%q is neither unix nor unix_ms nor a Go layout such as \"2006-01-02 15:04:05\"", layout)
	}
	return nil
}

// incoming is the signature of a message that came in.
func (s *signature) incoming(e *env) (scheme.Signature, error) {
	values, err := s.place.values(e.m, e.fields())
	if err != nil {
		return scheme.Signature{}, invalid(err)
	}
	if len(values) == 0 { // nothing else matters then
		return scheme.Signature{Algorithm: s.algorithm, Encoding: s.encoding, Where: s.place.String(), Part: s.part}, nil
	}
	made, err := s.make(e)
	if err != nil {
		return made, err
	}
	made.Values = values
	if s.key != nil {
		if made.Key, err = s.key.text(e); err != nil {
			return made, err
		}
		if made.Key == "" {
			return made, scheme.Failf(scheme.BadSignature, "the message does not name the serial of the key that has signed it")
		}
	}
	if s.fresh != nil {
		value, err := s.fresh.value.text(e)
		if err != nil {
			return made, err
		}
		f := &scheme.Freshness{Window: s.fresh.window}
		f.Time, f.Known = parseTime(value, s.fresh.layout, e.zone)
		made.Fresh = f
	}
	if s.certificate != nil {
		values, err := s.certificate.values(e.m, e.fields())
		if err != nil {
			return made, invalid(err)
		}
		if len(values) == 0 {
			return made, scheme.Failf(scheme.Unsigned, "the message has no %s", s.certificate)
		}
		made.Certificate = &scheme.Certificate{Text: []byte(values[0]), Subject: s.subjects}
	}
	return made, nil
}

// roles are the roles that a signature needs.
func (s *signature) roles(kind message.Kind) []keys.Role {
	var roles []keys.Role
	role := keys.SharedSecret
	if s.algorithm.Kind() == algorithm.Public {
		if role = keys.Verify; kind == message.Request {
			role = keys.Sign
		}
		if s.key != nil || s.certificate != nil {
			return []keys.Role{role} // any of them; which one the message says
		}
	}
	if s.algorithm.Kind() == algorithm.Digest {
		for _, name := range s.text.secrets {
			roles = append(roles, part{arg: name}.secretName())
		}
		return roles
	}
	if s.id != "" {
		role += keys.Role("@" + s.id)
	}
	return append(roles, role)
}

// reads are the members that the statement reads by name.
func (s *signature) reads() []body.Path {
	paths := s.text.covers.reads()
	if s.place.kind == "body" {
		paths = append(paths, s.place.path)
	}
	if s.certificate != nil && s.certificate.kind == "body" {
		paths = append(paths, s.certificate.path)
	}
	for _, tpl := range []template{s.key, s.freshValue()} {
		for _, p := range tpl {
			if p.name == "body" && p.path != nil {
				paths = append(paths, p.path)
			}
		}
	}
	return slices.Clip(paths)
}

func (s *signature) freshValue() template {
	if s.fresh == nil {
		return nil
	}
	return s.fresh.value
}
