package app

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/listening"
	"github.com/countersign/caddy-countersign/module/unanswered"
)

// checkServers looks at the HTTP servers of the configuration that is about to
// start: at the ports that they share with another process, and at the requests
// that they leave without an answer.
func (a *App) checkServers() error {
	found, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil //nolint:nilerr // there are no servers
	}
	servers, ok := found.(*caddyhttp.App)
	if !ok {
		return nil
	}
	if !a.ReplaceRunning {
		if err := checkPorts(servers); err != nil {
			return err
		}
	}
	for _, r := range unanswered.Find(servers) {
		a.logger.Warn(unanswered.Reason, zap.String("request", r.String()), zap.String("server", r.Server),
			zap.Strings("listen", r.Listen), zap.String("advice", unanswered.Advice))
	}
	return nil
}

// checkPorts refuses a port on which another process listens. Caddy shares it
// without a word (SO_REUSEPORT), and the other one may have other keys.
func checkPorts(servers *caddyhttp.App) error {
	for _, name := range slices.Sorted(maps.Keys(servers.Servers)) {
		for _, listen := range servers.Servers[name].Listen {
			address, err := caddy.ParseNetworkAddress(listen)
			if err != nil {
				continue // Caddy refuses it by itself
			}
			taken, err := listening.Elsewhere(address)
			if err != nil {
				return i18n.Errorf("looking for others that listen on %s: %w", listen, err)
			}
			if taken != "" {
				return i18n.Errorf("another process listens on %s: the two would share the requests, each with its own keys; stop the other one, take another port, or write replace_running into the global block countersign to replace it on purpose", taken)
			}
		}
	}
	return nil
}
