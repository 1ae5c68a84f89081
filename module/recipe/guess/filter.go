package guess

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// A candidate is a compiled recipe, which takes a hundred times as long to make and to
// run as a digest. So the text of the first message is built once for all the candidates
// that begin with it, and changed and compared here. What may fit is then compiled.

// built is a text of the first message without its changes.
type built struct {
	bytes   []byte
	refused bool // the recipe refuses the message
	unknown bool // only the whole rule tells
}

// build returns the text of the first message that a rule begins with.
func (s *search) build(p place, t text) built {
	if t.keyed {
		return built{unknown: true}
	}
	base := Rule{Kind: s.kind, Format: s.format, Place: p.name, Algorithm: "hmac-sha256", Encoding: "hex", Text: slices.Concat([][]string{t.builder}, t.steps), Inner: t.inner}
	program, err := recipe.Compile("guess", base.probe(), nil)
	if err != nil {
		return built{unknown: true}
	}
	m := *s.messages[0]
	if m.Kind == message.Request {
		m.Kind = message.Notification
	}
	made, err := program.Canonical(&m)
	return built{bytes: made, refused: err != nil}
}

// fill puts the secrets into a template, and reports whether nothing else stood in it.
func (s *search) fill(template string) (string, bool) {
	if strings.Contains(template, "{secret") {
		template = strings.ReplaceAll(template, "{secret}", string(s.secret("")))
		for _, name := range s.namedSecrets() {
			template = strings.ReplaceAll(template, "{secret."+name+"}", string(s.secret(name)))
		}
	}
	return strings.ReplaceAll(template, `\n`, "\n"), !strings.ContainsAny(template, "{\\")
}

// secret returns the secret of a name, or nil.
func (s *search) secret(name string) []byte {
	if all := s.set.Secrets(name); len(all) > 0 {
		return all[0].Bytes()
	}
	return nil
}

// oneSecret reports whether no secret has a second one beside it.
func (s *search) oneSecret() bool {
	return !slices.ContainsFunc(append(s.namedSecrets(), ""), func(name string) bool { return len(s.set.Secrets(name)) > 1 })
}

// changed applies the steps of a rule to a text. It returns false where only the recipe
// can.
func (s *search) changed(made []byte, steps [][]string) ([]byte, bool) {
	made = slices.Clone(made)
	for _, words := range steps {
		var change canonical.Change
		var err error
		switch words[0] {
		case "append", "prepend":
			filled, ok := s.fill(words[1])
			if !ok {
				return nil, false
			}
			if made = append(made, filled...); words[0] == "prepend" {
				made = append([]byte(filled), made[:len(made)-len(filled)]...)
			}
			continue
		case "refuse":
			continue // what it refuses, the recipe refuses
		case "lower":
			change = canonical.Lower
		case "upper":
			change = canonical.Upper
		case "url":
			change, err = canonical.URL(words[1])
		case "charset":
			change, err = canonical.Charset(words[1])
		default:
			var digest func([]byte) []byte
			var enc encoding.Encoding
			if digest, err = algorithm.DigestNamed(words[0]); err == nil {
				enc, err = encoding.Named(words[1])
				change = func(text []byte) ([]byte, error) { return []byte(enc.Encode(digest(text))), nil }
			}
		}
		if err != nil {
			return nil, false
		}
		if made, err = change(made); err != nil {
			return nil, false
		}
	}
	return made, true
}

// possible reports whether the signature of the first message may be that of a rule.
func (s *search) possible(p place, b built, a algorithm.Algorithm, r Rule, changes [][]string) bool {
	switch {
	case b.refused:
		return false
	case b.unknown, !s.single:
		return true
	}
	text, ok := s.changed(b.bytes, changes)
	if !ok {
		return true
	}
	if a.Kind() == algorithm.Public {
		return s.verifies(p, a, text)
	}
	sum := a.Sum(secretAs(r.Secret, s.secret("")), text)
	return slices.ContainsFunc(p.values, func(value []byte) bool { return bytes.Equal(value, sum) })
}

// verifies reports whether a public key verifies a text. Texts that have been tried
// are remembered.
func (s *search) verifies(p place, a algorithm.Algorithm, text []byte) bool {
	h := sha256.New()
	for _, part := range []string{p.name, a.Name(), ""} {
		h.Write([]byte(part + "\x00"))
	}
	h.Write(text)
	id := [sha256.Size]byte(h.Sum(nil))
	known, tried := s.verified[id]
	if !tried {
		for _, key := range s.set.VerifyKeys("") {
			known = known || slices.ContainsFunc(p.values, func(value []byte) bool { return a.Verify(key.Key, text, value, algorithm.Options{}) })
		}
		s.verified[id] = known
	}
	return known
}

// secretAs reads a secret that is written in hexadecimal or Base64, or returns it as it
// is.
func secretAs(form string, secret []byte) []byte {
	var raw []byte
	var err error
	switch form {
	case "hex":
		raw, err = hex.DecodeString(string(secret))
	case "base64":
		raw, err = base64.StdEncoding.DecodeString(string(secret))
	default:
		return secret
	}
	if err != nil || len(raw) < 8 {
		return nil
	}
	return raw
}

// secretForms returns how the secret of a MAC may be written.
func (s *search) secretForms(a algorithm.Algorithm) []string {
	forms := []string{""}
	for _, form := range []string{"hex", "base64"} {
		if a.Kind() == algorithm.MAC && secretAs(form, s.secret("")) != nil {
			forms = append(forms, form)
		}
	}
	return forms
}
