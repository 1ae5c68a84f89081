package recipe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// verify compiles "verify <source> <algorithm> <encoding> <text> { … }".
func (c *compiler) verify(b *incomingBlock, l Line) error {
	if len(b.after) > 0 {
		return l.errorf("verify stands below %s: nothing is decrypted before it has verified; move verify up, or write %s … before verify where the protocol signs the plaintext", b.after[0].line.Words[0], b.after[0].line.Words[0])
	}
	s, rest, err := c.signatureLine(l, b.kind)
	if err != nil {
		return err
	}
	if rest, err = c.orText(s, l, rest); err != nil {
		return err
	}
	if err := c.written(s, l, rest); err != nil {
		return err
	}
	if s.asBase64 {
		return l.errorf("as … base64 belongs to sign")
	}
	for _, p := range s.as {
		if p.name != "" && p.name != "signature" {
			return l.errorf("behind the as of verify stands only text, and {signature}")
		}
	}
	b.verifies = append(b.verifies, s)
	if err := c.signatureBlock(s); err != nil {
		return err
	}
	return c.checkValue(l, slices.Concat(s.key, s.uid, s.freshValue()), b.kind)
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
		s.fresh = &freshness{value, layout, window, a.line}
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

// incoming returns the signature of a message that came in: one of the values at its
// place.
func (s *signature) incoming(e *env, values []string) (scheme.Signature, error) {
	if values = s.split(values); len(values) > maxSignatures {
		return scheme.Signature{}, scheme.Failf(scheme.BadSignature, "%s holds more than %d signatures", s.place, maxSignatures)
	}
	if len(values) == 0 {
		return scheme.Signature{}, scheme.Failf(scheme.BadSignature, "no signature in %s is written as the recipe says", s.place)
	}
	made, err := s.make(e)
	if err != nil {
		return made, err
	}
	made.Values = values
	if s.or != nil {
		made.Or = s.other(e)
	}
	if f := e.p.block(e.m.Kind).format.Kind; s.place.kind == "body" && (f == message.Form || f == message.Query) && s.encoding.Name() == "base64" {
		for i, value := range values { // Base64 has no blank: a sender left a + unescaped, which a form reads as one
			made.Values[i] = strings.ReplaceAll(value, " ", "+")
		}
	}
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

// maxSignatures bounds the work for a message: each signature is verified with each
// key.
const maxSignatures = 16

// split returns the signatures in what stands at the place of one. Those that are written
// otherwise, such as those of another version, are left out.
func (s *signature) split(values []string) []string {
	if s.several != "" {
		var all []string
		for _, value := range values {
			all = append(all, strings.Split(value, s.several)...)
		}
		values = all
	}
	if s.as == nil {
		return values
	}
	var found []string
	for _, value := range values {
		if signature, ok := bind(s.as, value, &env{}); ok && signature != "" {
			found = append(found, signature)
		}
	}
	return found
}

// roles returns the roles that a signature needs.
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

// reads returns the members that the statement reads by name.
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
