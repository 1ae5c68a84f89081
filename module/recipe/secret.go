package recipe

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// secretForm says how a secret is encoded, and how a key is derived from it.
type secretForm struct {
	decode string // "hex", "base64" or "" for its bytes
	prefix string // that a console writes before it, and which is not part of it
	digest func([]byte) []byte
	encode *encoding.Encoding // of the digest; nil is raw
}

// read reads "secret hex|base64 [prefix <text>]" or "derive <digest> <encoding>|raw".
func (f *secretForm) read(word string, a *arguments) (err error) {
	if word == "secret" {
		if f.decode, err = a.choice(word, "hex", "base64"); err != nil || a.done() {
			return err
		}
		if a.next() != "prefix" || len(a.words) != 1 || a.peek() == "" {
			return a.line.errorf("behind secret %s stands at most: prefix <text>, as in: secret base64 prefix whsec_", f.decode)
		}
		f.prefix = unescape(a.next())
		return nil
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

// size returns the length of the derived key in bytes, or 0 if it depends on the
// secret.
func (f secretForm) size() int {
	if f.digest == nil {
		return 0
	}
	key := f.digest(nil)
	if f.encode != nil {
		return len(f.encode.Encode(key))
	}
	return len(key)
}

// derive returns the key that a secret stands for, or nil for the secret's own bytes.
func (f secretForm) derive() func([]byte) ([]byte, error) {
	if f.decode == "" && f.digest == nil {
		return nil
	}
	return func(secret []byte) ([]byte, error) {
		secret = bytes.TrimPrefix(secret, []byte(f.prefix))
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
