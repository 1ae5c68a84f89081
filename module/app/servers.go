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

// servers returns the HTTP servers of the configuration that is about to start, or nil.
func (a *App) servers() *caddyhttp.App {
	found, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	servers, _ := found.(*caddyhttp.App)
	return servers
}

// checkServers checks the HTTP servers: the ports that they share with another process,
// and the requests that they answer with an empty 200.
func (a *App) checkServers() error {
	servers := a.servers()
	if servers == nil {
		return nil
	}
	if err := a.checkPorts(); err != nil {
		return err
	}
	for _, r := range unanswered.Find(servers) {
		a.logger.Warn(r.Reason, zap.String("request", r.String()), zap.String("server", r.Server),
			zap.Strings("listen", r.Listen), zap.String("advice", r.Advice))
	}
	return nil
}

// checkPorts refuses a port on which another process listens. Caddy would share it
// without an error (SO_REUSEPORT), and the other process may have other keys.
func (a *App) checkPorts() error {
	servers := a.servers()
	if servers == nil || a.ReplaceRunning {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(servers.Servers)) {
		for _, listen := range servers.Servers[name].Listen {
			address, err := caddy.ParseNetworkAddress(listen)
			if err != nil {
				continue // Caddy refuses it
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
