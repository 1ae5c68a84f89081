package app

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(MatchReady))
}

// MatchReady matches while every key set that the configuration names is
// loaded and not older than max_stale. For a reference with {body.…} it matches
// while the source has answered within max_stale. It is made for a readiness
// probe.
type MatchReady struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (*MatchReady) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.countersign_ready",
		New: func() caddy.Module { return new(MatchReady) },
	}
}

// UnmarshalCaddyfile sets up the matcher from Caddyfile tokens. Syntax:
//
//	countersign_ready
func (*MatchReady) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() || d.NextBlock(d.Nesting()) {
			return d.Err("countersign_ready takes no arguments")
		}
	}
	return nil
}

// Provision finds the app.
func (m *MatchReady) Provision(ctx caddy.Context) error {
	app, err := Of(ctx)
	m.app = app
	return err
}

// MatchWithError reports whether the keys are ready.
func (m *MatchReady) MatchWithError(*http.Request) (bool, error) { return m.app.Ready(), nil }

// Match reports whether the keys are ready.
func (m *MatchReady) Match(*http.Request) bool { return m.app.Ready() }

// Of finds the app of a configuration.
func Of(ctx caddy.Context) (*App, error) {
	found, err := ctx.App("countersign")
	if err != nil {
		return nil, err
	}
	return found.(*App), nil
}

var (
	_ caddyhttp.RequestMatcherWithError = (*MatchReady)(nil)
	_ caddyfile.Unmarshaler             = (*MatchReady)(nil)
	_ caddy.Provisioner                 = (*MatchReady)(nil)
)
