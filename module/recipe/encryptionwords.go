package recipe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
)

// key reads "key <role or role@id>".
func (e *encryption) key(a *arguments) error {
	word, err := a.one("key takes a role, such as secret@aes, encrypt@2 or decrypt")
	if err != nil {
		return err
	}
	role, id, err := roleAndID(a.line, word)
	if err != nil {
		return err
	}
	want := []string{string(keys.SharedSecret)}
	switch incoming := e.line.Words[0] == "decrypt" || e.line.Words[0] == "open"; {
	case e.cipher.Kind() != cipher.Asymmetric:
	case incoming: // the merchant's private keys
		want = []string{string(keys.Decrypt), string(keys.Sign)}
	default: // the provider's public keys
		want = []string{string(keys.Encrypt), string(keys.Verify)}
	}
	if !slices.Contains(want, role) {
		return a.line.errorf("%s %s takes a key of the role %s, not %s", e.line.Words[0], e.cipher.Name(), strings.Join(want, " or "), role)
	}
	e.role, e.id = keys.Role(role), id
	return nil
}

// roleAndID cuts "role@id".
func roleAndID(l Line, word string) (role, id string, err error) {
	role, id, _ = strings.Cut(word, "@")
	if written := l.Words[len(l.Words)-1]; strings.HasSuffix(written, "@") { // not an option that is not set
		return "", "", l.errorf("key %s names no key behind @; write its id, or %s alone", written, role)
	}
	return role, id, nil
}

// cipherValue reads a value of iv, nonce or aad. A secret may stand in it: it is
// not sent.
func (c *compiler) cipherValue(a *arguments) (template, error) {
	if len(a.words) != 1 {
		return nil, a.line.errorf("%s takes one value", a.line.Words[0])
	}
	tpl, err := c.parseTemplate(a.nextRaw(), false)
	if err != nil {
		return nil, a.line.errorf("%w", err)
	}
	if err := c.noSignature(a.line, tpl); err != nil {
		return nil, err
	}
	if tpl == nil {
		tpl = template{{literal: ""}}
	}
	return tpl, nil
}

func (e *encryption) readInto(a *arguments) error {
	word, err := a.one("into takes a member, as in: into body.resource")
	if err != nil {
		return err
	}
	if word == "body" {
		e.into = &place{kind: "body"}
		return nil
	}
	path, err := bodyPath(word)
	if err != nil {
		return a.line.errorf("into: %w", err)
	}
	e.into = &place{kind: "body", path: path}
	return nil
}

// wrap reads "wrap <rsa> <encoding> <place> [key encrypt@id]".
func (e *encryption) wrap(a *arguments) (err error) {
	v := &envelope{}
	if v.cipher, err = cipher.Named(a.next()); err != nil {
		return a.line.errorf("%w", err)
	}
	if v.cipher.Kind() != cipher.Asymmetric {
		return a.line.errorf("%s is keyed with a secret; a fresh key travels under rsa-pkcs1, rsa-oaep-sha1, rsa-oaep-sha256 or sm2", v.cipher.Name())
	}
	if v.encoding, err = encoding.Named(a.next()); err != nil {
		return a.line.errorf("%w", err)
	}
	if v.place, err = parsePlace(a.next()); err != nil {
		return a.line.errorf("%w", err)
	}
	if v.place.kind == partKind && e.line.Words[0] == "seal" {
		return a.line.errorf("%s is cut out of what came in, and a request has none", v.place)
	}
	if a.peek() == "key" {
		a.next()
		_, v.id, _ = strings.Cut(a.next(), "@")
	}
	if !a.done() {
		return a.line.errorf("wrap takes a cipher, an encoding and a place, as in: wrap rsa-pkcs1 base64 body.encryptKey")
	}
	e.envelope = v
	return nil
}

func withID(role keys.Role, id string) keys.Role {
	if id == "" {
		return role
	}
	return role + keys.Role("@"+id)
}

// readIVValue reads "iv <value> [pad <n>]": zeros, the digit, stand behind a value that
// is shorter.
func (c *compiler) readIVValue(e *encryption, a *arguments) (template, error) {
	if len(a.words) == 3 && a.words[1] == "pad" {
		n, err := strconv.Atoi(a.words[2])
		if err != nil || n < 1 || n > 64 {
			return nil, a.line.errorf("pad takes a number of characters, as in: iv {option.uid} pad 16")
		}
		e.ivPad, a.words, a.raw = n, a.words[:1], a.raw[:1]
	}
	return c.cipherValue(a)
}
