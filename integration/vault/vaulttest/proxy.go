package vaulttest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a Vault server on a loopback address of
// its own. It passes what it gets until Set gives it a Fault, counts the
// requests, and can refuse connections. When Vault itself is not there it
// drops the connection, as a network would.
//
// Its address is plain HTTP also where the server has HTTPS.
type Proxy struct {
	// URL is the address for clients. It stays the same over Refuse.
	URL string

	server  *http.Server
	address string
	pass    http.Handler

	mu       sync.Mutex
	listener net.Listener // nil: refusing
	fault    Fault        // nil: none
	requests map[string]int
	conns    map[net.Conn]struct{}
}

// StartProxy returns a proxy before s and closes it at the test's end.
func StartProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	p, err := NewProxy(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// NewProxy returns a proxy before s. The caller closes it.
func NewProxy(s *Server) (*Proxy, error) {
	target, err := url.Parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("making a proxy before Vault: %w", err)
	}
	transport, ok := s.client.CloneConfig().HttpClient.Transport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("making a proxy before Vault: unexpected transport")
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 64
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0)
	p := &Proxy{
		URL:      "http://" + address,
		address:  address,
		requests: map[string]int{},
		conns:    map[net.Conn]struct{}{},
		pass: &httputil.ReverseProxy{
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:    transport,
			ErrorLog:     quiet,
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ConnState:         p.track,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet,
	}
	p.server.RegisterOnShutdown(transport.CloseIdleConnections)
	return p, p.Accept()
}

// Set makes f the fate of all requests from now on; nil passes them. Those
// under way keep the one they met.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Refuse closes the port: connections are refused, and those that were open
// are reset.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close() // closed is closed
	}
	p.Drop()
}

// Accept opens the port that Refuse closed.
func (p *Proxy) Accept() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		return fmt.Errorf("opening the proxy's port: %w", err)
	}
	p.listener = listener
	go func() { _ = p.server.Serve(listener) }() // ends with Refuse or Close
	return nil
}

// Drop resets all open connections, idle ones included.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		reset(conn)
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.Refuse()
	_ = p.server.Close()
}

// Requests returns how often each method and path was asked for, such as
// "GET /v1/payments/data/easypay", whatever became of it. Vault's own client
// writes with PUT.
func (p *Proxy) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

// Count returns how many requests had a path that begins with prefix, such as
// "/v1/transit/sign/".
func (p *Proxy) Count(prefix string) int {
	total := 0
	for request, n := range p.Requests() {
		_, path, _ := strings.Cut(request, " ")
		if strings.HasPrefix(path, prefix) {
			total += n
		}
	}
	return total
}

// ResetCounts begins to count anew.
func (p *Proxy) ResetCounts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.requests)
}

// Connections returns how many connections of clients are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *Proxy) track(conn net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.conns[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, conn)
	}
}

// maxBody is far more than a request to Vault has here.
const maxBody = 1 << 20

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	// Only when the body is read does the server notice a client that leaves.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	p.mu.Lock()
	p.requests[r.Method+" "+r.URL.Path]++
	fault := p.fault
	p.mu.Unlock()

	if fault == nil {
		p.pass.ServeHTTP(w, r)
		return
	}
	fault(w, r, p.pass)
}

// reset closes a connection so that its peer sees a reset, not an end.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing below is what counts
	}
	_ = conn.Close()
}
