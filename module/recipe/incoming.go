package recipe

import (
	"errors"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// incomingBlock is a compiled block of answers or notifications.
type incomingBlock struct {
	line     Line
	kind     message.Kind
	format   message.Format
	zone     *time.Location
	stages   []stage       // what is cut and decrypted before the signature is verified
	before   []*encryption // those of them that decrypt
	verifies []*signature
	after    []*encryption
	single   []body.Path // lists that hold exactly one element
	time     template    // the time of a notification, or nil
	stamp    *freshness  // of time, without a window
	sealed   bool        // the payload is encrypted as a whole
	strings  []body.Path // what the request sends as texts, of an answer
}

// incomingBlock compiles the block of answers or of notifications.
func (c *compiler) incomingBlock(l Line, kind message.Kind) error {
	b := &incomingBlock{line: l, kind: kind, zone: china}
	if kind == message.Answer {
		c.p.answer = b
	} else {
		c.p.notification = b
	}
	lines, err := c.kept(l.Block)
	if err != nil {
		return err
	}
	if err := blockLines(lines, onceInIncoming, blocksInIncoming); err != nil {
		return err
	}
	for _, line := range lines { // they count wherever they stand
		switch line.Words[0] {
		case "receive":
			var words []string
			if words, err = c.words(line); err == nil {
				err = readFormat(&b.format, &arguments{line: line, words: words[1:], raw: line.Words[1:]})
			}
		case "unwrap":
			b.format.Wrap, err = c.wrapping(line)
		case "zone":
			b.zone, err = readZone(line)
		case "as":
			if len(line.Words) != 2 || line.Words[1] != "wire" {
				err = line.errorf("as is followed by wire: the application gets what came")
			}
			b.format.AsWire = true
		}
		if err != nil {
			return err
		}
	}
	c.parts = make(map[string]bool)
	defer func() { c.parts = nil }()
	for _, line := range lines {
		if err := c.incomingLine(b, line); err != nil {
			return err
		}
	}
	b.readLast()
	if len(b.verifies) == 0 {
		return l.errorf("%s has no verify: anybody could send one; add: verify body.sign <algorithm> <encoding> <text>", kind)
	}
	b.format.Sealed = b.sealed
	return c.checkFresh(b)
}

// covers returns what the signatures cover together: each of them must verify.
func (b *incomingBlock) covers() *coverage {
	var all coverage
	for _, s := range b.verifies {
		all.add(s.text.covers)
	}
	return &all
}

// checkFresh refuses a time that no signature covers.
func (c *compiler) checkFresh(b *incomingBlock) error {
	all := b.covers()
	for _, s := range b.verifies {
		if s.fresh != nil && !all.timed(s.fresh.value, all.member) {
			return s.fresh.line.errorf("fresh takes a time that the signature covers, or anybody could send an old message with another one; read a time that stands in the signed text")
		}
	}
	return nil
}

func (c *compiler) incomingLine(b *incomingBlock, l Line) error {
	d := &c.p.description
	switch word := l.Words[0]; word {
	case "receive", "unwrap", "zone", "as":
		return nil
	case "warn":
		return c.header(l)
	case "verify":
		return c.verify(b, l)
	case "decrypt", "open":
		return c.decrypt(b, l)
	case "split":
		return c.split(b, l)
	case "match", "result", "unsigned":
		if b.kind != message.Answer {
			return l.errorf("%s belongs to answers", word)
		}
		return c.answerLine(b, l)
	case "ack", "time", "single", "identity":
		if b.kind != message.Notification {
			return l.errorf("%s belongs to notifications", word)
		}
		return c.notificationLine(b, l, &d.Notify)
	default:
		return l.errorf("unknown word %q in %s; there are receive, unwrap, split, verify, decrypt, open, zone, warn, and for answers match, result and unsigned, for notifications ack, time, single and identity", word, b.kind)
	}
}

// signatures returns the signatures with what they cover. If the protocol signs the
// plaintext, the message is decrypted first; nothing of it is released before it has
// verified.
func (b *incomingBlock) signatures(e *env, in *scheme.Incoming) ([]scheme.Signature, error) {
	e.m.Parts = make(map[string]string)
	if e.m.Form != nil { // fields beside a payload: which of two counts depends on who reads
		if err := checkTwins(e.m.Form.Members(), false); err != nil {
			return nil, err
		}
	}
	for _, at := range b.stages {
		var err error
		if at.split != nil {
			err = at.split.run(e, b)
		} else {
			err = b.decrypt(e, in, at.encryption)
		}
		if err != nil {
			return nil, err
		}
	}
	values := make([][]string, len(b.verifies))
	for i, s := range b.verifies { // check first: a missing signature is reported before other errors
		var err error
		values[i], err = s.place.values(e.m, e.fields())
		if err != nil {
			return nil, invalid(err)
		}
		if len(values[i]) == 0 {
			return nil, scheme.Failf(scheme.Unsigned, "the message has no %s", strings.TrimPrefix(s.place.String(), "body."))
		}
	}
	signatures := make([]scheme.Signature, len(b.verifies))
	for i, s := range b.verifies {
		var err error
		if signatures[i], err = s.incoming(e, values[i]); err != nil {
			return nil, err
		}
	}
	for _, path := range b.single {
		if e.m.Payload == nil {
			return nil, scheme.Failf(scheme.Invalid, "the notification has no list %s", path)
		}
		if list := e.m.Payload.At(path); list == nil || !list.IsList() || len(list.Members()) != 1 {
			return nil, scheme.Failf(scheme.Invalid, "%s is not a list of exactly one element", path)
		}
	}
	return signatures, nil
}

// reveal decrypts the encrypted members, and turns members that the request sent as
// strings of JSON back into JSON.
func (b *incomingBlock) reveal(e *env, in *scheme.Incoming) error {
	for _, s := range b.verifies {
		if err := s.text.checkTwins(e); err != nil {
			return err
		}
		if err := s.text.covers.checkParams(e); err != nil {
			return err
		}
	}
	for _, d := range b.after {
		if err := b.decrypt(e, in, d); err != nil {
			return err
		}
	}
	if err := b.unstring(e, in); err != nil {
		return err
	}
	if b.kind == message.Answer && e.m.Payload != nil {
		for _, path := range e.p.held { // JSON that two readers may read in two ways does not reach an application
			m, _ := e.m.Payload.Get(path)
			if m.IsAbsent() || m.Kind() != body.String {
				continue
			}
			if err := body.Valid(m.Text()); err != nil && !errors.Is(err, body.ErrSyntax) {
				return scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", path, err)
			}
		}
	}
	return nil
}
