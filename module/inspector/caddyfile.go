package inspector

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("countersign_inspector", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := new(Handler)
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("countersign_inspector", httpcaddyfile.Before, "abort")
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	countersign_inspector {
//	    keep <n>
//	    bodies
//	    allow_remote [<host>...]
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign_inspector"
	h.Line = directive.Where(d)
	if d.NextArg() {
		return d.WrapErr(i18n.Errorf("countersign_inspector takes a block only"))
	}
	given := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if given[option] {
			return d.WrapErr(i18n.Errorf("%s is given twice", option))
		}
		given[option] = true
		switch option {
		case "keep":
			var text string
			if err := directive.Text(d, option, &text); err != nil {
				return err
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > recorder.MaxKeep {
				return d.WrapErr(i18n.Errorf("keep takes a number from 1 to %d, not %q", recorder.MaxKeep, text))
			}
			h.Keep = n
		case "bodies":
			if d.NextArg() {
				return d.WrapErr(i18n.Errorf("bodies takes no argument"))
			}
			h.Bodies = true
		case "allow_remote":
			h.AllowRemote, h.Hosts = true, d.RemainingArgs()
		default:
			return d.WrapErr(i18n.Errorf("unknown option %q of countersign_inspector; it has keep, bodies and allow_remote", option))
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
