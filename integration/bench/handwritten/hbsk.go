package main

import (
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// hbsk signs data and the time with HMAC, as the built-in messages of the recipe have it.
type hbsk struct {
	developerKey string
	description  scheme.Description
}

func (*hbsk) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.schemes.hbsk_go", New: func() caddy.Module { return new(hbsk) }}
}

func (*hbsk) Options() []recipe.Option { return []recipe.Option{{Name: "developer_key"}} }

func (h *hbsk) Configure(settings recipe.Settings) (err error) {
	if h.developerKey, err = one(settings, "developer_key"); err != nil {
		return err
	}
	roles := []keys.Role{keys.SharedSecret}
	match := []body.Path{{"data", "sequence"}}
	signed := func(path body.Path) bool { return path[0] == "data" || path[0] == "time" }
	h.description = scheme.Description{
		Name: "hbsk_go", Methods: []string{"POST"}, Needs: needsSecret,
		Request: &scheme.Direction{Part: "data", Roles: roles, Signed: func(path body.Path) bool { return signed(path) || path[0] == "key" }},
		Answer: &scheme.Direction{
			Part: "data", Roles: roles, Signed: signed,
			Reads: []body.Path{pathSign, {"data"}, {"time"}, {"code"}, match[0]},
		},
		Match: match, Inside: []body.Path{{"data"}}, Result: body.Path{"code"},
	}
	return nil
}

func (h *hbsk) Describe() *scheme.Description { return &h.description }

func (h *hbsk) Complete(d *scheme.Draft) error {
	t := d.Message.Payload
	if t == nil {
		return scheme.Failf(scheme.Invalid, "the request has no members")
	}
	if err := byDefault(t, "key", h.developerKey); err != nil {
		return err
	}
	if !has(t, "time") {
		if err := t.Set(body.Path{"time"}, strconv.AppendInt(nil, d.Now.Unix(), 10)); err != nil {
			return err
		}
	}
	data, ok := t.Get(body.Path{"data"})
	if !ok || data.IsEmpty() {
		return scheme.Failf(scheme.Invalid, "the request needs data")
	}
	if !data.IsScalar() {
		if err := asString(d, data); err != nil {
			return err
		}
	} else if _, err := data.Inner(); err != nil {
		return scheme.Failf(scheme.Invalid, "data holds no object: %w", err)
	}
	text, err := filled(t, "data", "key", "time")
	if err != nil {
		return err
	}
	return send(d, scheme.Signature{Algorithm: hmacSHA256, Encoding: hex, Part: "data", Text: scheme.Text{Canonical: text}})
}

func (h *hbsk) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	if in.Message.Payload == nil {
		return nil, scheme.Failf(scheme.Invalid, "the message has no members")
	}
	text, err := filled(in.Message.Payload, "data", "time")
	if err != nil {
		return nil, err
	}
	return received(in, scheme.Signature{Algorithm: hmacSHA256, Encoding: hex, Part: "data", Text: scheme.Text{Canonical: text}})
}

// Reveal gives the application data as JSON, if it sent it so.
func (h *hbsk) Reveal(in *scheme.Incoming) error {
	data, _ := in.Message.Payload.Get(body.Path{"data"})
	if _, err := data.Inner(); err != nil {
		return scheme.Failf(scheme.Invalid, "data holds no object: %w", err)
	}
	return backToJSON(in, nil)
}

// filled is name=value of some members, joined by "&". The time consists of digits and
// the others but data hold no "&", so that the text can be read in one way.
func filled(t *body.Tree, names ...string) ([]byte, error) {
	var text []byte
	for i, name := range names {
		m, ok := t.Get(body.Path{name})
		if !ok || !m.IsScalar() || m.IsEmpty() {
			return nil, scheme.Failf(scheme.Invalid, "the message has no %s", name)
		}
		value := m.Text()
		switch {
		case name == "data" && m.Kind() != body.String,
			name == "time" && slices.ContainsFunc(value, func(c byte) bool { return c < '0' || c > '9' }),
			name == "key" && slices.Contains(value, '&'):
			return nil, scheme.Failf(scheme.Invalid, "%s cannot be signed as it is", name)
		}
		if i > 0 {
			text = append(text, '&')
		}
		text = append(append(append(text, name...), '='), value...)
	}
	return text, nil
}
