package recipe

import (
	"net/url"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/wire"
)

// requestBlock is a compiled block of requests.
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

	statements []statement // in their order, for the peer
}

// statement is what a peer undoes or checks: one of the five.
type statement struct {
	sign       *signature
	encryption *encryption
	token      *assignment
	encoded    *encoded
	set        *assignment
}

// assignment is a value that is put to a place.
type assignment struct {
	place     place
	value     template
	isDefault bool
}

// sealing is the state of Complete for one request.
type sealing struct {
	env
	block *requestBlock
	draft *scheme.Draft
	whole []byte // the payload, once it is encrypted as a whole
	early bool   // the payload is still to be encrypted as a whole
	typed bool   // a line has set the Content-Type, and not the format
}

// inQuery reports whether the payload is sent as the query.
func (b *requestBlock) inQuery() bool {
	return b.format.Kind == message.Query && b.format.Wrap == nil
}

func (s *sealing) run() error {
	if s.block.inQuery() && s.m.Query != "" && len(s.m.Wire) > 0 {
		return scheme.Failf(scheme.Invalid, "the request has a body and a query, and the provider takes the members in the query; put all of them into one of the two")
	}
	if s.block.format.Wrap != nil {
		s.m.Form = emptyTree()
	}
	s.setType()
	query := s.m.Query
	for _, step := range s.block.steps {
		if err := step(s); err != nil {
			return invalid(err)
		}
	}
	if err := s.finish(); err != nil {
		return err
	}
	return s.apart(query)
}

// apart refuses a parameter of the application's query if a field of the form has that
// name, as the most lenient server reads it, and another value: some servers take the one,
// which is not signed, and some the other.
func (s *sealing) apart(query string) error {
	fields := s.m.Payload
	if s.block.format.Wrap != nil {
		fields = s.m.Form
	}
	if query == "" || fields == nil || s.block.inQuery() || !strings.HasPrefix(s.block.format.MediaType(), "application/x-www-form-urlencoded") {
		return nil
	}
	texts := make(map[string]string)
	for _, m := range fields.Members() {
		for _, name := range wire.ReadAs(string(m.Name())) {
			texts[folded([]byte(name))] = string(m.Text())
		}
	}
	for piece := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(piece, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		value, err = url.QueryUnescape(value)
		for _, read := range wire.ReadAs(name) {
			if text, ok := texts[folded([]byte(read))]; ok && (err != nil || value != text) {
				return scheme.Failf(scheme.Ambiguous, "the request has %s in the form and, with another value, in the query; give it in one of them", body.ShowName(name))
			}
		}
	}
	return nil
}

// setType sets the Content-Type of the format, before a line may set another one and a
// text may read it.
func (s *sealing) setType() {
	if s.m.Payload != nil && !s.block.inQuery() {
		s.m.Header.Set("Content-Type", s.block.format.MediaType())
	}
}

// finish writes the body or the query that leaves.
func (s *sealing) finish() error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	f := s.block.format
	switch {
	case s.block.inQuery():
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
	return nil
}

// payload returns the payload as it leaves, without the fields beside it.
func (s *sealing) payload() ([]byte, error) {
	if s.whole != nil {
		return s.whole, nil
	}
	text, err := s.block.format.Write(s.m.Payload)
	return text, invalid(err)
}

// leaving returns the bytes that leave, which {body} stands for: of a payload in a field
// the whole form. What is signed before the payload is encrypted as a whole is the
// payload, as it is where it comes in.
func (s *sealing) leaving() ([]byte, error) {
	payload, err := s.payload()
	if err != nil || payload == nil || s.block.format.Wrap == nil || s.early && s.whole == nil {
		return payload, err
	}
	text, err := s.block.format.WriteWrapped(s.m.Form, payload)
	return text, invalid(err)
}

// wrap puts the payload into its field, so that {form.x} reads it, or into the query,
// so that {query} and {uri} read it.
func (s *sealing) wrap() error {
	f := s.block.format
	if s.block.inQuery() {
		payload, err := s.payload()
		s.m.Query = string(payload)
		return err
	}
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
	if err := blockLines(lines, onceInRequest, blocksInRequest); err != nil {
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
		return c.remove(b, l)
	case "string":
		return c.string(b, l)
	case "check":
		return c.check(l)
	case "encode":
		return c.encode(b, l)
	case "encrypt":
		return c.encrypt(b, l)
	case "seal":
		return c.seal(b, l)
	case "token":
		return c.token(b, l)
	case "sign":
		return c.sign(b, l)
	}
	return nil, l.errorf("unknown word %q in request; there are default, set, remove, string, check, encode, encrypt, seal, token, sign, send, wrap, zone and warn", l.Words[0])
}

// send compiles "send json|form|query|xml|text [root <name>] [charset <name>] [cdata]".
func (c *compiler) send(b *requestBlock, l Line) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	return readFormat(&b.format, &arguments{line: l, words: words[1:], raw: l.Words[1:]})
}
