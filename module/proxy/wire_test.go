package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// A Unix socket is local, and needs no TLS.
func TestUnixSocket(t *testing.T) {
	held := providerKeys(t)
	path := filepath.Join(t.TempDir(), "provider.sock")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	p := testcaddy.Serve(t, ln, func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	})
	s := startSidecar(t, "unix/"+path, "")
	s.ok(t, s.post(sample(t)))
	assert.NotContains(t, p.Last(t).Host, "/")
}

// A proxy that refuses is a provider that was not reached.
func TestNetworkProxy(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	})
	var refuse atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			_ = conn.Close()
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, conn); _ = out.Close() }()
		_, _ = io.Copy(conn, out)
		_ = conn.Close()
	}))
	defer proxy.Close()
	s := startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n network_proxy url "+proxy.URL+"\n keepalive off\n}")
	s.ok(t, s.post(sample(t)))
	assert.Equal(t, 1, p.Delivered())
	refuse.Store(true)
	s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "no connection to the provider"))
	proxy.Close()
	s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "connection refused"))
	assert.Equal(t, 1, p.Delivered())
}

// What goes out in plaintext goes through no proxy, be it of the environment or of the
// http block, unless that is allowed: the proxy would read it.
func TestPlaintextAvoidsProxies(t *testing.T) {
	d := newDouble(t)
	var through atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	_, port, err := net.SplitHostPort(d.Address)
	require.NoError(t, err)
	for name, upstream := range map[string]string{
		"an address": d.Address, "a port alone": ":" + port, "a name": "LOCALHOST:" + port, "with a scheme": "http://" + d.Address,
	} {
		t.Run(name, func(t *testing.T) {
			s := startSidecar(t, upstream, "http {\n network_proxy url "+proxy.URL+"\n}")
			s.ok(t, s.post(sample(t)))
			assert.Zero(t, through.Load())
			assert.NotEmpty(t, s.Logs.Matching(func(e testcaddy.Entry) bool { return strings.HasPrefix(e.String("msg"), "network_proxy is not used") }))
		})
	}
	s := startSidecar(t, d.Address, "allow_plaintext_upstream\nhttp {\n network_proxy url "+proxy.URL+"\n}")
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 403))
	assert.EqualValues(t, 1, through.Load())
}

// Active health checks pass unsigned, as GET, and nothing else does.
func TestHealthChecks(t *testing.T) {
	held := providerKeys(t)
	var checks atomic.Int64
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		for r := c.Request(); r != nil; r = c.Request() {
			if r.Method == http.MethodGet {
				assert.Equal(t, "/health", r.Target)
				assert.Empty(t, r.Body)
				checks.Add(1)
				c.Answer(200, "", []byte("fine"))
				continue
			}
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(held, r, "").Body)
		}
	})
	s := startSidecar(t, p.Address, "reverse_proxy {\nhealth_uri /health\nhealth_interval 20ms\n}")
	require.Eventually(t, func() bool { return checks.Load() > 2 }, 5*time.Second, 5*time.Millisecond)
	s.ok(t, s.post(sample(t)))
	assert.Len(t, s.Logs.Entries("http.countersign.audit"), 1, "a health check is no exchange")

	p2 := testcaddy.NewProvider(t, func(c *testcaddy.Conn) { c.Request() })
	s = startSidecar(t, p2.Address, "reverse_proxy {\nhealth_uri /health\nhealth_method POST\nhealth_request_body planted\nhealth_interval 20ms\n}")
	time.Sleep(100 * time.Millisecond)
	assert.Zero(t, p2.Delivered(), "an unsigned POST never leaves")
	s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "no upstream is available"))
}

// A header that an operator adds in reverse_proxy must not undo the allow-list,
// and what the provider sees of the sidecar is only what it needs.
func TestWhatTheProviderSees(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "forward_headers X-Trace x-second")
	change := func(r *http.Request) {
		for name, value := range map[string]string{
			"Accept": "application/json", "User-Agent": "legacy/1.0", "X-Trace": "trace-1", "X-Second": "2", "X-Third": "3",
			"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "Via": "1.1 x", "Cookie": "planted=1", "Authorization": "Bearer planted",
			"Proxy-Authorization": "planted", "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate": "a=b", "Baggage": "a=b",
			"Accept-Encoding": "br", "Idempotency-Key": "1", "X-Idempotency-Key": "1", "Referer": "http://planted", "Te": "trailers", "Upgrade": "websocket",
			"Connection": "Upgrade", "Countersign-Verified": "true", "Content-Language": "zh", "Expect": "100-continue", "Early-Data": "1", "Range": "bytes=0-1",
		} {
			r.Header.Set(name, value)
		}
	}
	s.url += "?a=1&b=%2F"
	s.ok(t, s.post(sample(t), change))
	got := d.Last(t)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "/ledger/mpos?a=1&b=%2F", got.Target, "path and query pass as they are")
	assert.Equal(t, d.Address, got.Host, "the provider's own name")
	assert.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"legacy/1.0"}, "X-Trace": {"trace-1"}, "X-Second": {"2"},
		"Accept-Encoding": {"gzip"}, "Content-Length": {fmt.Sprint(len(got.Body))},
	}, got.Header)

	// A client that sends none of them adds none.
	s.ok(t, s.post(sample(t), func(r *http.Request) { r.Header["User-Agent"] = nil }))
	assert.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip"}, "Content-Length": {fmt.Sprint(len(d.Last(t).Body))},
	}, d.Last(t).Header)
}

// Path games end at the provider's host as they came, or not at all.
func TestTargets(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	address := strings.TrimPrefix(strings.TrimSuffix(s.url, "/easypay/ledger/mpos"), "http://")
	s.sendsTo(t, d, address, map[string]string{
		"/easypay/ledger/mpos":                          "/ledger/mpos",
		"/easypay/ledger%2Fmpos?x=%2e":                  "/ledger%2Fmpos?x=%2e",
		"/easypay/%2e%2e/x":                             "", // Caddy sees /x in it, which is not served
		"/easypay/../x":                                 "",
		"/easypay/x/../y":                               "/y", // and cleans what it takes a prefix from
		"/easypay//x":                                   "/x", // handle_path takes it for /easypay/
		"/easypay/a%20b":                                "/a%20b",
		"/easypay/中":                                    "/%E4%B8%AD",
		"http://" + address + "/easypay/ledger/mpos":    "/ledger/mpos",
		"http://127.0.0.1/easypay/ledger/mpos":          "/ledger/mpos",
		"http://user@127.0.0.1/easypay/ledger/mpos?a=b": "/ledger/mpos?a=b",
	})
}

// handle with uri path_regexp takes the prefix off and leaves the rest as it is, which
// handle_path and uri strip_prefix do not.
func TestTargetsThatAreNotCleaned(t *testing.T) {
	d := newDouble(t)
	text := strings.NewReplacer("handle_path /easypay/* {", "handle /easypay/* {\nuri path_regexp ^/easypay \"\"\n").
		Replace(sidecarText("ADDRESS", d.Address, ""))
	s := runText(t, text)
	address := strings.TrimPrefix(strings.TrimSuffix(s.url, "/easypay/ledger/mpos"), "http://")
	s.sendsTo(t, d, address, map[string]string{
		"/easypay/ledger/mpos":       "/ledger/mpos",
		"/easypay/a//b":              "/a//b",
		"/easypay//a":                "//a",
		"/easypay/a%2Fb?x=%2F":       "/a%2Fb?x=%2F",
		"/easypay/a/./b/":            "/a/./b/",
		"/easypay/ledger/x/easypay/": "/ledger/x/easypay/",
	})
}

// sendsTo posts to targets and looks where the provider got it: "" is nowhere.
func (s *sidecar) sendsTo(t *testing.T, d *double, address string, targets map[string]string) {
	t.Helper()
	for target, want := range targets {
		t.Run(target, func(t *testing.T) {
			before := d.Delivered()
			conn := dial(t, s.url)
			defer conn.Close()
			body := sample(t)
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", target, address, len(body), body)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer res.Body.Close()
			if want == "" {
				assert.Equal(t, before, d.Delivered())
				return
			}
			require.Equal(t, before+1, d.Delivered(), "%d", res.StatusCode)
			assert.Equal(t, want, d.Last(t).Target)
			assert.Equal(t, d.Address, d.Last(t).Host)
		})
	}
}
