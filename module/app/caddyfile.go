package app

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("countersign", parseGlobal)
}

// parseGlobal sets up the app from the global options. Syntax:
//
//	countersign {
//	    keys <source> <arguments...> {
//	        ...
//	    }
//	    audit {
//	        ...
//	    }
//	}
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the word "countersign"
	if existing != nil {
		return nil, d.Err("countersign is given twice; put all keys into one block")
	}
	app := new(App)
	names := make(map[string]bool)
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	for d.NextBlock(0) {
		if d.Val() == "audit" {
			if app.Audit != nil {
				return nil, d.Err("audit is given twice; put all its options into one block")
			}
			var err error
			if app.Audit, err = telemetry.ParseAudit(d); err != nil {
				return nil, err
			}
			continue
		}
		if d.Val() != "keys" {
			return nil, d.Errf("unknown option %q of countersign; it has keys and audit", d.Val())
		}
		at := d.NewFromNextSegment()
		at.Next() // the word "keys"
		if !at.NextArg() {
			return nil, at.Err("keys needs a source, such as file or vault")
		}
		kind := at.Val()
		id := keysource.Namespace + "." + kind
		if _, err := caddy.GetModule(id); err != nil {
			return nil, at.Errf("unknown key source %q; known are %s", kind, known(keysource.Namespace))
		}
		unmarshaled, err := caddyfile.UnmarshalModule(at, id)
		if err != nil {
			return nil, err
		}
		src, ok := unmarshaled.(keysource.Source)
		if !ok {
			return nil, at.Errf("module %s is no key source", id)
		}
		if label := src.Terms().Label(); names[label] {
			return nil, at.Errf("two key sources are called %q; give each a name of its own", src.Terms().Label())
		}
		names[src.Terms().Label()] = true
		app.SourcesRaw = append(app.SourcesRaw, caddyconfig.JSONModuleObject(src, "source", kind, nil))
	}
	if len(app.SourcesRaw) == 0 {
		return nil, d.Err("countersign has no keys; add `keys file <dir>` or `keys vault <address>`")
	}
	return httpcaddyfile.App{Name: "countersign", Value: caddyconfig.JSON(app, nil)}, nil
}

// known lists the modules of a namespace by their last names.
func known(namespace string) string {
	list := ""
	for _, info := range caddy.GetModules(namespace) {
		if list != "" {
			list += ", "
		}
		list += info.ID.Name()
	}
	return list
}
