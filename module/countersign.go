// Package countersign adds the modules of caddy-countersign to Caddy.
//
// It is the one import list: a scheme in Go, a key source or a store is added to the
// Caddy binary by a line here.
package countersign

import (
	// Caddy modules.
	_ "github.com/countersign/caddy-countersign/module/app"
	_ "github.com/countersign/caddy-countersign/module/inspector"
	_ "github.com/countersign/caddy-countersign/module/notify"
	_ "github.com/countersign/caddy-countersign/module/proxy"
	_ "github.com/countersign/caddy-countersign/module/sandbox"

	// Commands.
	_ "github.com/countersign/caddy-countersign/module/command"

	// Key sources.
	_ "github.com/countersign/caddy-countersign/module/keysource/file"
	_ "github.com/countersign/caddy-countersign/module/keysource/vault"

	// Stores of notifications, budgets and orders.
	_ "github.com/countersign/caddy-countersign/module/stores/memory"
	_ "github.com/countersign/caddy-countersign/module/stores/redis"
	// The providers.
)
