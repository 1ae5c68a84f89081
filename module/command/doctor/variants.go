package doctor

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/network"
)

// variantTimeout is the time for each handshake that is tried.
const variantTimeout = 5 * time.Second

// variants are the ways to shake hands that reach old servers, and servers behind
// boxes that drop what is large. Each is tried alone, the mildest first.
var variants = []struct {
	option string
	change func(*tls.Config)
}{
	{network.SmallHello, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }},
	{"legacy_tls rsa", legacy(network.LegacyRSA)},
	{"legacy_tls 1.0", legacy(network.LegacyTLS10)},
	{"legacy_tls 1.0 rsa", legacy(network.LegacyTLS10, network.LegacyRSA)},
	{"legacy_tls 1.0 rsa 3des", legacy(network.LegacyTLS10, network.LegacyRSA, network.Legacy3DES)},
}

func legacy(words ...string) func(*tls.Config) {
	return func(c *tls.Config) { network.Legacy(c, words) }
}

// worksWith is the option with which a handshake succeeds that fails without any, or
// "".
func worksWith(ctx context.Context, base *tls.Config, address caddy.NetworkAddress) string {
	if base == nil || shakes(ctx, base, address) {
		return ""
	}
	for _, v := range variants {
		config := base.Clone()
		v.change(config)
		if shakes(ctx, config, address) {
			return v.option
		}
	}
	return ""
}

// shakes reports whether a handshake succeeds. It sends no request.
func shakes(ctx context.Context, config *tls.Config, address caddy.NetworkAddress) bool {
	ctx, cancel := context.WithTimeout(ctx, variantTimeout)
	defer cancel()
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = address.Host
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address.JoinHostPort(0))
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return tls.Client(conn, config).HandshakeContext(ctx) == nil
}
