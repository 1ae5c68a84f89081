package recipe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// text is a text of a recipe: a builder, and changes to what it has built.
type text struct {
	name  string
	line  Line
	build builder
	steps []change

	secrets []string // the names of the secrets in it, "" for {secret}
	tail    int      // the step from which on steps append secrets; -1: secrets stand elsewhere
	covers  coverage
}

// builder is what a text begins with.
type builder struct {
	template   template
	part       *textPart
	ambig      []namedPart // of a template: name={body.x}
	append     func(dst []byte, members []body.Member) (canonical.Text, error)
	appendWith func(e *env, members []body.Member) (canonical.Text, error) // instead of append
	raw        body.Path
}

// change is a step that changes a text.
type change struct {
	run      canonical.Change
	template template // of prepend and append
	prepend  bool
	digest   bool // what was before cannot be told from what it has made
}

// namedPart is a placeholder of a member behind "name=".
type namedPart struct {
	name string
	path body.Path
}

// append appends the whole text, with the secrets of e in it.
func (t *text) append(dst []byte, e *env) ([]byte, error) {
	made, _, err := t.run(e, len(t.steps))
	return append(dst, made...), err
}

// run makes the text up to a step. Ambiguous is why it can be read in two ways.
func (t *text) run(e *env, steps int) (made []byte, ambiguous, err error) {
	made, ambiguous, err = t.build.run(e)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range t.steps[:steps] {
		if made, err = s.apply(made, e); err != nil {
			return nil, nil, err
		}
	}
	return made, ambiguous, nil
}

func (s change) apply(made []byte, e *env) ([]byte, error) {
	switch {
	case s.run != nil:
		made, err := s.run(made)
		return made, invalid(err)
	case s.prepend:
		head, err := s.template.appendTo(nil, e)
		return append(head, made...), err
	default:
		return s.template.appendTo(made, e)
	}
}

func (b builder) run(e *env) (made []byte, ambiguous, err error) {
	switch {
	case b.raw != nil:
		made, err = rawMember(e, b.raw)
		return made, nil, err
	case b.part == nil:
		made, err = b.template.appendTo(nil, e)
		return made, b.ambiguous(e), err
	}
	members, err := b.part.members(e)
	if err != nil {
		return nil, nil, err
	}
	var text canonical.Text
	if b.appendWith != nil {
		text, err = b.appendWith(e, members)
	} else {
		text, err = b.append(nil, members)
	}
	if err != nil && len(b.part.paths) == 1 {
		err = fmt.Errorf("in %s: %w", b.part.paths[0], err)
	}
	return text.Bytes, text.Ambiguous, invalid(err)
}

// ambiguous is why a template that reads name={body.x}&… can be read in two ways.
// A value that is JSON as a whole cannot be mistaken: what stands before and
// after a part of it is no JSON.
func (b builder) ambiguous(e *env) error {
	if len(b.ambig) == 0 || e.m.Payload == nil {
		return nil
	}
	pairs := make([]canonical.Pair, 0, len(b.ambig))
	for _, p := range b.ambig {
		pair := canonical.Pair{Name: []byte(p.name)}
		if m, ok := e.m.Payload.Get(p.path); ok && m.IsScalar() {
			if value := m.Text(); bytes.IndexByte(value, '&') >= 0 && body.Valid(value) != nil {
				pair.Value = value
			}
		}
		pairs = append(pairs, pair)
	}
	return canonical.Ambiguous(pairs)
}

// signed is what a signature covers.
func (t *text) signed(e *env) (text scheme.Text, ambiguous, err error) {
	if len(t.secrets) == 0 {
		made, ambiguous, err := t.run(e, len(t.steps))
		return scheme.Text{Canonical: made}, ambiguous, err
	}
	if t.tail < 0 {
		return t.signedAnywhere(e)
	}
	base, ambiguous, err := t.run(e, t.tail)
	if err != nil {
		return scheme.Text{}, nil, err
	}
	base = slices.Clip(base)
	hole := func() ([]byte, error) {
		holes := *e
		holes.hole = true
		made, err := t.finish(base, &holes)
		return restoreHoles(made, t.secrets), err
	}
	return scheme.Text{Canonical: base, Hole: hole, With: func(secret *keys.Secret) ([]byte, error) {
		with := *e
		with.secret = secret
		return t.finish(base, &with)
	}}, ambiguous, nil
}

// finish carries out the steps from the tail on.
func (t *text) finish(made []byte, e *env) ([]byte, error) {
	var err error
	for _, s := range t.steps[t.tail:] {
		if made, err = s.apply(made, e); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// signedAnywhere is signed for a text with a secret before its end, which is made
// once for each secret.
func (t *text) signedAnywhere(e *env) (text scheme.Text, ambiguous, err error) {
	holes := *e
	holes.hole = true
	made, ambiguous, err := t.run(&holes, len(t.steps))
	if err != nil {
		return text, nil, err
	}
	hole := restoreHoles(made, t.secrets)
	canonicalString := hole
	for _, name := range t.secrets {
		if name == "" {
			canonicalString = bytes.TrimSuffix(canonicalString, []byte("{secret}"))
		}
	}
	return scheme.Text{Canonical: canonicalString, Hole: func() ([]byte, error) { return hole, nil }, With: func(secret *keys.Secret) ([]byte, error) {
		with := *e
		with.secret = secret
		made, _, err := t.run(&with, len(t.steps))
		return made, err
	}}, ambiguous, nil
}

// textPart is a part of a message whose members a builder takes.
type textPart struct {
	kind  string      // "body", "query", "form" or "header"
	paths []body.Path // of body: one, or for one-of several
	only  []string    // names of headers
}

// members are the members of the part.
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
	for _, name := range names {
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

// choose is the one of the paths that the message has. A message with several of
// them, in whatever letters, is an attack: an application may read the one that
// is not signed.
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

// rawMember is a member's bytes as they stand on the wire. A name that ends in *
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
	if !strings.Contains(last, "*") {
		return path, nil
	}
	outer := tree.At(path[:len(path)-1])
	if outer == nil {
		return path, nil
	}
	head, tail, _ := strings.Cut(strings.ToLower(last), "*")
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

// digestStep makes the step of a digest: md5 hex, and so on.
func digestStep(name string, encodingName string) (canonical.Change, error) {
	digest, err := algorithm.DigestNamed(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"hex", "hex-upper", "base64"}, encodingName) {
		return nil, fmt.Errorf("%s needs one of the encodings hex, hex-upper and base64", name)
	}
	enc, err := encoding.Named(encodingName)
	if err != nil {
		return nil, err
	}
	return func(text []byte) ([]byte, error) { return []byte(enc.Encode(digest(text))), nil }, nil
}
