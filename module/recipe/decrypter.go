package recipe

import (
	"bytes"
	"sync"

	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// errOpen is the error for a ciphertext that does not decrypt. Its text is not shown.
var errOpen = i18n.Errorf("it does not open")

// decrypter decrypts with one key.
type decrypter struct {
	fingerprint string
	decrypt     func([]byte) ([]byte, error)
}

// decrypters returns the functions that may decrypt a text, one for each key.
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

// opened returns the decrypters of an envelope. One that echoes the request's is
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
		open := env.unwrap(private, v.cipher, wrapped, cipher.Params{Order: e.params.Order})
		unwrap := func() ([]byte, error) {
			plain, err := open()
			if err != nil {
				return nil, errOpen
			}
			key, ok := bytes.CutPrefix(plain, []byte(v.prefix))
			if !ok || !cipher.ValidKey(v.kind, v.size, key) {
				return nil, errOpen
			}
			return key, nil
		}
		all = append(all, decrypter{private.Fingerprint, func(text []byte) ([]byte, error) {
			key, err := unwrap()
			if err != nil {
				return nil, err
			}
			return e.cipher.Decrypt(key, text, p)
		}})
	}
	if len(all) == 0 {
		return nil, scheme.Failf(scheme.NeedsKeys, "%w", env.keys.Need(withID(keys.Decrypt, v.id)))
	}
	return all, nil
}

// unwrap opens an envelope. The private key, which may be remote, is used once for all
// members and statements.
func (e *env) unwrap(private *keys.PrivateKey, c cipher.Cipher, wrapped []byte, p cipher.Params) func() ([]byte, error) {
	name := c.Name() + " " + p.Order + " " + private.Fingerprint + " " + string(wrapped)
	if e.unwrapped == nil {
		e.unwrapped = make(map[string]func() ([]byte, error))
	}
	if e.unwrapped[name] == nil {
		e.unwrapped[name] = sync.OnceValues(func() ([]byte, error) { return c.DecryptWith(private.Decrypter, wrapped, p) })
	}
	return e.unwrapped[name]
}
