package testcaddy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Provider plays a payment provider at the level of bytes, where an HTTP server
// would hide what matters: it can send half an answer, reset a connection, and
// count what was delivered.
type Provider struct {
	// Address is the address that it listens on.
	Address string

	listener net.Listener
	handle   func(*Conn)
	working  sync.WaitGroup

	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	accepted  int
	delivered int
	received  []*Received
}

// Received is one request as it reached the provider.
type Received struct {
	Raw    []byte // the bytes of the whole request
	Method string
	Target string
	Proto  string
	Host   string
	Header http.Header
	Body   []byte
}

// Conn is one connection to a Provider.
type Conn struct {
	net.Conn

	p   *Provider
	in  *bufio.Reader
	raw *bytes.Buffer
}

// NewProvider listens on a free port and calls handle for each connection,
// which it closes afterwards.
func NewProvider(t testing.TB, handle func(*Conn)) *Provider {
	t.Helper()
	var config net.ListenConfig
	ln, err := config.Listen(t.Context(), "tcp", FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, ln, handle)
}

// NewTLSProvider is NewProvider with TLS.
func NewTLSProvider(t testing.TB, config *tls.Config, handle func(*Conn)) *Provider {
	t.Helper()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp", FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, tls.NewListener(ln, config), handle)
}

// Serve is NewProvider with a listener that is there.
func Serve(t testing.TB, ln net.Listener, handle func(*Conn)) *Provider {
	t.Helper()
	p := &Provider{Address: ln.Addr().String(), listener: ln, handle: handle, conns: make(map[net.Conn]struct{})}
	p.working.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Close ends the listener and every connection.
func (p *Provider) Close() {
	_ = p.listener.Close()
	p.CloseConnections()
	p.working.Wait()
}

// CloseConnections closes the connections that are open.
func (p *Provider) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Provider) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.accepted++
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.working.Go(func() {
			raw := new(bytes.Buffer)
			p.handle(&Conn{Conn: c, p: p, in: bufio.NewReader(io.TeeReader(c, raw)), raw: raw})
			_ = c.Close()
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
		})
	}
}

// Accepted returns how many connections were made.
func (p *Provider) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Delivered returns how many requests have begun to arrive, be it with one byte.
func (p *Provider) Delivered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delivered
}

// Received returns the requests that arrived whole.
func (p *Provider) Received() []*Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Received(nil), p.received...)
}

// Last returns the last request that arrived whole. The test fails if there is none.
func (p *Provider) Last(t testing.TB) *Received {
	t.Helper()
	all := p.Received()
	if len(all) == 0 {
		t.Fatal("nothing reached the provider")
	}
	return all[len(all)-1]
}

// Request reads the next request. It returns nil when none comes any more.
func (c *Conn) Request() *Received {
	c.raw.Reset()
	if buffered := c.in.Buffered(); buffered > 0 {
		ahead, _ := c.in.Peek(buffered)
		c.raw.Write(ahead)
	}
	if _, err := c.in.Peek(1); err != nil {
		return nil
	}
	c.p.mu.Lock()
	c.p.delivered++
	c.p.mu.Unlock()
	r, err := http.ReadRequest(c.in)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	got := &Received{
		Raw: bytes.Clone(c.raw.Bytes()), Method: r.Method, Target: r.RequestURI, Proto: r.Proto,
		Host: r.Host, Header: r.Header, Body: body,
	}
	c.p.mu.Lock()
	c.p.received = append(c.p.received, got)
	c.p.mu.Unlock()
	return got
}

// Write writes text as it is.
func (c *Conn) Write(text []byte) (int, error) { return c.Conn.Write(text) }

// Print writes text as it is.
func (c *Conn) Print(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Conn, format, args...)
}

// Answer writes an answer with a length. Header lines end with \r\n.
func (c *Conn) Answer(status int, header string, body []byte) {
	c.Print("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n", status, http.StatusText(status), header, len(body))
	_, _ = c.Conn.Write(body)
}

// Reset closes the connection so that the other side sees it reset.
func (c *Conn) Reset() {
	conn := c.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// CloseWrite ends the side that writes.
func (c *Conn) CloseWrite() error {
	if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return tcp.CloseWrite()
	}
	return errors.New("the connection has no two sides")
}
