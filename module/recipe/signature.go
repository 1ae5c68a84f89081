package recipe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
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
	or        *text    // of verify: the text of some of the provider's messages, or nil
	as        template // how it is written, or nil: alone
	asBase64  bool     // and that in Base64
	several   string   // separates what a verified place holds
	part      string

	role keys.Role // of the key; "" is the default of the algorithm and direction
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
	line   Line
}

// signatureLine compiles what sign and verify have in common:
// <place> <algorithm> <encoding> <text>.
func (c *compiler) signatureLine(l Line, kind message.Kind) (*signature, []string, error) {
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
	if s.place.kind == partKind && !c.parts[s.place.name] {
		return nil, nil, l.errorf("no split above has cut out %s", s.place)
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
	if err := c.checkText(s, kind); err != nil {
		return nil, nil, err
	}
	if weak := s.algorithm.Weak(); weak != "" {
		c.warn("%s: %s", l.Words[0]+" "+words[1], weak)
	}
	return s, l.Words[5:], nil
}

// sign compiles "sign <target> <algorithm> <encoding> <text> [as <template>]".
func (c *compiler) sign(b *requestBlock, l Line) (func(*sealing) error, error) {
	s, rest, err := c.signatureLine(l, message.Request)
	if err != nil {
		return nil, err
	}
	if s.place, err = c.target(b, l, s.place.String()); err != nil {
		return nil, err
	}
	if err := c.written(s, l, rest); err != nil {
		return nil, err
	}
	if err := c.signatureBlock(s); err != nil {
		return nil, err
	}
	if err := c.checkValue(l, slices.Concat(s.as, s.uid), message.Request); err != nil {
		return nil, err
	}
	if err := b.aboveSign(l, s.place); err != nil {
		return nil, err
	}
	b.signs = append(b.signs, s)
	b.statements = append(b.statements, statement{sign: s})
	return func(o *sealing) error { return o.sign(s) }, nil
}

// written compiles "as <template>".
func (c *compiler) written(s *signature, l Line, rest []string) (err error) {
	if len(rest) == 0 {
		return nil
	}
	if s.asBase64 = len(rest) == 3 && rest[2] == "base64"; rest[0] != "as" || len(rest) != 2 && !s.asBase64 {
		return l.errorf("behind the text of %s stands at most: as <template> [base64]", l.Words[0])
	}
	if s.as, err = c.parseTemplate(rest[1], false); err != nil {
		return l.errorf("%w", err)
	}
	if !s.as.has("signature") {
		return l.errorf("the template behind as has no {signature}")
	}
	if c.exposes(s.as) {
		return l.errorf("{secret} stands only in texts that are digested, and in token, which sends it")
	}
	return nil
}

// sign makes a signature and puts it where it belongs.
func (s *sealing) sign(statement *signature) error {
	switch at := statement.place; { // one that the application has sent is not signed
	case at.kind == "query":
		s.m.RemoveParam(at.name)
	case at.kind == "header":
		s.m.Header.Del(at.name)
	case at.kind == "body" && s.m.Payload != nil && (statement.text.covers.member(at.path) || s.block.inQuery()):
		s.m.Payload.Remove(at.path)
	}
	if err := s.wrap(); err != nil {
		return err
	}
	s.signing = true
	defer func() { s.signing = false }()
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
		if text, err = statement.as.textFor(statement.place, &e); err != nil {
			return err
		}
		s.fresh = e.fresh
		if statement.asBase64 {
			text = encoding.EncodeBase64([]byte(text))
		}
	}
	return s.put(statement.place, text, false)
}

// make returns the signature, with what it covers in this message.
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

// signatureBlock compiles the lines behind sign or verify.
func (c *compiler) signatureBlock(s *signature) error {
	verify := s.line.Words[0] == "verify"
	lines, err := c.kept(s.line.Block)
	if err != nil {
		return err
	}
	if err := blockLines(lines, onceInStatement, nil); err != nil {
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
			if s.algorithm.Kind() == algorithm.Public {
				return l.errorf("%s belongs to a shared secret, and %s has a pair of keys: remove it", words[0], s.algorithm.Name())
			}
			err = s.form.read(words[0], a)
		case "several":
			if !verify || len(a.words) != 1 {
				return l.errorf(`several belongs to verify and takes what separates the signatures, as in: several " "`)
			}
			s.several = unescape(a.next())
		case "certificate", "subject", "fresh":
			if !verify {
				return l.errorf("%s belongs to verify", words[0])
			}
			err = c.verifyLine(s, words[0], a)
		default:
			return l.errorf("unknown word %q behind %s; there are key, uid, secret, derive, and behind verify certificate, subject, fresh and several", words[0], s.line.Words[0])
		}
		if err != nil {
			return err
		}
	}
	if s.certificate != nil && len(s.subjects) == 0 {
		return s.line.errorf("certificate without subject takes anybody's certificate of the same authority; add: subject cn <name>")
	}
	if s.certificate == nil && len(s.subjects) > 0 {
		return s.line.errorf("subject is of a certificate in the message, and none is named; add: certificate body.<member>")
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
	roleWord, id, err := roleAndID(a.line, a.words[0])
	if err != nil {
		return err
	}
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
	word := a.nextRaw()
	var err error
	if s.uid, err = c.parseTemplate(word, false); err != nil {
		return a.line.errorf("%w", err)
	}
	if s.uid == nil && word != "" { // an option that is not set
		s.uid = template{{literal: ""}}
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
