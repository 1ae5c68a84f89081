package sandbox

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("countersign_sandbox", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := new(Handler)
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("countersign_sandbox", httpcaddyfile.Before, "reverse_proxy")
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	countersign_sandbox <scheme> {
//	    keys   [<source>] <reference>
//	    notify <url>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign_sandbox"
	h.Line = fmt.Sprintf("%s:%d", d.File(), d.Line())
	if !d.AllArgs(&h.Scheme) {
		return d.Errf("countersign_sandbox takes a scheme: %s", names())
	}
	if _, ok := providers[h.Scheme]; !ok {
		return d.Errf("there is no sandbox for %q; there is one for %s", h.Scheme, names())
	}
	for d.NextBlock(0) {
		switch option := d.Val(); option {
		case "keys":
			if h.Reference != "" {
				return d.Err("keys is given twice")
			}
			switch args := d.RemainingArgs(); len(args) {
			case 1:
				h.Reference = args[0]
			case 2:
				h.Source, h.Reference = args[0], args[1]
			default:
				return d.Err("keys takes a reference, or the name of a source and a reference")
			}
		case "notify":
			if h.Notify != "" {
				return d.Err("notify is given twice")
			}
			if !d.AllArgs(&h.Notify) {
				return d.Err("notify takes one address")
			}
		default:
			return d.Errf("unknown option %q of countersign_sandbox; it has keys and notify", option)
		}
	}
	if h.Reference == "" {
		return fmt.Errorf("countersign_sandbox %s needs keys; add: keys <reference>, at %s", h.Scheme, h.Line)
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
