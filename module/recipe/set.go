package recipe

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// set compiles
//
//	default <target> <value> [number]
//	set <target> <value> [number]
//
// With number the value is sent as a JSON number instead of a string.
func (c *compiler) set(b *requestBlock, l Line) (func(*sealing) error, error) {
	number := len(l.Words) == 4 && l.Words[3] == "number"
	if len(l.Words) != 3 && !number || len(l.Block) > 0 {
		return nil, l.errorf("%s takes a target and a value, as in: %s body.version 1.0", l.Words[0], l.Words[0])
	}
	p, err := c.target(b, l, l.Words[1])
	if err != nil {
		return nil, err
	}
	if err := b.aboveSign(l, p); err != nil {
		return nil, err
	}
	if c.unset(l.Words[2]) {
		if option, ok := optionIn(l.Words[2]); ok && p.kind == "body" && l.Words[0] == "default" {
			if c.p.identities == nil {
				c.p.identities = make(map[string]body.Path)
			}
			c.p.identities[option] = p.path
		}
		return nil, nil
	}
	value, err := c.parseTemplate(l.Words[2], false)
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	if err := c.noSecret(l, value); err != nil {
		return nil, err
	}
	if err := c.checkValue(l, value, message.Request); err != nil {
		return nil, err
	}
	if p.kind == "body" && !value.has("body") {
		b.protocol = append(b.protocol, p.path)
	}
	onlyDefault := l.Words[0] == "default"
	b.statements = append(b.statements, statement{set: &assignment{p, value, onlyDefault}})
	return func(s *sealing) error {
		if onlyDefault {
			if given, err := s.given(p); err != nil || given {
				return err
			}
		}
		if p.kind == "body" && s.m.Payload == nil && !onlyDefault {
			return nil
		}
		text, err := value.textFor(p, &s.env)
		if err != nil || onlyDefault && text == "" {
			return err
		}
		return s.put(p, text, number)
	}, nil
}

// target reads a target of a statement.
func (c *compiler) target(b *requestBlock, l Line, word string) (place, error) {
	filled, err := c.fill(word)
	if err != nil {
		return place{}, l.errorf("%w", err)
	}
	p, err := parsePlace(filled)
	switch {
	case err != nil:
		return p, l.errorf("%w", err)
	case p.kind == partKind:
		return p, l.errorf("%s is cut out of what came in, and is no target; set the whole, with placeholders for its parts", p)
	case p.key != "":
		return p, l.errorf("%s is a part of a header; a request sets the whole header, with as `…`", p)
	case p.kind == "body" && p.path.HasAny():
		return p, l.errorf("%s names several members; a target is one", p)
	case p.kind == "form" && b.format.Wrap == nil:
		return p, l.errorf("%s: there are no fields beside the payload without wrap form or wrap json; write body.%s", p, p.name)
	case p.kind == "query" && b.inQuery():
		return p, l.errorf("%s: with send query the payload is the query; write body.%s", p, p.name)
	case p.kind == "header" && slices.Contains(forbiddenHeaders, p.name):
		return p, l.errorf("the header %s is not a recipe's to set", p.name)
	}
	return p, nil
}

// forbiddenHeaders belong to the connection, or would have Go send a request
// twice.
var forbiddenHeaders = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", "Te", "Content-Encoding", "Idempotency-Key", "X-Idempotency-Key"}

// noSecret refuses {secret} and {signature} in values that are sent or stored in plain.
func (c *compiler) noSecret(l Line, t template) error {
	if t.has("secret") {
		return l.errorf("{secret} stands only in texts that are digested, and in token, which sends it: %s would send it by the way", l.Words[0])
	}
	if err := c.noSignature(l, t); err != nil {
		return err
	}
	if c.exposes(t) {
		return l.errorf("%s names a text with a secret that is not digested, and would send it by the way", l.Words[0])
	}
	return nil
}

func (c *compiler) noSignature(l Line, t template) error {
	if t.has("signature") {
		return l.errorf("{signature} stands only behind as, as in: sign header.Authorization hmac-sha256 hex signed as `ACME {signature}`")
	}
	return nil
}

func (c *compiler) remove(b *requestBlock, l Line) (func(*sealing) error, error) {
	if len(l.Words) != 2 || len(l.Block) > 0 {
		return nil, l.errorf("remove takes one target, as in: remove body.remark")
	}
	filled, err := c.fill(l.Words[1])
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	p, err := parsePlace(filled)
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	if p.kind == "query" && b.inQuery() {
		return nil, l.errorf("%s: with send query the payload is the query; write body.%s", p, p.name)
	}
	return func(s *sealing) error {
		switch {
		case p.kind == "header":
			s.m.Header.Del(p.name)
		case p.kind == "query":
			s.m.RemoveParam(p.name)
		case p.kind == "form" && s.m.Form != nil:
			s.m.Form.Remove(body.Path{p.name})
		case p.kind == "body" && s.m.Payload != nil:
			s.m.Payload.Remove(p.path)
		}
		return nil
	}, nil
}

// given reports whether the application gave a value for a target.
func (s *sealing) given(p place) (bool, error) {
	switch p.kind {
	case "header":
		return s.m.Header.Get(p.name) != "" && (p.name != "Content-Type" || s.typed), nil
	case "query":
		value, _, err := s.m.Param(p.name)
		return value != "", err
	case "form":
		m, ok := s.m.Form.Get(body.Path{p.name})
		return ok && !m.IsEmpty(), nil
	}
	if s.m.Payload == nil {
		return true, nil // a request without a body gets none
	}
	m, ok := s.m.Payload.Get(p.path)
	return ok && !m.IsEmpty(), nil
}

// put gives a target a value.
func (s *sealing) put(p place, value string, number bool) error {
	switch p.kind {
	case "header":
		if strings.ContainsAny(value, "\r\n\x00") {
			return scheme.Failf(scheme.Invalid, "a value for the header %s holds a line break or NUL", p.name)
		}
		s.m.Header.Set(p.name, value)
		s.typed = s.typed || p.name == "Content-Type"
	case "query":
		s.m.SetParam(p.name, value)
	case partKind: // of a peer
		s.m.Parts[p.name] = value
	default:
		tree := s.m.Payload
		path := p.path
		if p.kind == "form" {
			tree, path = s.m.Form, body.Path{p.name}
		}
		if tree == nil {
			return scheme.Failf(scheme.Invalid, "the request has no body, to which %s belongs", p)
		}
		if !utf8.ValidString(value) {
			return scheme.Failf(scheme.Invalid, "a value for %s is not UTF-8", p)
		}
		set := tree.SetString
		if number {
			if !jsonNumber.MatchString(value) {
				return scheme.Failf(scheme.Invalid, "a value for %s is not a JSON number", p)
			}
			set = func(path body.Path, value string) error { return tree.Set(path, []byte(value)) }
		}
		if err := set(path, value); err != nil {
			return scheme.Failf(scheme.Invalid, "setting %s: %w", p, err)
		}
	}
	return nil
}

// jsonNumber is a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)
