// Package countersign adds the modules of caddy-countersign to Caddy.
//
// It is the one import list: a new scheme, key source or store is added to a
// Caddy binary by a line here and nowhere else.
package countersign

import (
	// What Caddy's configuration sees.
	_ "github.com/countersign/caddy-countersign/module/app"
	_ "github.com/countersign/caddy-countersign/module/inspector"
	_ "github.com/countersign/caddy-countersign/module/notify"
	_ "github.com/countersign/caddy-countersign/module/proxy"
	_ "github.com/countersign/caddy-countersign/module/sandbox"

	// What the command line sees.
	_ "github.com/countersign/caddy-countersign/module/command"

	// Where keys come from.
	_ "github.com/countersign/caddy-countersign/module/keysource/file"
	_ "github.com/countersign/caddy-countersign/module/keysource/vault"

	// Where seen notifications are remembered.
	_ "github.com/countersign/caddy-countersign/module/stores/memory"
	_ "github.com/countersign/caddy-countersign/module/stores/redis"
	// The providers.
)
