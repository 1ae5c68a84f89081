package hbsk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// placeholderSecret is the placeholder of the shared secret.
const placeholderSecret = "secret"

// template is a text with placeholders.
type template []piece

// piece is literal text, or the placeholder of a member.
type piece struct {
	literal []byte
	member  string
	name    []byte // of the member
}

func (p piece) secret() bool { return p.member == placeholderSecret }

// parseTemplate reads a template with the placeholders {name} of names.
func parseTemplate(text string, names []string) (template, error) {
	var t template
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return nil, errors.New("there is a } without its {")
		}
		if literal != "" {
			t = append(t, piece{literal: []byte(literal)})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !slices.Contains(names, name) {
			return nil, fmt.Errorf("unknown placeholder {%s}; known are {%s}", name, strings.Join(names, "}, {"))
		}
		t = append(t, piece{member: name, name: []byte(name)})
		text = after
	}
	return t, nil
}

func (t template) has(name string) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.member == name })
}
