package recipe

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// notificationLine compiles ack, time, single and identity.
func (c *compiler) notificationLine(b *incomingBlock, l Line, rule *scheme.NotifyRule) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	switch words[0] {
	case "ack":
		if len(words) > 1 && words[1] == "sign" {
			return c.ackSign(l, rule)
		}
		if len(l.Block) > 0 {
			return l.errorf("ack takes no block, unless it is: ack sign")
		}
		if len(words) < 2 || len(words) > 4 || len(words) == 4 && (words[2] != "ignore" || words[3] != "case") || len(words) == 3 {
			return l.errorf(`ack takes one text, as in: ack success, or: ack success ignore case`)
		}
		rule.Ack, rule.IgnoreCase = unescape(words[1]), len(words) == 4
	case "time":
		if len(words) != 3 {
			return l.errorf("time takes a value and a unit or layout, as in: time {body.timestamp} unix")
		}
		value, err := c.parseTemplate(l.Words[1], false)
		if err != nil {
			return l.errorf("%w", err)
		}
		if err := checkLayout(l, words[2]); err != nil {
			return err
		}
		if err := c.noSecret(l, value); err != nil {
			return err
		}
		if err := c.checkValue(l, value, message.Notification); err != nil {
			return err
		}
		b.time = value
		layout := words[2]
		b.stamp = &freshness{value: value, layout: layout}
		rule.Time = func(v *scheme.Verified) (time.Time, bool) {
			m := v.Message()
			e := &env{p: c.p, m: &m, zone: b.zone}
			m.Parts = make(map[string]string)
			for _, s := range b.splits() {
				if s.run(e, b) != nil {
					return time.Time{}, false
				}
			}
			text, err := value.text(e)
			if err != nil {
				return time.Time{}, false
			}
			return parseTime(text, layout, b.zone)
		}
	case "single":
		if b.single, err = c.paths(l, l.Words[1:]); err != nil || len(b.single) == 0 {
			return l.errorf("single takes a list, as in: single body.notificationItems")
		}
	case "identity":
		if len(words) > 3 && words[1] == "body" && words[2] == "except" {
			rule.IdentityExcept = words[3:]
			break
		}
		if rule.Identity, err = c.paths(l, l.Words[1:]); err != nil || len(rule.Identity) == 0 {
			return l.errorf("identity takes members, as in: identity body.id, or: identity body except timestamp")
		}
	}
	return nil
}

// ackSign compiles "ack sign <target> <algorithm> <encoding> <text>".
func (c *compiler) ackSign(l Line, rule *scheme.NotifyRule) error {
	signLine := l
	signLine.Words = append([]string{"sign"}, l.Words[2:]...)
	s, rest, err := c.signatureLine(signLine, message.Answer)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return l.errorf("ack sign takes a target, an algorithm, an encoding and a text")
	}
	if err := c.signatureBlock(s); err != nil {
		return err
	}
	if err := c.checkValue(l, slices.Concat(s.text.parts, s.uid), message.Notification); err != nil {
		return err
	}
	c.p.ackSign, c.p.ackRoles = s, s.roles(message.Request)
	rule.SignAck = func(d *scheme.Draft) error {
		format, err := c.p.readAck(d.Message)
		if err != nil {
			return err
		}
		if s.text.build.raw == nil {
			if err := flat(d.Message.Payload); err != nil {
				return err
			}
		}
		o := &sealing{block: &requestBlock{zone: china, format: format}, draft: d}
		o.env = env{p: c.p, m: d.Message, keys: d.Keys, now: d.Now, zone: china, bytes: o.payload}
		if err := o.sign(s); err != nil {
			return err
		}
		d.Message.Wire, err = o.payload()
		return err
	}
	return nil
}

// xmlRoot finds the name of the root of XML.
var xmlRoot = regexp.MustCompile(`^\s*(?:<\?xml[^>]*>)?\s*<([\pL_][\pL\d_.:-]*)`)

// readAck reads an acknowledgement, unless it was read: JSON, or the format in which
// notifications come.
func (p *Program) readAck(m *message.Message) (message.Format, error) {
	if m.Payload != nil {
		return message.Format{}, nil
	}
	o, err := body.Parse(m.Wire)
	if err == nil {
		m.SetPayload(o)
		return message.Format{}, nil
	}
	f := message.Format{Kind: p.notification.format.Kind, Options: p.notification.format.Options}
	root := xmlRoot.FindSubmatch(m.Wire)
	switch {
	case f.Kind == message.XML && root != nil:
		f.Options.Root = string(root[1])
		err = f.Read(m)
	case f.Kind == message.Form && bytes.Contains(m.Wire, []byte("=")):
		err = f.Read(m)
	case f.Kind == message.XML, f.Kind == message.Form:
		err = body.ErrSyntax
	default:
		return f, scheme.Failf(scheme.Invalid, "the application's acknowledgement is not a JSON object, and the signature has no place in it")
	}
	if err != nil || m.Payload == nil {
		return f, scheme.Failf(scheme.Invalid, "the application's acknowledgement is neither a JSON object nor, as the notification is, %s, and the signature has no place in it", f.Kind)
	}
	return f, nil
}

// flat refuses an acknowledgement with an object or a list, also as a string. It is
// signed by the rule of requests, without guardrails: an application that answers
// notifications must not get an order signed that way.
func flat(ack *body.Tree) error {
	if ack == nil {
		return nil
	}
	for _, m := range ack.Members() {
		text := strings.TrimSpace(string(m.Text()))
		if !m.IsScalar() || strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
			return scheme.Failf(scheme.Invalid, "the member %s of the acknowledgement is or holds an object or a list; only plain values are signed there", body.ShowName(m.Name()))
		}
	}
	return nil
}

// notification sets the part of the description that is about notifications.
func (c *compiler) notification(b *incomingBlock) error {
	d := &c.p.description
	d.Notification = c.direction(b)
	d.Notification.Roles = append(d.Notification.Roles, c.p.ackRoles...)
	rule := &d.Notify
	rule.Methods = []string{"POST"}
	if b.format.Kind == message.Form || b.format.Kind == message.Query {
		rule.Methods = []string{"POST", "GET"}
	}
	if b.time != nil && !b.covers().timed(b.time, d.Notification.Covers) {
		rule.Time = nil // no signature covers it, so that a window would not help
	}
	for _, path := range rule.Identity {
		if !d.Notification.Covers(path) {
			return c.lineNaming("identity", path, b.line).errorf("identity %s: no signature covers it, so that a copy could have another; name a member that is signed", path)
		}
	}
	d.Notification.Reads = append(d.Notification.Reads, rule.Identity...)
	for _, p := range b.time {
		if p.name == "body" && p.path != nil {
			d.Notification.Reads = append(d.Notification.Reads, p.path)
		}
	}
	fresh := rule.Time != nil || slices.ContainsFunc(b.verifies, func(s *signature) bool {
		return s.fresh != nil || slices.ContainsFunc(s.text.covers.headers, func(name string) bool {
			return strings.Contains(strings.ToLower(name), "nonce") || strings.Contains(strings.ToLower(name), "timestamp")
		})
	})
	if !fresh {
		c.warn("a notification has neither a time nor a nonce that is read, so that an old one can be sent again: use once")
	}
	return nil
}
