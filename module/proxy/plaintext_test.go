package proxy_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// What would be reached in plaintext over a network is refused at load, in both
// forms, and by name and line.
func TestPlaintextUpstreams(t *testing.T) {
	const refused = "would be reached in plaintext; use https://"
	const unclear = "has a placeholder, so that it is not known whether it is reached in plaintext"
	for name, c := range map[string]struct {
		upstream, options string
		want              string
	}{
		"loopback":                       {"127.0.0.1:1", "", ""},
		"all of loopback":                {"127.255.0.1:1", "", ""},
		"localhost":                      {"LocalHost:1", "", ""},
		"loopback in IPv6":               {"[::1]:1", "", ""},
		"loopback with http://":          {"http://127.0.0.1:1", "", ""},
		"loopback with h2c://":           {"h2c://127.0.0.1:1", "", ""},
		"a Unix socket":                  {"unix//run/provider.sock", "", ""},
		"a Unix socket and h2c":          {"unix+h2c//run/provider.sock", "", ""},
		"TLS":                            {"https://provider.example", "", ""},
		"TLS and a port":                 {"https://provider.example:6111", "", ""},
		"TLS by the http block":          {"provider.example:443", "http {\ntls\n}", ""},
		"TLS but for another port":       {"provider.example:443", "http {\ntls\ntls_except_ports 80\n}", ""},
		"TLS and a placeholder":          {"{env.PROVIDER}:443", "http {\ntls\n}", ""},
		"TLS and loopback":               {"https://provider.example https://127.0.0.1:1", "", ""},
		"an address":                     {"192.0.2.1:80", "", refused},
		"a private address":              {"10.0.0.1:80", "", refused},
		"a name":                         {"provider.example:80", "", refused},
		"a name with http://":            {"http://provider.example", "", refused},
		"a name with h2c://":             {"h2c://provider.example", "", refused},
		"no address":                     {"0.0.0.0:80", "", refused},
		"link-local":                     {"[fe80::1]:80", "", refused},
		"a port alone":                   {":9000", "", ""}, // it stays on the machine
		"a name that begins like it":     {"localhost.example:80", "", refused},
		"a name that holds an address":   {"127.0.0.1.example:80", "", refused},
		"an address in short":            {"127.1:80", "", refused},
		"an address in another notation": {"[::ffff:192.0.2.1]:80", "", refused},
		"one of two":                     {"127.0.0.1:1 192.0.2.1:80", "", refused},
		"the port that TLS leaves out":   {"provider.example:80", "http {\ntls\ntls_except_ports 80\n}", refused},
		"a placeholder":                  {"{env.PROVIDER}:443", "", unclear},
		"a placeholder and an exception": {"{env.PROVIDER}", "http {\ntls\ntls_except_ports 80\n}", unclear},
		"a placeholder of the request":   {"{http.request.header.X-Upstream}:443", "", unclear},
		"allowed":                        {"192.0.2.1:80", "allow_plaintext_upstream", ""},
		"a placeholder, allowed":         {"{env.PROVIDER}:80", "allow_plaintext_upstream", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PROVIDER", "provider.example")
			err := testcaddy.Validate(sidecarText("127.0.0.1:1", c.upstream, c.options))
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			assert.Regexp(t, `, at Caddyfile:\d+$`, err.Error())
		})
	}
}

func init() {
	caddy.RegisterModule(new(elsewhere))
}

// elsewhere is a source of upstreams that only a request makes known. It names
// an address that is never dialled.
type elsewhere struct{}

func (*elsewhere) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.elsewhere", New: func() caddy.Module { return new(elsewhere) }}
}

func (*elsewhere) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (*elsewhere) GetUpstreams(*http.Request) ([]*reverseproxy.Upstream, error) {
	return []*reverseproxy.Upstream{{Dial: "192.0.2.1:80"}}, nil
}

// An upstream that only the request makes known is checked at each try.
func TestPlaintextAtEachTry(t *testing.T) {
	d := newDouble(t)
	for name, s := range map[string]func() *sidecar{
		"dynamic upstreams": func() *sidecar {
			return startSidecar(t, d.Address, "reverse_proxy {\ndynamic elsewhere\n}")
		},
		"and a port that TLS leaves out": func() *sidecar {
			return startSidecar(t, "https://127.0.0.1:1", "http {\ntls\ntls_except_ports 80\n}\nreverse_proxy {\ndynamic elsewhere\n}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := s()
			s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "would be reached in plaintext"))
		})
	}
	assert.Zero(t, d.Accepted())
}

// Whether a try is made with TLS depends on its own upstream, not on the one that
// was tried before.
func TestEachTryHasItsOwnScheme(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, func(c *testcaddy.Conn) {
		for r := c.Request(); r != nil; r = c.Request() {
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(held, r, "").Body)
		}
	})
	d := newDouble(t)
	portOf := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		return port
	}
	balancing := "reverse_proxy {\nlb_policy first\nlb_try_duration 2s\nlb_try_interval 1ms\nfail_duration 9s\n}"
	dead := testcaddy.FreeAddress(t)
	for name, c := range map[string]struct{ live, excepted string }{
		"with TLS after one without": {p.Address, dead},
		"without TLS after one with": {d.Address, d.Address},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSidecar(t, dead+" "+c.live, "http {\ntls\ntls_trust_pool file "+ca.File+"\ntls_except_ports "+portOf(c.excepted)+"\n}\n"+balancing)
			s.ok(t, s.post(sample(t)))
		})
	}
	assert.Len(t, p.Received(), 1)
	assert.Equal(t, 1, d.Delivered())
}

// Health checks of a provider with TLS use TLS.
func TestHealthChecksWithTLS(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, func(c *testcaddy.Conn) {
		for r := c.Request(); r != nil; r = c.Request() {
			if r.Method == http.MethodGet {
				c.Answer(200, "", []byte("fine"))
				continue
			}
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(held, r, "").Body)
		}
	})
	s := startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n}\nreverse_proxy {\nhealth_uri /health\nhealth_interval 20ms\n}")
	require.Eventually(t, func() bool { return len(p.Received()) > 2 }, 5*time.Second, 5*time.Millisecond)
	s.ok(t, s.post(sample(t)))
}

// Under the PROXY protocol a connection belongs to one client, and the provider
// still sees its own name.
func TestProxyProtocol(t *testing.T) {
	held := providerKeys(t)
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		head := make([]byte, 16)
		if _, err := c.Read(head); err != nil { // version 2: 12 bytes, command, family, length
			return
		}
		if _, err := c.Read(make([]byte, int(head[14])<<8|int(head[15]))); err != nil {
			return
		}
		for r := c.Request(); r != nil; r = c.Request() {
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(held, r, "").Body)
		}
	})
	s := startSidecar(t, p.Address, "http {\nproxy_protocol v2\n}")
	for range 3 {
		s.ok(t, s.post(sample(t)))
		assert.Equal(t, p.Address, p.Last(t).Host)
	}
	assert.Equal(t, 1, p.Accepted())

	// Another client does not share it.
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	res, err := client.Post(s.url, "application/json", bytes.NewReader(sample(t)))
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, 2, p.Accepted())
}
