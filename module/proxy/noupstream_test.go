package proxy

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/stretchr/testify/assert"
)

// A JSON configuration without the address of an upstream is refused when it is loaded, not at
// the first payment.
func TestAProxyHasUpstreams(t *testing.T) {
	for want, h := range map[string]*reverseproxy.Handler{
		"needs at least one upstream": {},
		"has no dial":                 {Upstreams: reverseproxy.UpstreamPool{{Dial: "127.0.0.1:1"}, {}}},
		"an upstream has no dial":     {Upstreams: reverseproxy.UpstreamPool{nil}},
	} {
		for _, plain := range []bool{false, true} {
			assert.ErrorContains(t, (&Transport{AllowPlaintextUpstream: plain}).checkProxy(h), want)
		}
	}
	assert.NoError(t, (&Transport{}).checkProxy(&reverseproxy.Handler{Upstreams: reverseproxy.UpstreamPool{{Dial: "127.0.0.1:1"}}}))
	assert.False(t, public(&reverseproxy.Handler{Upstreams: reverseproxy.UpstreamPool{nil}}))
	assert.NoError(t, (&Transport{}).checkProxy(&reverseproxy.Handler{DynamicUpstreamsRaw: []byte(`{"source":"a"}`)}))
}
