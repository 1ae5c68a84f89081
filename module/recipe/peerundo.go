package recipe

import (
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// undoing is the state of Receive for one request.
type undoing struct {
	*env
	in     *scheme.Incoming
	block  *requestBlock
	back   *incomingBlock
	edited bool // a part of the payload was undone, so that its bytes are written anew
	opened bool // the payload was decrypted as a whole: what was signed before is the payload
}

// undo verifies what a statement has signed, or decrypts what it has encrypted.
func (u *undoing) undo(s statement) error {
	switch {
	case s.sign != nil:
		return u.verify(s.sign)
	case s.token != nil:
		return u.token(s.token)
	case s.encoded != nil:
		return u.decode(s.encoded)
	case s.encryption != nil:
		u.edited = true
		back := mirror(s.encryption)
		back.paths = s.encryption.paths
		if s.encryption.whole && (u.m.Inner == nil && len(u.m.Wire) == 0) {
			return nil
		}
		u.opened = u.opened || s.encryption.whole
		return u.back.decrypt(u.env, u.in, back)
	}
	return nil
}

func (u *undoing) verify(s *signature) error {
	values, err := s.place.values(u.m, u.fields())
	if err != nil {
		return invalid(err)
	}
	if len(values) == 0 {
		return scheme.Failf(scheme.Unsigned, "the request has no %s", strings.TrimPrefix(s.place.String(), "body."))
	}
	if s.as != nil {
		bound, err := u.bindSign(s, values[0])
		if err != nil {
			return err
		}
		values = []string{bound}
	}
	switch {
	case s.place.kind == "body":
		u.m.Payload.Remove(s.place.path)
		u.edited = true
		if u.block.inQuery() { // the query was signed before the signature was put into it
			query, err := u.payload()
			if err != nil {
				return err
			}
			u.m.Query = string(query)
		}
	case s.place.kind == "form" && u.m.Form != nil:
		u.m.Form.Remove(body.Path{s.place.name})
	}
	u.bytes = u.payload
	made, err := s.make(u.env)
	if err != nil {
		return err
	}
	made.Values = values
	return scheme.Verify(*u.in, made)
}

// payload returns the bytes that the recipe has signed as {body}.
func (u *undoing) payload() ([]byte, error) {
	if f := u.block.format; f.Wrap != nil && u.m.Form != nil && !u.opened {
		if !u.edited && !u.m.Form.Edited() {
			return u.m.Wire, nil
		}
		text := u.m.Inner
		if u.edited && u.m.Payload != nil {
			var err error
			if text, err = f.Write(u.m.Payload); err != nil {
				return nil, err
			}
		}
		return f.WriteWrapped(u.m.Form, text)
	}
	switch {
	case u.edited && u.m.Payload != nil:
		return u.block.format.Write(u.m.Payload)
	case u.m.Inner != nil:
		return u.m.Inner, nil
	case u.block.format.Kind == message.Query && u.block.format.Wrap == nil:
		return []byte(u.m.Query), nil
	}
	return u.m.Wire, nil
}

// token compares a secret that a request sends with the key set's.
func (u *undoing) token(t *assignment) error {
	want, err := t.value.text(u.env)
	if err != nil {
		return err
	}
	got, _ := u.textAt(t.place)
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return scheme.Failf(scheme.BadSignature, "%s is not the token that the key set holds", t.place)
	}
	if t.place.kind == "body" { // it is a secret, and was not there before
		u.m.Payload.Remove(t.place.path)
		u.edited = true
	}
	return nil
}

// textAt returns what stands at a place of the request, and whether there is something.
func (u *undoing) textAt(p place) (string, bool) {
	tree, path := u.m.Payload, p.path
	switch p.kind {
	case "header":
		value, err := u.m.HeaderValue(p.name)
		return value, err == nil && value != ""
	case "query":
		value, ok, err := u.m.Param(p.name)
		return value, ok && err == nil
	case "form":
		tree, path = u.fields(), body.Path{p.name}
	}
	if tree == nil {
		return "", false
	}
	m, ok := tree.Get(path)
	if !ok || m.IsNull() || !m.IsScalar() {
		return "", false
	}
	return string(m.Text()), true
}

// bindAll reads the fresh values of the request: from the places of signatures, from
// targets of set, and last from targets of default, where the application may have
// given another value.
func (u *undoing) bindAll() error {
	for _, s := range u.block.statements {
		switch {
		case s.sign != nil && s.sign.as != nil:
			if text, ok := u.textAt(s.sign.place); ok {
				if _, err := u.bindSign(s.sign, text); err != nil {
					return err
				}
			}
		case s.set != nil && !s.set.isDefault && slices.ContainsFunc(u.p.flat(s.set.value), isFresh):
			if text, ok := u.textAt(s.set.place); ok {
				if _, ok := bind(u.p.flat(s.set.value), text, u.env); !ok {
					return scheme.Failf(scheme.BadSignature, "%s is not what the recipe sets", s.set.place)
				}
			}
		}
	}
	for _, s := range u.block.statements {
		if s.set == nil || !s.set.isDefault {
			continue
		}
		text, ok := u.textAt(s.set.place)
		guess := &env{p: u.p, fresh: make(map[string]string)}
		if !ok {
			continue
		}
		if _, ok := bind(u.p.flat(s.set.value), text, guess); !ok {
			continue
		}
		for name, value := range guess.fresh {
			if _, known := u.fresh[name]; !known {
				u.fresh[name] = value
			}
		}
	}
	return nil
}

// bindSign reads a text into which a signature was written, and returns the
// signature.
func (u *undoing) bindSign(s *signature, text string) (string, error) {
	refused := scheme.Failf(scheme.BadSignature, "%s is not written as the recipe says", s.place)
	if s.asBase64 {
		plain, err := encoding.DecodeBase64(text)
		if err != nil {
			return "", refused
		}
		text = string(plain)
	}
	signature, ok := bind(u.p.flat(s.as), text, u.env)
	if !ok {
		return "", refused
	}
	return signature, nil
}

// bind parses a text that a template has made: it returns the value of {signature}, and
// stores the values of times, nonces and serials in e. A placeholder ends where the
// literal text after it begins.
func bind(t template, text string, e *env) (signature string, ok bool) {
	for i, p := range t {
		if p.name == "" {
			if text, ok = strings.CutPrefix(text, p.literal); !ok {
				return "", false
			}
			continue
		}
		value := text
		if i+1 < len(t) {
			if t[i+1].name != "" {
				return "", false // nothing separates two placeholders
			}
			n := strings.Index(text, t[i+1].literal)
			if n < 0 {
				return "", false
			}
			value = text[:n]
		}
		text = text[len(value):]
		switch p.name {
		case "signature":
			signature = value
		case "nonce", "uuid", "time", "sign", "encrypt":
			name := p.name + "." + p.arg
			if known, twice := e.fresh[name]; twice && known != value {
				return "", false
			}
			e.fresh[name] = value
		}
	}
	return signature, text == ""
}

// mirrored returns what one side calls a key of the other.
func mirrored(role keys.Role) keys.Role {
	switch role {
	case keys.Sign:
		return keys.Verify
	case keys.Verify:
		return keys.Sign
	case keys.Encrypt:
		return keys.Decrypt
	case keys.Decrypt:
		return keys.Encrypt
	}
	return role
}

// mirror returns an encryption as the other side undoes it, or does what is undone here.
func mirror(e *encryption) *encryption {
	other := *e
	other.role = mirrored(e.role)
	return &other
}
