package recipe

import (
	"net/textproto"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
)

// place is a target or a source: a part of a message.
type place struct {
	kind string // "body", "header", "query", "form" or "part"
	path body.Path
	name string
	key  string // of a header's part
	text string // of String, or ""
}

// parsePlace reads body.<path>, header.<Name>, header.<Name>.<key>, query.<name>,
// form.<name> or part.<name>.
func parsePlace(text string) (p place, err error) {
	kind, rest, _ := strings.Cut(text, ".")
	p = place{kind: kind, name: rest}
	defer func() { p.text = p.String() }()
	switch {
	case rest == "":
	case kind == "body":
		p.path, err = body.ParsePath(rest)
		return p, err
	case kind == "header":
		p.name, p.key, _ = strings.Cut(rest, ".")
		if isHeaderName(p.name) {
			p.name = textproto.CanonicalMIMEHeaderKey(p.name)
			return p, nil
		}
	case kind == "query", kind == "form", kind == partKind:
		return p, nil
	}
	return p, i18n.Errorf("%q is no part of a message; it is body.<path>, header.<Name>, query.<name>, form.<name>, or behind split part.<name>", text)
}

func isHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != ""
}

// String returns the place as parsePlace reads it.
func (p place) String() string {
	switch {
	case p.text != "":
		return p.text
	case p.kind == "body":
		return "body." + p.path.String()
	case p.key != "":
		return p.kind + "." + p.name + "." + p.key
	}
	return p.kind + "." + p.name
}

// values returns what a message has at the place: none where there is nothing, null
// or an empty text.
func (p place) values(m *message.Message, form *body.Tree) ([]string, error) {
	switch p.kind {
	case "body":
		if m.Payload == nil {
			return nil, i18n.Errorf("the body is empty, or has no members, and the signature stands in one")
		}
		return member(m.Payload, p.path)
	case "form":
		return member(form, body.Path{p.name})
	case partKind:
		if value := m.Parts[p.name]; value != "" {
			return []string{value}, nil
		}
		return nil, nil
	case "header":
		if p.key != "" {
			return m.HeaderPart(p.name, p.key)
		}
		value, err := m.HeaderValue(p.name)
		if err != nil || value == "" {
			return nil, err
		}
		return []string{value}, nil
	default:
		value, ok, err := m.Param(p.name)
		if err != nil || !ok || value == "" {
			return nil, err
		}
		return []string{value}, nil
	}
}

// member returns the text of a string in a tree.
func member(tree *body.Tree, path body.Path) ([]string, error) {
	if tree == nil {
		return nil, nil
	}
	m, ok := tree.Get(path)
	switch {
	case !ok || m.IsEmpty():
		return nil, nil
	case m.Kind() != body.String:
		return nil, i18n.Errorf("the member %s is not a string", path)
	}
	return []string{string(m.Text())}, nil
}
