package app

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/unanswered"
)

func init() {
	caddy.RegisterModule(new(MatchReady))
}

// MatchReady matches while every key set that the configuration names is
// loaded and not older than max_stale. For a reference with {body.…} it matches
// while the source has answered within max_stale. Where a key set has keys that
// never leave Vault, it matches only while Vault is unsealed and answers. It does
// not match before every store of the guardrails and of once has answered. It is
// made for a readiness probe.
type MatchReady struct {
	// Checks only that the keys are loaded, and not that Vault's Transit can use them:
	// a sealed Vault then does not make the providers unready that need no Transit key.
	// Default: false.
	LoadedOnly bool `json:"loaded_only,omitempty"`

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
//	countersign_ready [loaded_only]
func (m *MatchReady) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() {
			if d.Val() != "loaded_only" {
				return d.WrapErr(i18n.Errorf("countersign_ready takes nothing or loaded_only, not %q", d.Val()))
			}
			m.LoadedOnly = true
		}
		if d.NextArg() || d.NextBlock(d.Nesting()) {
			return d.WrapErr(i18n.Errorf("countersign_ready takes no arguments but loaded_only"))
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
func (m *MatchReady) MatchWithError(r *http.Request) (bool, error) { return m.Match(r), nil }

// Match reports whether the keys are ready.
func (m *MatchReady) Match(r *http.Request) bool {
	if unanswered.IsProbe(r.Context()) {
		return false
	}
	return m.app.Ready() && (m.LoadedOnly || m.app.probed() && m.app.Operable(r.Context()))
}

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
