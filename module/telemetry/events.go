package telemetry

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// The events.
const (
	EventKeysLoaded         = "countersign.keys_loaded"
	EventKeysRefreshFailed  = "countersign.keys_refresh_failed"
	EventVerificationFailed = "countersign.verification_failed"
)

// Emit sends an event to the events app of the running configuration, if there is
// one.
func Emit(name string, data map[string]any) {
	ctx := caddy.ActiveContext()
	if ctx.Context == nil {
		return
	}
	app, err := ctx.AppIfConfigured("events")
	if err != nil {
		return
	}
	if events, ok := app.(*caddyevents.App); ok {
		events.Emit(ctx, name, data)
	}
}
