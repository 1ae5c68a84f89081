package recipe

import (
	"crypto"
	"crypto/rsa"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

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
	if err := c.checkValue(l, slices.Concat(e.iv, e.nonce, e.aad), message.Request); err != nil {
		return nil, err
	}
	if e.repeats() {
		c.warn("%s %s: its nonce is the same for every request under the same key, so that two ciphertexts show their plaintexts; use iv prepended, or a fresh nonce such as {nonce.12}, if the provider takes it", l.Words[0], e.cipher.Name())
	}
	e.roles = []keys.Role{withID(e.role, e.id)}
	b.encrypts(e)
	return func(s *sealing) error { return s.encrypt(e, nil) }, nil
}

// repeats reports whether a nonce of GCM has no part that differs for each request.
func (e *encryption) repeats() bool {
	from := e.nonce
	if from == nil {
		from = e.iv
	}
	return strings.HasSuffix(e.cipher.Name(), "-gcm") && !e.params.IVPrepended && !slices.ContainsFunc(from, func(p part) bool {
		return p.name != "" && p.name != "secret"
	})
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
	if err := c.checkValue(l, slices.Concat(e.iv, e.nonce, e.aad), message.Request); err != nil {
		return nil, err
	}
	e.roles = []keys.Role{withID(keys.Encrypt, e.envelope.id), keys.Decrypt} // an answer may have a new envelope
	b.encrypts(e)
	return func(s *sealing) error { return s.seal(e) }, nil
}

func (b *requestBlock) encrypts(e *encryption) {
	e.again = slices.ContainsFunc(b.encrypted, func(earlier *encryption) bool {
		return slices.ContainsFunc(e.paths, func(path body.Path) bool { return meetsAny(earlier.paths, path) })
	})
	b.encrypted = append(b.encrypted, e)
	b.statements = append(b.statements, statement{encryption: e})
}

// fill fills in what depends on the message.
func (e *encryption) fill(env *env) (cipher.Params, error) {
	p := e.params
	before := env.signing
	env.signing = true // what is not there is refused, and not read as nothing
	defer func() { env.signing = before }()
	for _, v := range []struct {
		from template
		to   *[]byte
	}{{e.iv, &p.IV}, {e.nonce, &p.Nonce}, {e.aad, &p.AAD}} {
		if v.from != nil {
			text, err := v.from.appendTo(nil, env)
			if err != nil {
				return p, err
			}
			if v.to == &p.IV && e.ivCoded {
				text, err = e.ivCoding.Decode(text)
				switch {
				case err != nil && v.from.has("secret"):
					return p, scheme.Failf(scheme.NeedsKeys, "the iv is not in %s, which the recipe says it is", e.ivCoding.Name())
				case err != nil:
					return p, errOpen
				}
			}
			*v.to = text
		}
	}
	for len(p.IV) < e.ivPad {
		p.IV = append(p.IV, '0')
	}
	return p, nil
}

// symmetricKey returns the key that is made of the key set's secret.
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
	return inTexts(s.m.Payload, s.block.strings, e.paths, true, func() error { return s.encryptMembers(e, encrypt) })
}

func (s *sealing) encryptMembers(e *encryption, encrypt func([]byte) ([]byte, error)) error {
	for _, path := range e.paths {
		var failed error
		eachPath(s.m.Payload, path, func(outer body.Path, r body.Ref) {
			m := r.Member()
			if m.IsEmpty() || failed != nil {
				return
			}
			ciphertext, err := encrypt(m.Text())
			if err != nil {
				failed = scheme.Failf(scheme.Invalid, "encrypting %s: %w", body.ShowName(r.In(outer).String()), err)
				return
			}
			at := r.In(outer)
			switch memory := &s.draft.Memory; {
			case e.again && (memory.Texts.Has(at) || memory.JSON.Has(at)): // not what the application sent
			case m.Kind() == body.String:
				memory.Texts.Add(at)
			default:
				memory.JSON.Add(at)
			}
			r.SetString([]byte(e.encoding.Encode(ciphertext)))
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// encrypter returns the function that encrypts one text.
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

// public returns the key that an asymmetric cipher encrypts for.
func (e *encryption) public(set *keys.Set) (crypto.PublicKey, string, error) {
	if e.role == keys.Verify {
		if all := set.VerifyKeys(e.id); len(all) > 0 {
			return all[0].Key, all[0].Fingerprint, nil
		}
		return nil, "", i18n.Errorf("%w", set.Need(withID(e.role, e.id)))
	}
	key := set.EncryptKey(e.id)
	if key == nil {
		return nil, "", i18n.Errorf("%w", set.Need(withID(keys.Encrypt, e.id)))
	}
	return key.Key, key.Fingerprint, nil
}

// seal encrypts under a fresh key, and that key for the peer. Where no member is
// there to be encrypted there is no envelope.
func (s *sealing) seal(e *encryption) error {
	return inTexts(s.m.Payload, s.block.strings, e.paths, true, func() error { return s.sealMembers(e) })
}

func (s *sealing) sealMembers(e *encryption) error {
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
		err = i18n.Errorf("it and its prefix are longer than one block")
	}
	if err != nil {
		return &scheme.Error{
			Reason: scheme.Signing, Detail: i18n.T("the request could not be encrypted; the log says which key failed"),
			Cause: i18n.Errorf("wrapping the symmetric key with %s: %w", public.Origin, err),
		}
	}
	text := v.encoding.Encode(wrapped)
	s.draft.Used(public.Fingerprint)
	s.draft.Memory.Envelopes = append(s.draft.Memory.Envelopes, scheme.Envelope{Wrapped: text, Key: key})
	return s.put(v.place, text, false)
}
