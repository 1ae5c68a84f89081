package proxy

import (
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// What reverse_proxy asks of a transport beside RoundTrip. Most of it is answered by the
// HTTP transport inside.

// TLSEnabled reports whether the upstream is reached with TLS.
func (t *Transport) TLSEnabled() bool { return t.HTTP != nil && t.HTTP.TLSEnabled() }

// EnableTLS makes the transport use TLS.
func (t *Transport) EnableTLS(base *reverseproxy.TLSConfig) error {
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
	return t.HTTP.EnableTLS(base)
}

// EnableH2C makes the transport speak HTTP/2 without TLS.
func (t *Transport) EnableH2C() error {
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
	return t.HTTP.EnableH2C()
}

// OverrideHealthCheckScheme makes health checks use TLS where requests do.
func (t *Transport) OverrideHealthCheckScheme(base *url.URL, port string) {
	t.HTTP.OverrideHealthCheckScheme(base, port)
}

// ProxyProtocolEnabled reports whether connections begin with the PROXY protocol, which
// names the client, so that two clients do not share one.
func (t *Transport) ProxyProtocolEnabled() bool {
	return t.HTTP != nil && t.HTTP.ProxyProtocolEnabled()
}

// RequestHeaderOps sets Host to the name of the upstream, whatever name the client used
// for the sidecar. A header_up of the operator comes later and may set another one.
// Without any header_up the transport sets Host itself, which saves reverse_proxy a
// copy of all headers.
func (t *Transport) RequestHeaderOps() *headers.HeaderOps {
	if t.ownHost {
		return nil
	}
	return &headers.HeaderOps{Set: http.Header{"Host": {"{http.reverse_proxy.upstream.hostport}"}}}
}

// DefaultBufferSizes makes reverse_proxy buffer the whole request, in bytes, so that
// another try has a body to seal.
func (t *Transport) DefaultBufferSizes() (request, response int64) {
	if t.MaxRequestBody > 0 {
		return t.MaxRequestBody + 1, 0
	}
	return DefaultMaxRequestBody + 1, 0
}

// RequiresContentLength says that a body must be whole before it is sealed.
func (t *Transport) RequiresContentLength() bool { return true }

var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.BufferedTransport                   = (*Transport)(nil)
	_ reverseproxy.ContentLengthRequiredTransport      = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
