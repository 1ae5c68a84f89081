package recipe

import (
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/message"
)

// readFormat reads what stands behind send and receive.
func readFormat(f *message.Format, a *arguments) (err error) {
	if f.Kind, err = a.choice(a.line.Words[0], message.Formats...); err != nil {
		return err
	}
	for !a.done() {
		switch word := a.next(); word {
		case "root":
			if f.Kind != message.XML && f.Kind != message.Text {
				return a.line.errorf("root belongs to XML, and to a text, whose member it names; %s has none", f.Kind)
			}
			if f.Options.Root = a.next(); f.Options.Root == "" {
				return a.line.errorf("root takes a name, as in: send xml root xml")
			}
		case "charset":
			f.Options.Charset = strings.ToLower(a.next())
		case "cdata":
			if f.Kind != message.XML {
				return a.line.errorf("cdata belongs to XML, as in: send xml cdata")
			}
			f.Options.CDATA = true
		case "nested":
			if f.Kind != message.XML {
				return a.line.errorf("nested belongs to XML, as in: send xml nested")
			}
			f.Options.Nested = true
		case "raw":
			if f.Kind != message.Form {
				return a.line.errorf("raw belongs to forms, as in: receive form raw")
			}
			f.Options.Raw = true
		case "as":
			if a.line.Words[0] == "send" {
				return a.line.errorf("as wire belongs to receive: the application gets what came")
			}
			if a.next() != "wire" {
				return a.line.errorf("as is followed by wire: the application gets what came")
			}
			f.AsWire = true
		default:
			return a.unknown(a.line.Words[0], word, []string{"root", "charset", "cdata", "nested", "raw", "as wire"})
		}
	}
	if err := f.Options.Check(); err != nil {
		return a.line.errorf("%w", err)
	}
	return nil
}

// wrapping compiles "wrap form|json <field> [url|base64]" and "unwrap form|json <field> [url|base64]",
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
	if w.Kind = a.next(); w.Kind != message.Form && w.Kind != message.JSON {
		return nil, l.errorf("%s takes one of form, json, url, not %q; behind form and json stands the field", words[0], w.Kind)
	}
	if w.Field = a.next(); w.Field == "" {
		return nil, l.errorf("%s %s takes the field that holds the payload, as in: %s form TradeInfo", words[0], w.Kind, words[0])
	}
	switch a.peek() {
	case "url":
		w.URL = true
		a.next()
	case "base64":
		w.Base64 = true
		a.next()
	}
	if !a.done() {
		return nil, a.unknown(words[0], a.next(), []string{"url", "base64"})
	}
	return w, nil
}

// zone reads the line of a time zone.
func readZone(l Line) (*time.Location, error) {
	if len(l.Words) != 2 || l.Words[1] == "" {
		return nil, l.errorf("zone takes one name, as in: zone UTC")
	}
	if l.Words[1] == "China" || l.Words[1] == "Asia/Shanghai" {
		return china, nil
	}
	zone, err := time.LoadLocation(l.Words[1])
	if err != nil {
		return nil, l.errorf("the zone %q is not known; write a name such as UTC or Asia/Taipei", l.Words[1])
	}
	return zone, nil
}
