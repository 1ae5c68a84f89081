package recipe

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// secretForm is how a secret is written, and what becomes of it before it is a
// key.
type secretForm struct {
	decode string // "hex", "base64" or "" for its bytes
	digest func([]byte) []byte
	encode *encoding.Encoding // of the digest; nil is raw
}

// read reads "secret hex|base64" or "derive <digest> <encoding>|raw".
func (f *secretForm) read(word string, a *arguments) (err error) {
	if word == "secret" {
		f.decode, err = a.choice(word, "hex", "base64")
		return err
	}
	if f.digest, err = algorithm.DigestNamed(a.next()); err != nil {
		return a.line.errorf("%w", err)
	}
	if name := a.next(); name != "raw" {
		enc, err := encoding.Named(name)
		if err != nil {
			return a.line.errorf("derive takes a digest and raw or an encoding, as in: derive md5 hex")
		}
		f.encode = &enc
	}
	if !a.done() {
		return a.line.errorf("derive takes a digest and an encoding, as in: derive md5 hex")
	}
	return nil
}

// derive is the key that a secret stands for, or nil for the secret's own bytes.
func (f secretForm) derive() func([]byte) ([]byte, error) {
	if f.decode == "" && f.digest == nil {
		return nil
	}
	return func(secret []byte) ([]byte, error) {
		key, err := secret, error(nil)
		switch f.decode {
		case "hex":
			key, err = hex.DecodeString(string(secret))
		case "base64":
			key, err = decodeSecret(string(secret))
		}
		if err != nil {
			return nil, scheme.Failf(scheme.NeedsKeys, "the secret is not %s, which the recipe says it is", f.decode)
		}
		if f.digest != nil {
			if key = f.digest(key); f.encode != nil {
				key = []byte(f.encode.Encode(key))
			}
		}
		return key, nil
	}
}

// decodeSecret reads Base64 with or without "=" at its end, as some consoles
// leave it out.
func decodeSecret(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

// encryption is a statement encrypt, seal, decrypt or open.
type encryption struct {
	line     Line
	paths    []body.Path
	whole    bool // the body
	cipher   cipher.Cipher
	encoding encoding.Encoding
	params   cipher.Params // what does not depend on a message
	iv       template
	nonce    template
	aad      template
	form     secretForm
	role     keys.Role
	id       string
	into     *place
	before   bool // before verify

	envelope *envelope // of seal and open
	roles    []keys.Role
	implied  bool // of what the request did to the same member
}

// envelope is how a fresh key travels.
type envelope struct {
	cipher   cipher.Cipher
	encoding encoding.Encoding
	place    place
	kind     string // "ascii" or "bytes"
	size     int
	prefix   string
	id       string
}

// cipherLine reads "<cipher> <encoding>" behind the statement's members.
func (e *encryption) cipherLine(l Line, name, encodingName string) (err error) {
	if e.cipher, err = cipher.Named(name); err != nil {
		return l.errorf("%w", err)
	}
	if e.encoding, err = encoding.Named(encodingName); err != nil {
		return l.errorf("%w", err)
	}
	return nil
}

// encryptionMembers reads members, or body.
func (c *compiler) encryptionMembers(e *encryption, words []string) error {
	if len(words) == 0 {
		return e.line.errorf("%s takes members, written body.<path>, or body", e.line.Words[0])
	}
	if len(words) == 1 && words[0] == "body" {
		e.whole = true
		return nil
	}
	var err error
	e.paths, err = c.paths(e.line, words)
	return err
}

// encrypt compiles "encrypt <cipher> <encoding> <member>|body... { … }".
func (c *compiler) encrypt(b *requestBlock, l Line) (func(*sealing) error, error) {
	e, err := c.encryptLine(l)
	if err != nil {
		return nil, err
	}
	if !e.whole && len(e.paths) == 0 {
		return nil, nil // the option that lists the members lists none
	}
	if e.cipher.Kind() == cipher.Symmetric {
		e.role = keys.SharedSecret
	} else {
		e.role = keys.Encrypt
	}
	if err := c.encryptionBlock(e); err != nil {
		return nil, err
	}
	e.roles = []keys.Role{withID(e.role, e.id)}
	b.encrypted = append(b.encrypted, e)
	return func(s *sealing) error { return s.encrypt(e, nil) }, nil
}

func (c *compiler) encryptLine(l Line) (*encryption, error) {
	e := &encryption{line: l}
	if len(l.Words) < 4 {
		return nil, l.errorf("%s takes a cipher, an encoding and members, as in: %s rsa-oaep-sha1 base64 body.name", l.Words[0], l.Words[0])
	}
	words, err := c.words(Line{Words: l.Words[:3], At: l.At})
	if err != nil {
		return nil, err
	}
	if err := e.cipherLine(l, words[1], words[2]); err != nil {
		return nil, err
	}
	return e, c.encryptionMembers(e, l.Words[3:])
}

// seal compiles "seal <member>|body... <cipher> <encoding> { wrap … }".
func (c *compiler) seal(b *requestBlock, l Line) (func(*sealing) error, error) {
	e, err := c.sealLine(l)
	if err != nil {
		return nil, err
	}
	if err := c.encryptionBlock(e); err != nil {
		return nil, err
	}
	if e.envelope == nil {
		return nil, l.errorf("seal needs to know how its key travels; add: wrap rsa-pkcs1 base64 body.encryptKey")
	}
	e.roles = []keys.Role{withID(keys.Encrypt, e.envelope.id)}
	if c.p.sealsBack() {
		e.roles = append(e.roles, keys.Decrypt)
	}
	b.encrypted = append(b.encrypted, e)
	return func(s *sealing) error { return s.seal(e) }, nil
}

func (c *compiler) sealLine(l Line) (*encryption, error) {
	e := &encryption{line: l, role: keys.SharedSecret}
	if len(l.Words) < 4 {
		return nil, l.errorf("%s takes members, a cipher and an encoding, as in: %s body.data aes-256-ecb base64 { wrap rsa-pkcs1 base64 body.key }", l.Words[0], l.Words[0])
	}
	n := len(l.Words)
	words, err := c.words(Line{Words: l.Words[n-2:], At: l.At})
	if err != nil {
		return nil, err
	}
	if err := e.cipherLine(l, words[0], words[1]); err != nil {
		return nil, err
	}
	if e.cipher.Kind() != cipher.Symmetric {
		return nil, l.errorf("%s encrypts under a fresh key, for which %s is not made", l.Words[0], e.cipher.Name())
	}
	return e, c.encryptionMembers(e, l.Words[1:n-2])
}

func withID(role keys.Role, id string) keys.Role {
	if id == "" {
		return role
	}
	return role + keys.Role("@"+id)
}

// encryptionBlock compiles the lines behind encrypt, seal, decrypt and open.
func (c *compiler) encryptionBlock(e *encryption) error {
	lines, err := c.kept(e.line.Block)
	if err != nil {
		return err
	}
	if weak := e.cipher.Weak(); weak != "" {
		c.warn("%s %s: %s", e.line.Words[0], e.cipher.Name(), weak)
	}
	var keyKind string
	var keySize int
	var prefix string
	for _, l := range lines {
		words, err := c.words(l)
		if err != nil {
			return err
		}
		a := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
		switch words[0] {
		case "key":
			if a.peek() == "ascii" || a.peek() == "bytes" {
				keyKind = a.next()
				keySize, err = strconv.Atoi(a.next())
				if err != nil || keySize < 8 || keySize > 64 {
					return l.errorf("key %s takes a number of bytes, as in: key ascii 32", keyKind)
				}
			} else {
				err = e.key(a)
			}
		case "padding":
			e.params.Padding, err = a.choice("padding", cipher.PadPKCS7, cipher.PadZero, cipher.PadSpace, cipher.PadNone)
		case "prefix":
			prefix = unescape(a.next())
		case "order":
			e.params.Order, err = a.choice("order", "c1c3c2", "c1c2c3", "asn1")
		case "iv":
			switch a.peek() {
			case "zero":
				e.params.IV = make([]byte, e.cipher.IVSize())
			case "prepended":
				e.params.IVPrepended = true
			default:
				e.iv, err = c.cipherValue(a)
			}
		case "nonce":
			e.nonce, err = c.cipherValue(a)
		case "aad":
			e.aad, err = c.cipherValue(a)
		case "secret", "derive":
			err = e.form.read(words[0], a)
		case "into":
			err = e.readInto(a)
		case "wrap":
			err = e.wrap(a)
		default:
			return l.errorf("unknown word %q behind %s; there are key, padding, prefix, order, iv, nonce, aad, secret, derive, into and wrap", words[0], e.line.Words[0])
		}
		if err != nil {
			return err
		}
	}
	if e.envelope != nil && e.envelope.place.kind == "body" && contains(e.paths, e.envelope.place.path) {
		return e.line.errorf("%s names %s, in which its key travels; name a member that holds plaintext", e.line.Words[0], e.envelope.place)
	}
	if e.envelope != nil {
		e.envelope.prefix = prefix
		e.envelope.kind, e.envelope.size = keyKind, keySize
		if keyKind == "" {
			e.envelope.kind, e.envelope.size = "bytes", e.cipher.KeySize()
			if e.envelope.size == 0 {
				return e.line.errorf("how long the fresh key is is not known; add: key bytes 16, or key ascii 32")
			}
		}
	} else if keyKind != "" || prefix != "" {
		return e.line.errorf("key %s and prefix belong to a fresh key, which seal and open have", keyKind)
	}
	return e.check()
}

// check refuses options that the cipher does not have.
func (e *encryption) check() error {
	p := e.params
	if e.nonce != nil {
		p.Nonce = []byte("x")
	}
	if e.aad != nil {
		p.AAD = []byte("x")
	}
	if e.iv != nil {
		p.IV = []byte("x")
	}
	if err := e.cipher.Check(p); err != nil {
		return e.line.errorf("%w", err)
	}
	if e.cipher.IVSize() > 0 && e.iv == nil && e.nonce == nil && e.params.IV == nil && !e.params.IVPrepended {
		return e.line.errorf("%s needs an iv or a nonce; add: iv prepended, iv zero, iv <value> or nonce <value>", e.cipher.Name())
	}
	return nil
}

// key reads "key <role or role@id>".
func (e *encryption) key(a *arguments) error {
	word, err := a.one("key takes a role, such as secret@aes, encrypt@2 or decrypt")
	if err != nil {
		return err
	}
	role, id, _ := strings.Cut(word, "@")
	want := []string{string(keys.SharedSecret)}
	if e.cipher.Kind() == cipher.Asymmetric {
		want = []string{string(keys.Encrypt), string(keys.Decrypt), string(keys.Verify), string(keys.Sign)}
	}
	if !slices.Contains(want, role) {
		return a.line.errorf("%s takes a key of the role %s, not %s", e.cipher.Name(), strings.Join(want, " or "), role)
	}
	e.role, e.id = keys.Role(role), id
	return nil
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

// fill fills in what depends on the message.
func (e *encryption) fill(env *env) (cipher.Params, error) {
	p := e.params
	for _, v := range []struct {
		from template
		to   *[]byte
	}{{e.iv, &p.IV}, {e.nonce, &p.Nonce}, {e.aad, &p.AAD}} {
		if v.from != nil {
			secretEnv := *env
			secretEnv.secret = env.keys.Secret
			text, err := v.from.appendTo(nil, &secretEnv)
			if err != nil {
				return p, err
			}
			*v.to = text
		}
	}
	return p, nil
}

// symmetricKey is the key that the key set's secret stands for.
func (e *encryption) symmetricKey(set *keys.Set) ([]byte, *keys.Secret, error) {
	secret := set.NamedSecret(e.id)
	if secret == nil {
		return nil, nil, scheme.Failf(scheme.NeedsKeys, "%w", set.Need(withID(keys.SharedSecret, e.id)))
	}
	derive := e.form.derive()
	if derive == nil {
		return secret.Bytes(), secret, nil
	}
	key, err := derive(secret.Bytes())
	return key, secret, err
}

// encrypt encrypts members, or the payload as a whole, with a key of the key set,
// or with a fresh one.
func (s *sealing) encrypt(e *encryption, fresh []byte) error {
	if s.m.Payload == nil && s.whole == nil {
		return nil
	}
	p, err := e.fill(&s.env)
	if err != nil {
		return err
	}
	encrypt, err := e.encrypter(s, p, fresh)
	if err != nil {
		return err
	}
	if e.whole {
		payload, err := s.payload()
		if err != nil {
			return err
		}
		ciphertext, err := encrypt(payload)
		if err != nil {
			return scheme.Failf(scheme.Invalid, "encrypting the body: %w", err)
		}
		s.whole = []byte(e.encoding.Encode(ciphertext))
		return nil
	}
	for _, path := range e.paths {
		var failed error
		eachPath(s.m.Payload, path, func(at body.Path, r body.Ref) {
			m := r.Member()
			if m.IsEmpty() || failed != nil {
				return
			}
			ciphertext, err := encrypt(m.Text())
			if err != nil {
				failed = scheme.Failf(scheme.Invalid, "encrypting %s: %w", at, err)
				return
			}
			if m.Kind() == body.String {
				s.draft.Memory.Texts = append(s.draft.Memory.Texts, at)
			} else {
				s.draft.Memory.JSON = append(s.draft.Memory.JSON, at)
			}
			r.SetString([]byte(e.encoding.Encode(ciphertext)))
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// encrypter is the function that encrypts one text.
func (e *encryption) encrypter(s *sealing, p cipher.Params, fresh []byte) (func([]byte) ([]byte, error), error) {
	if fresh != nil {
		return func(text []byte) ([]byte, error) { return e.cipher.Encrypt(fresh, text, p) }, nil
	}
	if e.cipher.Kind() == cipher.Symmetric {
		key, secret, err := e.symmetricKey(s.keys)
		if err != nil {
			return nil, err
		}
		used := false
		return func(text []byte) ([]byte, error) {
			if !used {
				used = true
				s.draft.Used(secret.Fingerprint)
			}
			return e.cipher.Encrypt(key, text, p)
		}, nil
	}
	used := false
	return func(text []byte) ([]byte, error) {
		public, fingerprint, err := e.public(s.keys)
		if err != nil {
			return nil, err
		}
		if !used {
			used = true
			s.draft.Used(fingerprint)
		}
		return e.cipher.EncryptTo(public, text, p)
	}, nil
}

// public is the key that an asymmetric cipher encrypts for.
func (e *encryption) public(set *keys.Set) (crypto.PublicKey, string, error) {
	if e.role == keys.Verify {
		if all := set.VerifyKeys(e.id); len(all) > 0 {
			return all[0].Key, all[0].Fingerprint, nil
		}
		return nil, "", fmt.Errorf("%w", set.Need(withID(e.role, e.id)))
	}
	key := set.EncryptKey(e.id)
	if key == nil {
		return nil, "", fmt.Errorf("%w", set.Need(withID(keys.Encrypt, e.id)))
	}
	return key.Key, key.Fingerprint, nil
}

// seal encrypts under a fresh key, and that key for the peer. Where no member is
// there to be encrypted there is no envelope.
func (s *sealing) seal(e *encryption) error {
	if s.m.Payload == nil || !e.whole && !hasAny(s.m.Payload, e.paths) {
		return nil
	}
	v := e.envelope
	public := s.keys.EncryptKey(v.id)
	if public == nil {
		return scheme.Failf(scheme.NeedsKeys, "%w", s.keys.Need(withID(keys.Encrypt, v.id)))
	}
	key := cipher.NewKey(v.kind, v.size)
	if err := s.encrypt(e, key); err != nil {
		return err
	}
	wrapped, err := v.cipher.EncryptTo(public.Key, append([]byte(v.prefix), key...), cipher.Params{Order: e.params.Order})
	if key, ok := public.Key.(*rsa.PublicKey); ok && err == nil && len(wrapped) > key.Size() {
		err = fmt.Errorf("wrapping the symmetric key with %s: it and its prefix are longer than one block", public.Origin)
	}
	if err != nil {
		return &scheme.Error{Reason: scheme.Signing, Detail: "the request could not be encrypted; the log says which key failed", Cause: err}
	}
	text := v.encoding.Encode(wrapped)
	s.draft.Used(public.Fingerprint)
	s.draft.Memory.Envelopes = append(s.draft.Memory.Envelopes, scheme.Envelope{Wrapped: text, Key: key})
	return s.put(v.place, text, false)
}

// errOpen is why something did not open. Its text is not shown.
var errOpen = errors.New("it does not open")

// decrypters are the functions that may decrypt a text, one for each key.
func (e *encryption) decrypters(env *env, in *scheme.Incoming) ([]decrypter, error) {
	p, err := e.fill(env)
	if err != nil {
		return nil, err
	}
	switch {
	case e.envelope != nil:
		return e.opened(env, in, p)
	case e.cipher.Kind() == cipher.Symmetric:
		key, secret, err := e.symmetricKey(env.keys)
		if err != nil {
			return nil, err
		}
		return []decrypter{{secret.Fingerprint, func(text []byte) ([]byte, error) { return e.cipher.Decrypt(key, text, p) }}}, nil
	}
	if e.role == keys.Sign {
		key := env.keys.SignKey(e.id)
		if key == nil || key.Decrypter == nil {
			return nil, scheme.Failf(scheme.NeedsKeys, "%w", env.keys.Need(withID(keys.Sign, e.id)))
		}
		return []decrypter{{key.Fingerprint, func(text []byte) ([]byte, error) { return e.cipher.DecryptWith(key.Decrypter, text, p) }}}, nil
	}
	var all []decrypter
	for _, key := range env.keys.DecryptKeys(e.id) {
		all = append(all, decrypter{key.Fingerprint, func(text []byte) ([]byte, error) { return e.cipher.DecryptWith(key.Decrypter, text, p) }})
	}
	if len(all) == 0 {
		return nil, scheme.Failf(scheme.NeedsKeys, "%w", env.keys.Need(withID(keys.Decrypt, e.id)))
	}
	return all, nil
}

// decrypter decrypts with one key.
type decrypter struct {
	fingerprint string
	decrypt     func([]byte) ([]byte, error)
}

// opened are the decrypters of an envelope. One that echoes the request's is
// opened with the request's key.
func (e *encryption) opened(env *env, in *scheme.Incoming, p cipher.Params) ([]decrypter, error) {
	v := e.envelope
	values, err := v.place.values(env.m, env.fields())
	if err != nil || len(values) != 1 {
		return nil, errOpen
	}
	for _, known := range in.Memory().Envelopes {
		if known.Wrapped == values[0] {
			return []decrypter{{"", func(text []byte) ([]byte, error) { return e.cipher.Decrypt(known.Key, text, p) }}}, nil
		}
	}
	wrapped, err := v.encoding.Decode([]byte(values[0]))
	if err != nil {
		return nil, errOpen
	}
	var all []decrypter
	for _, private := range env.keys.DecryptKeys(v.id) {
		all = append(all, decrypter{private.Fingerprint, func(text []byte) ([]byte, error) {
			plain, err := v.cipher.DecryptWith(private.Decrypter, wrapped, cipher.Params{Order: e.params.Order})
			if err != nil {
				return nil, errOpen
			}
			key, ok := strings.CutPrefix(string(plain), v.prefix)
			if !ok || !cipher.ValidKey(v.kind, v.size, []byte(key)) {
				return nil, errOpen
			}
			return e.cipher.Decrypt([]byte(key), text, p)
		}})
	}
	if len(all) == 0 {
		return nil, scheme.Failf(scheme.NeedsKeys, "%w", env.keys.Need(withID(keys.Decrypt, v.id)))
	}
	return all, nil
}

func validUTF8(text string) bool { return utf8.ValidString(text) }
