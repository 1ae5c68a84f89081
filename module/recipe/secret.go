package recipe

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/encoding"
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
