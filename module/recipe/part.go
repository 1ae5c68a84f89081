package recipe

import (
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// textPart is a part of a message whose members a builder takes.
type textPart struct {
	kind  string      // "body", "query", "form" or "header"
	paths []body.Path // of body: one, or for one-of several
	only  []string    // names of headers
}

// part reads a part: body, body.a, query, form, header, or one-of body.a body.b.
func (c *compiler) part(a *arguments) (*textPart, error) {
	first := a.next()
	if first == "form" && !c.wraps {
		first = "body" // without fields beside a payload the form is the payload
	}
	switch {
	case first == "body", first == "query", first == "form", first == "header":
		return &textPart{kind: first}, nil
	case first == "one-of":
		p := &textPart{kind: "body"}
		for strings.HasPrefix(a.peek(), "body.") {
			path, err := bodyPath(a.next())
			if err != nil {
				return nil, a.line.errorf("one-of: %w", err)
			}
			if len(path) != 1 {
				return nil, a.line.errorf("one-of takes members of the first level, as in: one-of body.bizData body.data")
			}
			p.paths = append(p.paths, path)
		}
		if len(p.paths) < 2 {
			return nil, a.line.errorf("one-of takes two members or more, as in: one-of body.bizData body.data")
		}
		return p, nil
	case strings.HasPrefix(first, "body."):
		path, err := bodyPath(first)
		if err != nil || path.HasAny() {
			return nil, a.line.errorf("%q is no part of a message; it is body, body.<path>, query, form, header or one-of", first)
		}
		return &textPart{kind: "body", paths: []body.Path{path}}, nil
	}
	return nil, a.line.errorf("%q is no part of a message; it is body, body.<path>, query, form, header or one-of", first)
}

// members returns the members of the part.
func (p *textPart) members(e *env) ([]body.Member, error) {
	switch p.kind {
	case "body":
		return p.ofPayload(e)
	case "form":
		return e.fields().Members(), nil
	case "query":
		params, err := e.m.Params()
		if err != nil {
			return nil, invalid(err)
		}
		members := make([]body.Member, len(params))
		for i, param := range params {
			members[i] = body.StringMember(param.Name, param.Value)
		}
		return members, nil
	default:
		return p.ofHeader(e)
	}
}

func (p *textPart) ofHeader(e *env) ([]body.Member, error) {
	names := p.only
	if len(names) == 0 {
		for name := range e.m.Header {
			names = append(names, strings.ToLower(name))
		}
	}
	var members []body.Member
	for _, name := range e.headerNames(names) {
		value, err := e.m.HeaderValue(name)
		if err != nil {
			return nil, invalid(err)
		}
		if len(e.m.Header.Values(name)) > 0 {
			members = append(members, body.StringMember(name, value))
		}
	}
	return members, nil
}

func (p *textPart) ofPayload(e *env) ([]body.Member, error) {
	if e.m.Payload == nil {
		if len(p.paths) > 0 {
			return nil, scheme.Failf(scheme.Invalid, "the message has no member %s that is an object, which is what is signed", p.paths[0])
		}
		return nil, nil
	}
	if len(p.paths) == 0 {
		return e.m.Payload.Members(), nil
	}
	path, err := p.choose(e.m)
	if err != nil {
		return nil, err
	}
	tree := e.m.Payload.At(path)
	if tree == nil || tree.IsList() {
		return nil, scheme.Failf(scheme.Invalid, "the message has no member %s that is an object, which is what is signed", path)
	}
	return tree.Members(), nil
}

// choose returns the one of the paths that the message has. A message with several of
// them, compared without regard to case, is refused: an application could read the one
// that is not signed.
func (p *textPart) choose(m *message.Message) (body.Path, error) {
	if len(p.paths) == 1 {
		return p.paths[0], nil
	}
	var found body.Path
	count := 0
	for _, member := range m.Payload.Members() {
		for _, path := range p.paths {
			if strings.EqualFold(string(member.Name()), path[0]) {
				count++
				if string(member.Name()) == path[0] {
					found = path
				}
			}
		}
	}
	switch {
	case count > 1:
		return nil, scheme.Failf(scheme.Invalid, "the message has several of the members %s, or one of them in other letters as well, of which only one is signed", pathList(p.paths))
	case found == nil:
		return nil, scheme.Failf(scheme.Invalid, "the message has none of the members %s, of which one is signed", pathList(p.paths))
	}
	return found, nil
}

func pathList(paths []body.Path) string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = path.String()
	}
	return strings.Join(names, ", ")
}

// rawMember returns a member's bytes as they stand on the wire. A name that ends in *
// or begins with it must match exactly one member.
func rawMember(e *env, path body.Path) ([]byte, error) {
	if e.m.Payload == nil {
		return nil, scheme.Failf(scheme.Invalid, "the message has no member %s, whose bytes are signed", path)
	}
	found, err := matchOne(e.m.Payload, path)
	if err != nil {
		return nil, err
	}
	m, ok := e.m.Payload.Get(found)
	if !ok {
		return nil, scheme.Failf(scheme.Invalid, "the message has no member %s, whose bytes are signed", path)
	}
	return m.Raw(), nil
}

// matchOne finds the member that a path with a pattern in its last name matches.
func matchOne(tree *body.Tree, path body.Path) (body.Path, error) {
	last := path[len(path)-1]
	head, tail, star := body.CutStar(last)
	if !star {
		return path, nil
	}
	outer := tree.At(path[:len(path)-1])
	if outer == nil {
		return path, nil
	}
	head, tail = strings.ToLower(head), strings.ToLower(tail)
	var found body.Path
	for _, m := range outer.Members() {
		// In any case: a reader that ignores case could take another member.
		name := strings.ToLower(string(m.Name()))
		if len(name) >= len(head)+len(tail) && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail) {
			if found != nil {
				return nil, scheme.Failf(scheme.Ambiguous, "the message can be read in two ways: several members match %s", path)
			}
			found = append(slices.Clone(path[:len(path)-1]), string(m.Name()))
		}
	}
	if found == nil {
		return path, nil
	}
	return found, nil
}

// headerNames returns the names with each that ends in * replaced by the headers of the
// message that it stands for, written as the name is.
func (e *env) headerNames(names []string) []string {
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "*") }) {
		return names
	}
	var found []string
	for _, name := range names {
		head, star := strings.CutSuffix(name, "*")
		if !star {
			found = append(found, name)
			continue
		}
		for _, there := range slices.Sorted(maps.Keys(e.m.Header)) {
			if len(there) < len(head) || !strings.EqualFold(there[:len(head)], head) {
				continue
			}
			rest := there[len(head):]
			if head == strings.ToLower(head) {
				rest = strings.ToLower(rest)
			}
			found = append(found, head+rest)
		}
	}
	return found
}
