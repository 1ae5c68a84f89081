package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// full returns a listener whose queue is full: a dial to it gets no answer.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	fill(t, address)
	return address
}

// fill fills the queue of a listener that accepts nothing.
func fill(t *testing.T, address string) {
	t.Helper()
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue does not fill up")
}

// A provider that was never reached: correct it or send again.
func TestUnreachable(t *testing.T) {
	ca := testcaddy.NewCA(t)
	trust := "http {\n tls_trust_pool file " + ca.File + "\n }"
	serve := func(t *testing.T, config *tls.Config) (string, *testcaddy.Provider) {
		t.Helper()
		p := testcaddy.NewTLSProvider(t, config, func(c *testcaddy.Conn) { c.Request() })
		return "https://" + p.Address, p
	}
	leaf := func(change ...func(*x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider", change...).TLS}}
	}
	silent := func(t *testing.T) (string, *testcaddy.Provider) {
		t.Helper()
		p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) { _, _ = io.Copy(io.Discard, c) })
		return "https://" + p.Address, p
	}
	for name, c := range map[string]struct {
		upstream func(t *testing.T) (string, *testcaddy.Provider)
		options  string
		detail   string
	}{
		"refused": {func(t *testing.T) (string, *testcaddy.Provider) { t.Helper(); return testcaddy.FreeAddress(t), nil }, "", "connection refused"},
		"no socket": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			return "unix/" + filepath.Join(t.TempDir(), "none.sock"), nil
		}, "", "no such file"},
		"a full queue": {func(t *testing.T) (string, *testcaddy.Provider) { t.Helper(); return full(t), nil }, "dial_timeout 150ms", "timed out"},
		"a name without an answer": {func(t *testing.T) (string, *testcaddy.Provider) { t.Helper(); return "https://provider.invalid", nil },
			"dial_timeout 300ms\nhttp {\n resolvers " + testcaddy.FreeAddress(t) + "\n }", "no connection to the provider: "},
		"TLS that says nothing": {silent, "dial_timeout 150ms", "timed out"},
		"not TLS": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) { c.Print("HTTP/1.1 400 Bad Request\r\n\r\n") })
			return "https://" + p.Address, p
		}, "", "does not speak TLS"},
		"closed in the handshake": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) { _, _ = c.Read(make([]byte, 1)) })
			return "https://" + p.Address, p
		}, "", "no connection to the provider: "},
		"an unknown authority": {func(t *testing.T) (string, *testcaddy.Provider) { t.Helper(); return serve(t, leaf()) }, "", "unknown authority"},
		"for another name": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			return serve(t, leaf(func(c *x509.Certificate) { c.IPAddresses = nil }))
		}, trust, "another name"},
		"expired": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			return serve(t, leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
		}, trust, "expired"},
		"TLS 1.1 at most": {func(t *testing.T) (string, *testcaddy.Provider) {
			t.Helper()
			config := leaf()
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return serve(t, config)
		}, trust, "no connection to the provider: "},
		"no name to resolve to, and no time": {silent, "timeout 150ms\ndial_timeout 10s", "timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			upstream, p := c.upstream(t)
			s := startSidecar(t, upstream, c.options)
			start := time.Now()
			s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, c.detail))
			assert.Less(t, time.Since(start), 10*time.Second)
			if p != nil {
				assert.Empty(t, p.Received())
			}
		})
	}
}

// The whole try has one timeout, in which the dial is counted.
func TestTimeoutHoldsForTheWholeTry(t *testing.T) {
	d := newDouble(t)
	const step = 400 * time.Millisecond // no step alone is too long, together they are
	d.set(d.answering(func(c *testcaddy.Conn, g []byte) {
		time.Sleep(step)
		truncate(c, g)
		time.Sleep(step)
		_, _ = c.Write(g[len(g)/2:])
	}))
	s := startSidecar(t, d.Address, "timeout 600ms")
	start := time.Now()
	s.problem(t, s.post(sample(t)), unknown("upstream_timeout", 504))
	assert.GreaterOrEqual(t, time.Since(start), 600*time.Millisecond)
}

// What Caddy's own transport can time out leaves the outcome unknown as well.
func TestTimeoutsOfTheHTTPBlock(t *testing.T) {
	for name, option := range map[string]string{
		"read_timeout":            "read_timeout 100ms",
		"response_header_timeout": "response_header_timeout 100ms",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			d.set(d.answering(func(*testcaddy.Conn, []byte) { time.Sleep(400 * time.Millisecond) }))
			s := startSidecar(t, d.Address, "http {\n"+option+"\n}")
			s.problem(t, s.post(sample(t)), unknown("upstream_timeout", 504))
			assert.Equal(t, 1, d.Delivered())
		})
	}
}

// No request is sent twice after its bytes may have reached the provider,
// whatever lb_ options are set.
func TestNeverSentTwice(t *testing.T) {
	d := newDouble(t)
	second := newDouble(t)
	s := startSidecar(t, d.Address+" "+second.Address, lines(
		"timeout 700ms",
		"reverse_proxy {", "lb_policy first", "lb_try_duration 3s", "lb_try_interval 1ms", "lb_retries 20", "}"))
	for name, c := range map[string]struct {
		handle func(*testcaddy.Conn)
		code   string
	}{
		"reset after it read":  {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Reset() }), "upstream_failed"},
		"closed after it read": {d.answering(func(*testcaddy.Conn, []byte) {}), "upstream_failed"},
		"closed at once":       {func(*testcaddy.Conn) {}, "upstream_failed"},
		"silent":               {d.answering(func(*testcaddy.Conn, []byte) { time.Sleep(1500 * time.Millisecond) }), "upstream_timeout"},
		"truncated":            {d.answering(truncate), "upstream_failed"},
		"503":                  {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(503, closing+"Retry-After: 0\r\n", []byte("x")) }), "response_invalid"},
		"408":                  {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(408, closing, nil) }), "response_invalid"},
		"421":                  {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(421, closing, nil) }), "response_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(c.handle)
			before := d.Delivered()
			start := time.Now()
			answer := s.post(sample(t))
			p := answer.JSON(t)
			assert.Equal(t, c.code, p["reason"])
			assert.NotEqual(t, "not_sent", p["outcome"])
			assert.Less(t, time.Since(start), 2500*time.Millisecond, "nothing is waited for")
			assert.LessOrEqual(t, d.Delivered(), before+1)
			assert.Zero(t, second.Accepted(), "and not by another upstream either")
			assert.Equal(t, c.code, s.Logs.Audit(t, s.asked).String("outcome"))
		})
	}
}

// A failed dial may be tried on the next upstream, in both forms. One audit
// entry stands for the whole exchange.
func TestFailedDialIsTriedElsewhere(t *testing.T) {
	balancing := lines("lb_policy first", "lb_try_duration 2s", "lb_try_interval 1ms", "fail_duration 10s")
	for name, start := range map[string]func(t *testing.T, upstreams string) *sidecar{
		"short form": func(t *testing.T, upstreams string) *sidecar {
			t.Helper()
			return startSidecar(t, upstreams, "reverse_proxy {\n"+balancing+"\n}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			s := start(t, testcaddy.FreeAddress(t)+" "+d.Address)
			s.ok(t, s.post(sample(t)))
			assert.Equal(t, 1, d.Delivered())
			assert.Equal(t, d.Address, d.Last(t).Host, "its own, and not that of the one that was tried first")
			s.ok(t, s.post(sample(t)))
			assert.Equal(t, 2, d.Delivered())
			assert.Len(t, s.Logs.Entries("http.countersign.audit"), 2)
		})
	}
}

// With every upstream dead the exchange ends once, as not sent.
func TestAllUpstreamsDead(t *testing.T) {
	s := startSidecar(t, testcaddy.FreeAddress(t)+" "+testcaddy.FreeAddress(t), "reverse_proxy {\nlb_retries 3\nfail_duration 10s\n}")
	for range 3 {
		s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, ""))
	}
	assert.Len(t, s.Logs.Entries("http.countersign.audit"), 3)
	// After the failures nobody is dialled any more: no upstream is available.
	assert.NotEmpty(t, s.Logs.Matching(func(e testcaddy.Entry) bool {
		return e.String("msg") == "exchange failed" && e.String("detail") == "no upstream is available"
	}))
}

// A malformed request never counts against the provider: after any number of
// them a good one passes.
func TestMalformedRequestsDoNotCountAgainstTheProvider(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_request_body 8KiB\nreverse_proxy {\nfail_duration 30s\nmax_fails 1\nunhealthy_status 4xx 5xx\n}")
	for name, body := range map[string]string{
		"not JSON": "x", "an array": "[]", "empty": "", "no bizData": "{}", "an object in it": `{"bizData":{"a":{}}}`,
		"too large": strings.Repeat("x", 9000), "a member twice": `{"a":1,"a":1}`,
	} {
		assert.GreaterOrEqual(t, s.post([]byte(body)).Status, 400, name)
	}
	s.post(sample(t), testcaddy.Header("Content-Type", "text/plain"))
	s.post(sample(t), testcaddy.Header("Origin", "null"))
	s.post(nil, func(r *http.Request) { r.Method = http.MethodGet })
	assert.Zero(t, d.Accepted())
	s.ok(t, s.post(sample(t)))

	// What the provider itself does wrong counts.
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Reset() }))
	s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
	d.set(d.genuine)
	s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "no upstream is available"))
}

// A connection that is kept serves again; one that the provider has closed
// meanwhile costs no request.
func TestKeepAlive(t *testing.T) {
	d := newDouble(t)
	serveAll := func(c *testcaddy.Conn) {
		for r := c.Request(); r != nil; r = c.Request() {
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(d.keys, r, "").Body)
		}
	}
	d.set(serveAll)
	s := startSidecar(t, d.Address, "")
	for range 5 {
		s.ok(t, s.post(sample(t)))
	}
	assert.Equal(t, 1, d.Accepted())

	for range 5 {
		d.CloseConnections()
		time.Sleep(20 * time.Millisecond) // the sidecar sees the end
		s.ok(t, s.post(sample(t)))
	}
	assert.Equal(t, 6, d.Accepted())
	assert.Equal(t, 10, d.Delivered())
}

// A kept connection that dies just as the next request is written: whatever
// comes of it, the request reaches the provider once at most, and what did is
// never called not_sent.
func TestStaleConnections(t *testing.T) {
	var reached atomic.Int64
	held := providerKeys(t)
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			reached.Add(1)
			c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(held, r, "").Body)
		}
		// The end crosses with the next request on its way.
		time.Sleep(time.Duration(reached.Load()%5) * 100 * time.Microsecond)
		if reached.Load()%2 == 0 {
			c.Reset()
		}
	})
	s := startSidecar(t, p.Address, "")
	for range 200 {
		before := p.Delivered()
		answer := s.post(sample(t))
		if answer.Status == 200 {
			require.Equal(t, before+1, p.Delivered())
			continue
		}
		require.LessOrEqual(t, p.Delivered(), before+1)
		require.Equal(t, "unknown", answer.Header.Get("Countersign-Outcome"), "%s", answer.Body)
	}
}

// A provider may stop reading early and answer.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 100))
		c.Answer(413, closing, []byte(`{"sysRetCode":"413"}`))
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	s := startSidecar(t, p.Address, "")
	large := replaceOnce(t, sample(t), `"prodCode"`, `"pad":"`+strings.Repeat("x", 900<<10)+`","prodCode"`)
	w := unverified("response_unsigned", 413)
	w.upstreamCode = "413"
	s.problem(t, s.post(large), w)
}

// mTLS: the http block takes what Caddy's own transport takes.
func TestClientCertificate(t *testing.T) {
	ca := testcaddy.NewCA(t)
	server, client := ca.Issue(t, "provider"), ca.Issue(t, "merchant")
	held := providerKeys(t)
	var name atomic.Value
	p := testcaddy.NewTLSProvider(t, &tls.Config{
		Certificates: []tls.Certificate{server.TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool,
	}, func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			name.Store(c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName)
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	})
	s := startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n tls_client_auth "+client.CertFile+" "+client.KeyFile+"\n}")
	s.ok(t, s.post(sample(t)))
	assert.Equal(t, "merchant", name.Load())
	assert.Equal(t, p.Address, p.Last(t).Host, "the provider sees its own name")

	// Without a certificate nothing arrives. Under TLS 1.3 the refusal comes
	// after the request may have left, so it is not called not_sent.
	s = startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n}")
	received := len(p.Received())
	assert.Equal(t, 502, s.post(sample(t)).Status)
	assert.Len(t, p.Received(), received)
}
