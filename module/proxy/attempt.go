package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// attempt is one try to send a sealed request, and its context. It has Caddy's values
// of the request's context, and neither its cancellation nor its trace hooks: the
// exchange ends with the provider's answer even if the client hangs up, and Caddy does
// not pass on 1xx answers.
type attempt struct {
	context.Context // done at the timeout

	request context.Context
	sealed  []byte
	url     url.URL // of this attempt: Caddy's transport writes the scheme into it
	reader  bytes.Reader
	trace   httptrace.ClientTrace

	// From the moment that there is a connection the bytes may have reached the
	// provider.
	connected, http2 atomic.Bool

	conn     atomic.Pointer[net.Conn]
	reused   atomic.Bool // the connection has served another request before
	answered atomic.Bool // there is a byte of an answer
}

// begin makes the context in which the sealed bytes are sent.
func (a *attempt) begin(timer, request context.Context, sealed []byte) context.Context {
	a.Context, a.request, a.sealed = timer, request, sealed
	a.connected.Store(false)
	a.http2.Store(false)
	a.conn.Store(nil)
	a.answered.Store(false)
	a.trace.GotConn = a.gotConn
	a.trace.GotFirstResponseByte = func() { a.answered.Store(true) }
	return httptrace.WithClientTrace(a, &a.trace)
}

// Value returns the attempt itself, or a value of Caddy's from the request.
func (a *attempt) Value(key any) any {
	switch key.(type) {
	case attemptKey:
		return a
	case caddy.CtxKey:
		return a.request.Value(key)
	}
	return a.Context.Value(key)
}

type attemptKey struct{}

// unused records that nothing was written to the connection of the attempt.
func (a *attempt) unused() {
	a.connected.Store(false)
	a.http2.Store(false)
	a.conn.Store(nil)
}

// gotConn comes before the first byte, in the goroutine of the sender.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	a.connected.Store(true)
	a.reused.Store(info.Reused)
	a.conn.Store(&info.Conn)
	switch info.Conn.(type) {
	case *watchedTLS, *watchedConn:
		a.http2.Store(true)
	default:
		if info.Reused {
			checkBeforeUse(info.Conn)
		}
	}
}

// retire keeps the connection from being used for another request.
func (a *attempt) retire(h *h2) {
	if conn := a.conn.Load(); conn != nil {
		h.retire(*conn)
	}
}

// body returns the sealed bytes, in a type that Go's client writes together with the
// header, in one write.
func (a *attempt) body() io.ReadCloser {
	a.reader.Reset(a.sealed)
	return io.NopCloser(&a.reader)
}

// again returns the body a second time. Go's HTTP/1 client calls it only if an idle
// connection turned out to be dead and nothing was written to it. Its HTTP/2 client
// also calls it after bytes were written.
func (a *attempt) again() (io.ReadCloser, error) {
	if a.http2.Load() {
		return nil, i18n.Errorf("a request that was sent is not sent again")
	}
	a.connected.Store(false)
	return io.NopCloser(bytes.NewReader(a.sealed)), nil
}
