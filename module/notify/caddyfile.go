package notify

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/stores"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("countersign_notify", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := &Handler{recipes: app.RecipesOf(h.Option("countersign"))}
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	// Before every directive that answers: behind "handle" or "respond" a
	// forged notification would get their 200.
	httpcaddyfile.RegisterDirectiveOrder("countersign_notify", httpcaddyfile.Before, "invoke")
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	countersign_notify [<matcher>] <scheme> {
//	    keys                   [<source>] <reference>
//	    profile                <name>
//	    max_request_body       <size>
//	    max_in_flight          <number>
//	    timeout                <duration>
//	    as                     json|wire
//	    window                 <duration>
//	    ack                    <text>
//	    once                   <duration> [<store> [<argument>...] {
//	        <option of the store>
//	    }]
//	    expect                 <member> <value>
//	    <option of the scheme> <value>...
//	}
//
// Only expect may be given several times.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign_notify"
	h.Line = directive.Where(d)
	at := directive.At(d)
	if !d.NextArg() {
		return d.WrapErr(i18n.Errorf("countersign_notify needs a scheme: %s", strings.Join(protocol.Names(h.recipes), ", ")))
	}
	name := d.Val()
	h.Scheme.Name = name
	if _, err := protocol.Options(name, h.recipes); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		return d.WrapErr(i18n.Errorf("countersign_notify takes one scheme and no more; the application stands behind it, for instance as: reverse_proxy %s", d.Val()))
	}
	p := &parser{h: h}
	if err := p.parse(d); err != nil {
		return err
	}
	s, err := notifier(h.Scheme, h.recipes)
	if err != nil {
		return at(err)
	}
	if h.Reference == "" {
		return at(i18n.Errorf("countersign_notify %s needs keys; add: keys <reference>", name))
	}
	// What the scheme signs can depend on all of its options.
	for _, check := range p.later {
		if err := check(s.Describe()); err != nil {
			return err
		}
	}
	return nil
}

// parser reads the options of the directive.
type parser struct {
	h     *Handler
	later []func(*scheme.Description) error
}

func (p *parser) parse(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] && option != "expect" {
			return d.WrapErr(i18n.Errorf("%s is given twice", option))
		}
		seen[option] = true
		if err := p.option(d, option); err != nil {
			return err
		}
	}
	return nil
}

// option reads one option. The scheme's own come last, so that a scheme cannot
// change what a common one means.
func (p *parser) option(d *caddyfile.Dispenser, option string) (err error) {
	h, at := p.h, directive.At(d)
	switch option {
	case "keys":
		h.Source, h.Reference, err = directive.Keys(d)
	case "profile":
		err = directive.Text(d, option, &h.Profile)
	case "max_request_body":
		err = directive.Size(d, option, &h.MaxRequestBody)
	case "max_in_flight":
		err = parseNumber(d, option, &h.MaxInFlight)
	case "timeout":
		err = directive.Duration(d, option, &h.Timeout)
	case "as":
		err = directive.Take(d, directive.Enum(option, &h.As, "json", "wire"))
	case "window":
		err = directive.Duration(d, option, &h.Window)
		p.later = append(p.later, func(rules *scheme.Description) error {
			return at(checkWindow(h.Window, rules))
		})
	case "ack":
		if err = directive.Text(d, option, &h.Ack); err == nil && strings.TrimSpace(h.Ack) == "" {
			err = d.WrapErr(i18n.Errorf("ack takes a text that is not only white space"))
		}
	case "once":
		h.Once, err = parseOnce(d)
	case "expect":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.WrapErr(i18n.Errorf("expect takes a signed member and its value, as in: expect mchNo M1623997351"))
		}
		e := Expectation{Member: args[0], Value: args[1]}
		h.Expect = append(h.Expect, e)
		p.later = append(p.later, func(rules *scheme.Description) error {
			return at(e.check(rules))
		})
	default:
		if err := h.Scheme.Set(h.recipes, option, d.RemainingArgs()); err != nil {
			return d.WrapErr(err)
		}
	}
	return err
}

// parseNumber reads a number from 1.
func parseNumber(d *caddyfile.Dispenser, option string, to *int64) error {
	var value string
	if err := directive.Text(d, option, &value); err != nil {
		return err
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 {
		return d.WrapErr(i18n.Errorf("%s must be a number from 1, not %q", option, value))
	}
	*to = n
	return nil
}

// parseOnce reads "once <duration> [<store> [<argument>...]]" with the store's
// block.
func parseOnce(d *caddyfile.Dispenser) (*Once, error) {
	if !d.NextArg() {
		return nil, d.WrapErr(i18n.Errorf("once takes a duration, such as 24h, and may name a store"))
	}
	keep, err := directive.ParseDuration(d.Val())
	if err != nil {
		return nil, d.WrapErr(i18n.Errorf("once takes a duration such as 24h, not %q", d.Val()))
	}
	once := &Once{For: keep}
	if !d.NextArg() {
		return once, nil
	}
	once.StoreRaw, err = stores.UnmarshalCaddyfile(d)
	return once, err
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
