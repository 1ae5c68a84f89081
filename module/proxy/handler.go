package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler checks and seals a request before it runs a reverse_proxy with the
// transport countersign, and answers failures with a problem body.
//
// The checks come first because reverse_proxy counts every error of a transport against
// the upstream: a malformed request must not make the upstream unavailable for all
// clients.
type Handler struct {
	// The reverse_proxy handler. Its transport must be countersign. Required.
	ProxyRaw json.RawMessage `json:"reverse_proxy" caddy:"namespace=http.handlers inline_key=handler"`

	proxy     *reverseproxy.Handler
	transport *Transport
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the reverse_proxy.
func (h *Handler) Provision(ctx caddy.Context) error {
	if len(h.ProxyRaw) == 0 {
		return i18n.Errorf("the handler countersign needs a reverse_proxy with the transport countersign")
	}
	loaded, err := ctx.LoadModule(h, "ProxyRaw")
	if err != nil {
		return i18n.Errorf("setting up the proxy: %w", err)
	}
	var ok bool
	if h.proxy, ok = loaded.(*reverseproxy.Handler); !ok {
		return i18n.Errorf("the handler countersign needs a reverse_proxy, not %T", loaded)
	}
	if h.transport, ok = h.proxy.Transport.(*Transport); !ok {
		return i18n.Errorf("the handler countersign needs a reverse_proxy with the transport countersign")
	}
	if len(h.proxy.Upstreams) == 1 {
		h.transport.expected = h.transport.withoutPort(h.proxy.Upstreams[0].Dial)
	}
	return keepConnOnce(ctx)
}

// keepConnOnce calls keepConn for the server that the handler is provisioned for, once
// for all handlers of the server.
func keepConnOnce(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	a, err := app.Of(ctx)
	if err == nil && a.Ordinal(fmt.Sprintf("server %p", server)) == 0 {
		keepConn(server)
	}
	return err
}

// ServeHTTP checks and seals the request, proxies it, and answers problems.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	e := h.transport.begin(r)
	var p *problem.Problem
	whole := inbound.LimitBodyTime(w, r)
	e.plain, p = h.transport.admit(r)
	if p != nil { // what is left of the body has no more time: the server reads some of it before it answers
		return e.answer(w, r, p)
	}
	whole()
	e.entry.RequestBytes = len(e.plain.Wire)
	if h.transport.MaxInFlight > 0 { // a body that stalls has no place
		defer h.transport.inFlight.Add(-1)
		if h.transport.inFlight.Add(1) > h.transport.MaxInFlight {
			return e.answer(w, r, overloaded())
		}
	}
	if p := e.prepare(r); p != nil {
		return e.answer(w, r, p)
	}
	// The body is with the exchange from here on.
	inner := r.WithContext(e)
	inner.Body, inner.ContentLength, inner.TransferEncoding, inner.Trailer = http.NoBody, 0, nil, nil
	err := h.proxy.ServeHTTP(w, inner, next)
	if err == nil {
		return nil
	}
	p, ok := problem.As(err)
	switch {
	case ok:
	case e.ended:
		return err // a response handler of the operator failed, after the exchange
	case e.sent:
		p = problem.New(problem.UpstreamFailed, i18n.T("the exchange ended without an answer; ask the provider what became of the request"), nil)
	default:
		p = problem.New(problem.UpstreamUnreachable, i18n.T("no upstream is available"), nil)
	}
	return e.answer(w, r, p)
}

// answer ends the exchange with a problem and answers with it.
func (e *exchange) answer(w http.ResponseWriter, r *http.Request, p *problem.Problem) error {
	e.end("", p)
	return inbound.Answer(w, r, e.forClient(p), e.t.language)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
