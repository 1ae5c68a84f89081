package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
)

// h2 serves the connections to a provider that speak HTTP/2, one http2.ClientConn
// each. Go's own pool would send a request again that a frame refused, and would go
// on using a connection on which a request timed out.
type h2 struct {
	transport *http2.Transport //nolint:staticcheck // net/http has no connection of which one knows what a frame said
	patience  time.Duration    // with the exchanges on a connection that is not used again

	mu    sync.Mutex
	conns map[net.Conn]*h2Conn
}

// The protocols for which net/http asks TLSNextProto. It has no name for the second
// one, which stands for HTTP/2 without TLS.
const (
	protoH2  = "h2"
	protoH2C = "unencrypted_http2"
)

// serveHTTP2 makes a transport use h2 for its connections that speak HTTP/2.
func serveHTTP2(base *http.Transport, timeout time.Duration) *h2 {
	h := &h2{
		transport: &http2.Transport{ //nolint:staticcheck // net/http has no connection of which one knows what a frame said
			DisableCompression: true, IdleConnTimeout: base.IdleConnTimeout, WriteByteTimeout: timeout, //nolint:staticcheck // as above
			MaxHeaderListSize: uint32(min(max(base.MaxResponseHeaderBytes, 0), 1<<24)), //nolint:gosec,staticcheck // it fits; as above
		},
		patience: timeout,
		conns:    make(map[net.Conn]*h2Conn),
	}
	if base.TLSNextProto == nil {
		return h
	}
	for _, proto := range []string{protoH2, protoH2C} {
		if base.TLSNextProto[proto] != nil {
			base.TLSNextProto[proto] = h.upgrade
		}
	}
	return h
}

// upgrade is called for each new connection that speaks HTTP/2.
func (h *h2) upgrade(_ string, conn *tls.Conn) http.RoundTripper {
	c := &h2Conn{h: h}
	c.conn = &watchedTLS{Conn: conn, closed: c.forget, ended: make(chan struct{})}
	if inner, ok := conn.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
		c.conn = &watchedConn{Conn: inner.UnencryptedNetConn(), closed: c.forget}
	}
	var err error
	if c.client, err = h.transport.NewClientConn(c.conn); err != nil { //nolint:staticcheck // as above
		return failing{err}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.forgotten { // it is known to others from here on
		h.conns[c.conn] = c
	}
	return c
}

// h2Conn is one connection.
type h2Conn struct {
	h      *h2
	conn   net.Conn
	client *http2.ClientConn //nolint:staticcheck // net/http has no connection of which one knows what a frame said
	used   atomic.Bool

	retired atomic.Bool

	forgotten bool // it has been closed; h.mu guards it
}

// RoundTrip sends one request. It sends none twice.
func (c *h2Conn) RoundTrip(r *http.Request) (*http.Response, error) {
	if network.IsEnded(c.conn) || !c.client.ReserveNewRequest() {
		c.retire()
		return nil, noConn{}
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil { // net/http leaves it to HTTP/2
		trace.GotConn(httptrace.GotConnInfo{Conn: c.conn, Reused: c.used.Swap(true)})
	}
	res, err := c.client.RoundTrip(r)
	if err == nil {
		return res, nil
	}
	if c.retired.Load() && unusable(err) { // retired since it was reserved; nothing was written
		if a, ok := r.Context().Value(attemptKey{}).(*attempt); ok {
			a.unused()
		}
		return nil, noConn{}
	}
	if why := notProcessed(err); why != "" {
		return nil, &notProcessedError{why}
	}
	if refused := c.refusal(r.Context(), err); refused != nil {
		return nil, refused
	}
	return nil, err
}

// alertWait is how long refusal waits for an alert after a request could not be
// written.
const alertWait = 200 * time.Millisecond

// refusal returns the TLS alert with which the other side has ended the connection, or
// nil. The error of a failed write does not have it.
func (c *h2Conn) refusal(ctx context.Context, err error) error {
	watched, ok := c.conn.(*watchedTLS)
	if _, stream := errors.AsType[http2.StreamError](err); !ok || stream || ctx.Err() != nil {
		return nil //nolint:nilerr // err is known; what is asked is another
	}
	select {
	case <-watched.ended:
	case <-time.After(alertWait):
		return nil
	}
	if _, ok := network.RemoteAlert(watched.err); !ok {
		return nil
	}
	return watched.err
}

// retire lets the exchanges on a connection end, and sends no more requests on it.
func (c *h2Conn) retire() {
	if c.retired.Swap(true) {
		return
	}
	c.client.SetDoNotReuse()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.h.patience)
		defer cancel()
		_ = c.client.Shutdown(ctx)
		_ = c.client.Close()
	}()
}

func (c *h2Conn) forget() {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.forgotten = true
	delete(c.h.conns, c.conn)
}

// retire sends no more requests on a connection.
func (h *h2) retire(conn net.Conn) {
	if h == nil || conn == nil {
		return
	}
	h.mu.Lock()
	c := h.conns[conn]
	h.mu.Unlock()
	if c != nil {
		c.retire()
	}
}

// close retires all connections.
func (h *h2) close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.retire()
	}
}

// notProcessed returns the name of the frame with which the provider said that it has
// not processed a request, or "". It compares texts, because most errors of the client
// have no exported value.
func notProcessed(err error) string {
	if e, ok := errors.AsType[http2.StreamError](err); ok && e.Code == http2.ErrCodeRefusedStream {
		return "REFUSED_STREAM"
	}
	switch text := err.Error(); {
	case text == "http2: Transport received Server's graceful shutdown GOAWAY", // of a later stream than the last
		strings.HasPrefix(text, "http2: Transport received GOAWAY from server ErrCode:"): // of the first stream
		return "GOAWAY"
	case text == "http2: client conn not usable": // a GOAWAY was there before
		return "GOAWAY"
	}
	return ""
}

// unusable reports whether a connection refused a request before anything of it was
// written.
func unusable(err error) bool {
	text := err.Error()
	return text == "http2: client conn not usable" || text == "http2: client conn could not be established"
}

// notProcessedError says that the provider's own frames say that it has not
// processed a request.
type notProcessedError struct{ frame string }

func (e *notProcessedError) Error() string { return e.In(i18n.Current()) }

// In returns the text in a language.
func (e *notProcessedError) In(l i18n.Language) string {
	return i18n.T("the provider said that it has not processed the request (HTTP/2 %s)", e.frame).In(l)
}

// noConn makes net/http use another connection. It is returned only if nothing was
// written.
type noConn struct{}

func (noConn) Error() string             { return "the connection takes no more requests" }
func (noConn) IsHTTP2NoCachedConnError() {}

// failing is a connection that could not be set up.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// watchedTLS and watchedConn report when a connection ends.
type watchedTLS struct {
	*tls.Conn
	closed func()
	once   sync.Once
	ended  chan struct{} // closed when nothing more can be read, because of err
	err    error
}

// Read reads, and keeps the error that ends the connection.
func (c *watchedTLS) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.once.Do(func() {
			c.err = err
			close(c.ended)
		})
	}
	return n, err
}

// Close closes the connection.
func (c *watchedTLS) Close() error {
	c.closed()
	return c.Conn.Close()
}

type watchedConn struct {
	net.Conn
	closed func()
}

// NetConn returns the connection itself.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection.
func (c *watchedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
