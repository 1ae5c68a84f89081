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

// variants are TLS settings that work with old servers, and with servers behind
// middleboxes that drop a large ClientHello. Each is tried alone, the one that weakens
// TLS least first.
var variants = []struct {
	option string
	change func(*tls.Config)
}{
	{network.SmallHello, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }},
	{"legacy_tls rsa", legacy(network.LegacyRSA)},
	{"legacy_tls 3des", legacy(network.Legacy3DES)},
	{"legacy_tls rsa 3des", legacy(network.LegacyRSA, network.Legacy3DES)},
	{"legacy_tls 1.0", legacy(network.LegacyTLS10)},
	{"legacy_tls 1.0 rsa", legacy(network.LegacyTLS10, network.LegacyRSA)},
	{"legacy_tls 1.0 rsa 3des", legacy(network.LegacyTLS10, network.LegacyRSA, network.Legacy3DES)},
}

func legacy(words ...string) func(*tls.Config) {
	return func(c *tls.Config) { network.Legacy(c, words) }
}

// handshakes is the result of trying them.
type handshakes struct {
	works string // the option with which one succeeds that fails without any, or ""
	asked bool   // the server has asked for a client certificate
}

// tryVariants tries a TLS handshake with each of the variants until one succeeds.
func tryVariants(ctx context.Context, base *tls.Config, address caddy.NetworkAddress) handshakes {
	var h handshakes
	if base == nil {
		return h
	}
	base = base.Clone()
	if choose := base.GetClientCertificate; choose == nil && len(base.Certificates) == 0 {
		base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.asked = true
			return new(tls.Certificate), nil
		}
	}
	if shakes(ctx, base, address) {
		return h
	}
	for _, v := range variants {
		config := base.Clone()
		v.change(config)
		if shakes(ctx, config, address) {
			h.works = v.option
			break
		}
	}
	return h
}

// shakes reports whether a TLS handshake succeeds. It sends no request.
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
