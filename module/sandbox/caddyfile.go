package sandbox

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/protocol"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("countersign_sandbox", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := &Handler{recipes: app.RecipesOf(h.Option("countersign"))}
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("countersign_sandbox", httpcaddyfile.Before, "reverse_proxy")
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	countersign_sandbox <scheme> {
//	    keys         [<source>] <reference>
//	    notify       <url>
//	    answer       <JSON>               of a recipe
//	    notification <JSON>               of a recipe
//	    <option of the recipe> <value>...
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign_sandbox"
	h.Line = directive.Where(d)
	if !d.AllArgs(&h.Scheme) {
		return d.WrapErr(i18n.Errorf("countersign_sandbox takes a scheme, such as easypay, or a recipe; caddy countersign recipe list shows those that ship"))
	}
	_, byHand := providers[h.Scheme]
	if _, err := protocol.Options(h.Scheme, h.recipes); err != nil && !byHand {
		return d.WrapErr(i18n.Errorf("there is no sandbox for %q: it is no recipe; caddy countersign recipe list shows those that ship", h.Scheme))
	}
	for d.NextBlock(0) {
		switch option := d.Val(); option {
		case "keys":
			if h.Reference != "" {
				return d.WrapErr(i18n.Errorf("keys is given twice"))
			}
			switch args := d.RemainingArgs(); len(args) {
			case 1:
				h.Reference = args[0]
			case 2:
				h.Source, h.Reference = args[0], args[1]
			default:
				return d.WrapErr(i18n.Errorf("keys takes a reference, or the name of a source and a reference"))
			}
		case "notify":
			if h.Notify != "" {
				return d.WrapErr(i18n.Errorf("notify is given twice"))
			}
			if !d.AllArgs(&h.Notify) {
				return d.WrapErr(i18n.Errorf("notify takes one address"))
			}
		case "answer", "notification":
			to := &h.Answer
			if option == "notification" {
				to = &h.Notification
			}
			if *to != "" {
				return d.WrapErr(i18n.Errorf("%s is given twice", option))
			}
			if !d.AllArgs(to) || *to == "" {
				return d.WrapErr(i18n.Errorf("%s takes one JSON object, in backquotes", option))
			}
		default:
			if byHand {
				return d.WrapErr(i18n.Errorf("unknown option %q of countersign_sandbox %s; it has keys and notify", option, h.Scheme))
			}
			if err := h.setOption(option, d.RemainingArgs()); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	if h.Reference == "" {
		return i18n.Errorf("countersign_sandbox %s needs keys; add: keys <reference>, at %s", h.Scheme, h.Line)
	}
	if _, err := h.newPlayer(h.recipes); err != nil {
		return directive.WithPlace(err, h.Line)
	}
	return nil
}

// setOption sets an option of the recipe.
func (h *Handler) setOption(option string, args []string) error {
	if _, twice := h.Options[option]; twice {
		return i18n.Errorf("%s is given twice", option)
	}
	config := protocol.Config{Name: h.Scheme, Settings: h.Options}
	if err := config.Set(h.recipes, option, args); err != nil {
		return i18n.Errorf("%w; besides, a sandbox has keys, notify, answer and notification", err)
	}
	h.Options = config.Settings
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
