package recipe

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// requestBlock is how a request is completed.
type requestBlock struct {
	line      Line
	format    message.Format
	zone      *time.Location
	steps     []func(*sealing) error
	signs     []*signature
	encrypted []*encryption
	strings   []body.Path
	protocol  []body.Path // members that the block sets from the time, nonces and options
	tokens    int
}

// sealing is one request on its way out.
type sealing struct {
	env
	block *requestBlock
	draft *scheme.Draft
	whole []byte // the payload, once it is encrypted as a whole
}

func (s *sealing) run() error {
	if s.block.format.Wrap != nil {
		s.m.Form = emptyTree()
	}
	for _, step := range s.block.steps {
		if err := step(s); err != nil {
			return invalid(err)
		}
	}
	return s.finish()
}

// finish writes the body or the query that leaves.
func (s *sealing) finish() error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	f := s.block.format
	switch {
	case f.Kind == message.Query && f.Wrap == nil:
		s.m.Query, s.m.Wire = string(payload), nil
		return nil
	case s.m.Payload == nil && s.whole == nil:
		s.m.Wire = nil
		return nil
	case f.Wrap != nil:
		payload, err = f.WriteWrapped(s.m.Form, payload)
		if err != nil {
			return invalid(err)
		}
	}
	s.m.Wire = payload
	s.m.Header.Set("Content-Type", f.MediaType())
	return nil
}

// payload is the payload as it leaves, without the fields beside it.
func (s *sealing) payload() ([]byte, error) {
	if s.whole != nil {
		return s.whole, nil
	}
	text, err := s.block.format.Write(s.m.Payload)
	return text, invalid(err)
}

// wrap puts the payload into its field, so that {form.x} reads it.
func (s *sealing) wrap() error {
	f := s.block.format
	if f.Wrap == nil || f.Wrap.Kind == "" {
		return nil
	}
	payload, err := s.payload()
	if err != nil {
		return err
	}
	_, err = f.WriteWrapped(s.m.Form, payload)
	return invalid(err)
}

// requestBlock compiles the block of requests.
func (c *compiler) requestBlock(l Line) error {
	b := &requestBlock{line: l, zone: china}
	c.p.request = b
	lines, err := c.kept(l.Block)
	if err != nil {
		return err
	}
	for _, line := range lines { // they count wherever they stand
		switch line.Words[0] {
		case "send":
			err = c.send(b, line)
		case "wrap":
			b.format.Wrap, err = c.wrapping(line)
		case "zone":
			b.zone, err = readZone(line)
		}
		if err != nil {
			return err
		}
	}
	for _, line := range lines {
		step, err := c.requestStep(b, line)
		if err != nil {
			return err
		}
		if step != nil {
			b.steps = append(b.steps, step)
		}
	}
	if len(b.signs) == 0 && b.tokens == 0 {
		return l.errorf("request neither signs nor sends a token; add: sign body.sign <algorithm> <encoding> <text>")
	}
	return nil
}

// requestStep compiles one line.
func (c *compiler) requestStep(b *requestBlock, l Line) (func(*sealing) error, error) {
	switch l.Words[0] {
	case "send", "wrap", "zone":
		return nil, nil
	case "warn":
		return nil, c.header(l)
	case "default", "set":
		return c.set(b, l)
	case "remove":
		return c.remove(l)
	case "string":
		return c.string(b, l)
	case "check":
		return c.check(l)
	case "encrypt":
		return c.encrypt(b, l)
	case "seal":
		return c.seal(b, l)
	case "token":
		return c.token(b, l)
	case "sign":
		return c.sign(b, l)
	}
	return nil, l.errorf("unknown word %q in request; there are default, set, remove, string, check, encrypt, seal, token, sign, send, wrap, zone and warn", l.Words[0])
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
	case p.key != "":
		return p, l.errorf("%s is a part of a header; a request sets the whole header, with as `…`", p)
	case p.kind == "body" && p.path.HasAny():
		return p, l.errorf("%s names several members; a target is one", p)
	case p.kind == "form" && b.format.Wrap == nil:
		return p, l.errorf("%s: there are no fields beside the payload without wrap form or wrap json; write body.%s", p, p.name)
	case p.kind == "header" && slices.Contains(forbiddenHeaders, p.name):
		return p, l.errorf("the header %s is not a recipe's to set", p.name)
	}
	return p, nil
}

// forbiddenHeaders belong to the connection, or would have Go send a request
// twice.
var forbiddenHeaders = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", "Te", "Content-Encoding", "Idempotency-Key", "X-Idempotency-Key"}

// put gives a target a value.
func (s *sealing) put(p place, value string, number bool) error {
	switch p.kind {
	case "header":
		if strings.ContainsAny(value, "\r\n\x00") {
			return scheme.Failf(scheme.Invalid, "a value for the header %s holds a line break or NUL", p.name)
		}
		s.m.Header.Set(p.name, value)
	case "query":
		s.m.SetParam(p.name, value)
	default:
		tree := s.m.Payload
		path := p.path
		if p.kind == "form" {
			tree, path = s.m.Form, body.Path{p.name}
		}
		if tree == nil {
			return scheme.Failf(scheme.Invalid, "the request has no body, to which %s belongs", p)
		}
		raw := []byte(value)
		if !number || body.Valid(raw) != nil {
			if !validUTF8(value) {
				return scheme.Failf(scheme.Invalid, "a value for %s is not UTF-8", p)
			}
			raw = body.AppendQuote(nil, value)
		}
		if err := tree.Set(path, raw); err != nil {
			return scheme.Failf(scheme.Invalid, "setting %s: %w", p, err)
		}
	}
	return nil
}

// given reports whether the application gave a value for a target.
func (s *sealing) given(p place) (bool, error) {
	switch p.kind {
	case "header":
		return s.m.Header.Get(p.name) != "", nil
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

// set compiles
//
//	default <target> <value> [number]
//	set <target> <value> [number]
//
// With number the value goes out as a number, and not as a string that holds one.
func (c *compiler) set(b *requestBlock, l Line) (func(*sealing) error, error) {
	number := len(l.Words) == 4 && l.Words[3] == "number"
	if len(l.Words) != 3 && !number || len(l.Block) > 0 {
		return nil, l.errorf("%s takes a target and a value, as in: %s body.version 1.0", l.Words[0], l.Words[0])
	}
	p, err := c.target(b, l, l.Words[1])
	if err != nil {
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
	if p.kind == "body" && !value.has("body") {
		b.protocol = append(b.protocol, p.path)
	}
	onlyDefault := l.Words[0] == "default"
	return func(s *sealing) error {
		if onlyDefault {
			if given, err := s.given(p); err != nil || given {
				return err
			}
		}
		if p.kind == "body" && s.m.Payload == nil && !onlyDefault {
			return nil
		}
		text, err := value.text(&s.env)
		if err != nil || onlyDefault && text == "" {
			return err
		}
		return s.put(p, text, number)
	}, nil
}

// noSecret refuses {secret} and {signature} where they would leave, or stay, in
// plain.
func (c *compiler) noSecret(l Line, t template) error {
	if t.has("secret") {
		return l.errorf("{secret} stands only in texts that are digested, and in token, which sends it: %s would send it by the way", l.Words[0])
	}
	if t.has("signature") {
		return l.errorf("{signature} stands only behind as")
	}
	for _, p := range t {
		if p.name == "text" && len(c.texts[p.arg].secrets) > 0 && !digested(c.texts[p.arg]) {
			return l.errorf("{text.%s} holds a secret that is not digested", p.arg)
		}
	}
	return nil
}

// digested reports whether the last secret of a text stands before a digest.
func digested(t *text) bool {
	for i := len(t.steps) - 1; i >= 0; i-- {
		if t.steps[i].digest {
			return true
		}
		if t.steps[i].template.has("secret") {
			return false
		}
	}
	return false
}

func (c *compiler) remove(l Line) (func(*sealing) error, error) {
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

// string compiles "string <member>...": objects and lists go out as strings that
// hold their text. What is a string, a number or a boolean stays.
func (c *compiler) string(b *requestBlock, l Line) (func(*sealing) error, error) {
	if len(l.Words) < 2 || len(l.Block) > 0 {
		return nil, l.errorf("string takes members, as in: string body.biz_content")
	}
	paths, err := c.paths(l, l.Words[1:])
	if err != nil {
		return nil, err
	}
	b.strings = append(b.strings, paths...)
	return func(s *sealing) error {
		if s.m.Payload == nil {
			return nil
		}
		for _, path := range paths {
			s.stringify(path)
		}
		return nil
	}, nil
}

// check compiles "check <member>... string|object|scalar|no-object": a request that has
// one of the members as something else, or lacks one that is named without a *, is
// refused. object takes a string as well, and neither string nor object takes JSON in a
// string that two readers may read in two ways.
func (c *compiler) check(l Line) (func(*sealing) error, error) {
	usage := l.errorf("check takes members and one of string, object, scalar and no-object, as in: check body.content string")
	if len(l.Words) < 3 || len(l.Block) > 0 {
		return nil, usage
	}
	kind := l.Words[len(l.Words)-1]
	if !slices.Contains([]string{"string", "object", "scalar", "no-object"}, kind) {
		return nil, usage
	}
	paths, err := c.paths(l, l.Words[1:len(l.Words)-1])
	if err != nil {
		return nil, err
	}
	return func(s *sealing) error {
		if s.m.Payload == nil {
			return nil
		}
		for _, path := range paths {
			if m, ok := s.m.Payload.Get(path); !path.HasAny() && (!ok || m.IsEmpty()) {
				return scheme.Failf(scheme.Invalid, "the request needs the member %s", path)
			}
			var refused error
			eachPath(s.m.Payload, path, func(at body.Path, r body.Ref) {
				m := r.Member()
				isString, isObject := m.Kind() == body.String, m.Kind() == body.Obj
				wrong := map[string]bool{"string": !isString, "object": !isString && !isObject, "scalar": !m.IsScalar(), "no-object": isObject}[kind]
				switch {
				case refused != nil:
				case isString && kind != "scalar" && kind != "no-object":
					if err := body.Valid(m.Text()); err != nil && !errors.Is(err, body.ErrSyntax) {
						refused = scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", at, err)
					}
				case wrong:
					refused = scheme.Failf(scheme.Invalid, "the member %s has a type that is not signed; give it as a string", at)
				}
			})
			if refused != nil {
				return refused
			}
		}
		return nil
	}, nil
}

func (s *sealing) stringify(path body.Path) {
	eachPath(s.m.Payload, path, func(at body.Path, r body.Ref) {
		if m := r.Member(); !m.IsScalar() {
			r.SetString(m.Raw())
			s.draft.Memory.Strings = append(s.draft.Memory.Strings, at)
		}
	})
}

// eachPath calls do for each value that a path names, with its own path.
func eachPath(tree *body.Tree, path body.Path, do func(at body.Path, r body.Ref)) {
	tree.Walk(path, func(at body.Path, r body.Ref) bool {
		do(at, r)
		return true
	})
}

// paths reads members, written body.<path>.
func (c *compiler) paths(l Line, words []string) ([]body.Path, error) {
	words, err := c.members(l, words)
	if err != nil {
		return nil, err
	}
	paths := make([]body.Path, len(words))
	for i, word := range words {
		if paths[i], err = bodyPath(word); err != nil {
			return nil, l.errorf("%w", err)
		}
	}
	return paths, nil
}

// token compiles "token <target> <value>", the one statement that sends a secret.
func (c *compiler) token(b *requestBlock, l Line) (func(*sealing) error, error) {
	if len(l.Words) != 3 || len(l.Block) > 0 {
		return nil, l.errorf(`token takes a target and a value, as in: token header.Authorization "Bearer {secret}"`)
	}
	p, err := c.target(b, l, l.Words[1])
	if err != nil {
		return nil, err
	}
	value, err := c.parseTemplate(l.Words[2], false)
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	if !value.has("secret") {
		return nil, l.errorf("token sends no secret; write {secret} into its value, or use set")
	}
	b.tokens++
	var names []string
	for _, p := range value {
		if p.name == "secret" {
			names = append(names, p.arg)
		}
	}
	return func(s *sealing) error {
		e := s.env
		for _, name := range names {
			secret, err := s.draft.Token(name)
			if err != nil {
				return err
			}
			if name == "" {
				e.secret = secret
			}
		}
		text, err := value.text(&e)
		if err != nil {
			return err
		}
		return s.put(p, text, false)
	}, nil
}

// tokenRoles are the roles that tokens need.
func (b *requestBlock) tokenRoles(c *compiler) []keys.Role {
	var roles []keys.Role
	for _, l := range b.line.Block {
		if l.Words[0] == "token" && len(l.Words) == 3 {
			if value, err := c.parseTemplate(l.Words[2], false); err == nil {
				for _, p := range value {
					if p.name == "secret" {
						roles = append(roles, p.secretName())
					}
				}
			}
		}
	}
	return roles
}

// send compiles "send json|form|query|xml|text [root <name>] [charset <name>] [cdata]".
func (c *compiler) send(b *requestBlock, l Line) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	return readFormat(&b.format, &arguments{line: l, words: words[1:], raw: l.Words[1:]})
}

// readFormat reads what stands behind send and receive.
func readFormat(f *message.Format, a *arguments) (err error) {
	if f.Kind, err = a.choice(a.line.Words[0], message.Formats...); err != nil {
		return err
	}
	for !a.done() {
		switch word := a.next(); word {
		case "root":
			if f.Options.Root = a.next(); f.Options.Root == "" {
				return a.line.errorf("root takes a name, as in: send xml root xml")
			}
		case "charset":
			f.Options.Charset = strings.ToLower(a.next())
		case "cdata":
			f.Options.CDATA = true
		case "raw":
			if f.Kind != message.Form {
				return a.line.errorf("raw belongs to forms, as in: receive form raw")
			}
			f.Options.Raw = true
		case "as":
			if a.next() != "wire" {
				return a.line.errorf("as is followed by wire: the application gets what came")
			}
			f.AsWire = true
		default:
			return a.unknown(a.line.Words[0], word, []string{"root", "charset", "cdata", "raw", "as wire"})
		}
	}
	if err := f.Options.Check(); err != nil {
		return a.line.errorf("%w", err)
	}
	return nil
}

// wrapping compiles "wrap form|json <field> [url]" and "unwrap form|json <field> [url]",
// "unwrap url".
func (c *compiler) wrapping(l Line) (*message.Wrap, error) {
	words, err := c.words(l)
	if err != nil {
		return nil, err
	}
	a := &arguments{line: l, words: words[1:], raw: l.Words[1:]}
	if a.peek() == "url" && len(a.words) == 1 {
		return &message.Wrap{}, nil
	}
	w := &message.Wrap{}
	if w.Kind, err = a.choice(words[0], message.Form, message.JSON); err != nil {
		return nil, err
	}
	if w.Field = a.next(); w.Field == "" {
		return nil, l.errorf("%s %s takes the field that holds the payload, as in: %s form TradeInfo", words[0], w.Kind, words[0])
	}
	if a.peek() == "url" {
		w.URL = true
		a.next()
	}
	if !a.done() {
		return nil, a.unknown(words[0], a.next(), []string{"url"})
	}
	return w, nil
}
