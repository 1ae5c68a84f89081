package main

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

var (
	md5, _        = algorithm.Named("md5")
	hmacSHA256, _ = algorithm.Named("hmac-sha256")
	hex, _        = encoding.Named("hex")
	hexUpper, _   = encoding.Named("hex-upper")

	pathSign = body.Path{"sign"}
)

// needsSecret says that every request needs the shared secret.
func needsSecret(*message.Message) []keys.Role { return []keys.Role{keys.SharedSecret} }

// unlessSign reports whether a path leads to another member than the signature.
func unlessSign(path body.Path) bool { return path[0] != "sign" }

// behind is a text that is digested with a word and the shared secret behind it.
func behind(text []byte, word string) scheme.Text {
	return scheme.Text{Canonical: text, With: func(secrets scheme.Secrets) (head, tail []byte, err error) {
		return text, append([]byte(word), secrets("").Bytes()...), nil
	}}
}

// send signs a request, puts the signature into sign, and writes the body.
func send(d *scheme.Draft, s scheme.Signature) error {
	s.Where = "body.sign"
	signature, err := d.Sign(s)
	if err != nil {
		return err
	}
	if err := d.Message.Payload.SetString(pathSign, signature); err != nil {
		return err
	}
	d.Message.Header.Set("Content-Type", "application/json")
	d.Message.Wire = d.Message.Payload.Text()
	return nil
}

// received is the signature of a message that came in.
func received(in *scheme.Incoming, s scheme.Signature) ([]scheme.Signature, error) {
	m, ok := in.Message.Payload.Get(pathSign)
	if !ok || m.Kind() != body.String {
		return nil, scheme.Failf(scheme.Unsigned, "the message has no sign")
	}
	s.Where, s.Values = "body.sign", []string{string(m.Text())}
	return []scheme.Signature{s}, nil
}

// byDefault gives a request a member that it lacks.
func byDefault(t *body.Tree, name, value string) error {
	if value == "" || has(t, name) {
		return nil
	}
	return t.SetString(body.Path{name}, value)
}

func has(t *body.Tree, name string) bool {
	m, ok := t.Get(body.Path{name})
	return ok && !m.IsEmpty()
}

// one returns the text of an option that takes one, or "".
func one(settings recipe.Settings, name string) (string, error) {
	switch values := settings[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", fmt.Errorf("%s takes one value", name)
	}
}

// asString turns a member that is JSON into a string with that JSON, and remembers it.
func asString(d *scheme.Draft, m body.Member) error {
	path := body.Path{string(m.Name())}
	d.Memory.Strings = append(d.Memory.Strings, path)
	return d.Message.Payload.SetString(path, string(m.Raw()))
}

// backToJSON undoes asString in the object at a path of an answer.
func backToJSON(in *scheme.Incoming, outer body.Path) error {
	for _, path := range in.Memory().Strings {
		at := append(outer[:len(outer):len(outer)], path...)
		m, ok := in.Message.Payload.Get(at)
		if !ok || m.Kind() != body.String || body.Valid(m.Text()) != nil {
			continue
		}
		if err := in.Message.Payload.Set(at, m.Text()); err != nil {
			return scheme.Failf(scheme.Invalid, "%w", err)
		}
	}
	return nil
}
