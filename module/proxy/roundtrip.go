package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// RoundTrip makes one try: it seals the request, sends it, and opens the answer. If no
// connection was made, the error is a reverseproxy.DialError and reverse_proxy may try
// again; every other error ends the exchange.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Value(caddyhttp.VarsCtxKey) == nil {
		return t.healthCheck(r)
	}
	e := exchangeOf(r.Context())
	if e == nil || e.t != t {
		return nil, i18n.Errorf("a request came around the handler countersign, and is not sent")
	}
	if e.sent {
		return nil, e.fail(r, problem.New(problem.UpstreamFailed, i18n.T("the request was sent before and is not sent again"), nil))
	}
	if r.Method != e.plain.Method {
		return nil, e.fail(r, problem.New(problem.MethodNotAllowed, i18n.T("the method was rewritten behind the handler"), nil))
	}
	info, _ := reverseproxy.GetDialInfo(r.Context())
	e.host = t.host(r, info)
	if !network.Local(info.Network, info.Host) {
		if err := t.checkTry(info); err != nil {
			return nil, e.fail(r, problem.New(problem.UpstreamUnreachable, i18n.Of(err), err))
		}
		if !t.warned.Load() {
			t.warnDevelopmentKeys(e.keys)
		}
	}
	e.aim(r)
	if e.sealed == nil {
		if p := e.seal(); p != nil {
			return nil, e.fail(r, p)
		}
	}
	if p := e.intend(); p != nil {
		e.end("", p)
		return problemResponse(r, e.forClient(p)) // an error would count against the upstream
	}
	return e.try(r)
}

// try sends the sealed request and opens the answer.
func (e *exchange) try(r *http.Request) (*http.Response, error) {
	result, p := e.converse(r)
	switch {
	case p != nil && !e.sent:
		return nil, e.failDial(p)
	case p != nil:
		return nil, e.fail(r, p)
	}
	outcome := "ok"
	if !result.verified {
		outcome = "unsigned"
	}
	e.end(outcome, nil)
	if gone := e.forClient(nil); gone != nil {
		return problemResponse(r, gone)
	}
	return result.response(r), nil
}

// converse sends the sealed request, and returns the answer that may be released.
func (e *exchange) converse(r *http.Request) (result, *problem.Problem) {
	start := time.Now()
	timer, cancel := context.WithDeadline(context.Background(), start.Add(e.timeout()))
	defer cancel()
	e.inspection.sees(e.sealed, e.host)
	endSpan := e.span(telemetry.SpanUpstream)
	p := e.send(timer, r)
	answered := time.Now()
	e.entry.Upstream += max(answered.Sub(start), 1)
	if p != nil {
		endSpan(string(p.Reason))
		e.sealed = nil // another try is sealed afresh
		return result{}, p
	}
	endSpan("")
	e.entry.UpstreamStatus = e.reply.status
	e.entry.ResponseBytes = len(e.reply.body)

	endSpan = e.span(telemetry.SpanOpen)
	res, p := e.open()
	e.entry.Open = max(time.Since(answered), 1)
	e.reply.body, e.sealed = nil, nil
	if p != nil {
		endSpan(string(p.Reason))
		return result{}, p
	}
	endSpan("")
	e.inspection.hands(res)
	return res, nil
}

// send sends the sealed request and reads the whole answer.
func (e *exchange) send(timer context.Context, r *http.Request) *problem.Problem {
	if e.attempt == nil {
		e.attempt = &e.first
	} else {
		e.attempt = new(attempt) // dials of earlier ones may go on, with theirs
	}
	ctx := e.attempt.begin(timer, r.Context(), e.sealed.Message.Wire)
	telemetry.GuardStandardLog()
	res, err := e.upstream().RoundTrip(e.outgoing(ctx, r))
	if e.attempt.connected.Load() {
		e.sent = true
	}
	if err != nil {
		return e.sendProblem(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // what matters was read
	p := e.read(ctx, res)
	if p != nil && p.Reason == problem.UpstreamTimeout {
		e.attempt.retire(e.t.h2)
	}
	return p
}

// outgoing makes the request as it leaves: a new one, so that nothing of the
// client's request is in it that was not put there.
func (e *exchange) outgoing(ctx context.Context, r *http.Request) *http.Request {
	m := e.sealed.Message
	header := m.Header
	for _, name := range e.t.forward[1:] { // header_up may have changed those that nobody has signed
		if slices.Equal(header[name], e.plain.Header[name]) {
			if values := r.Header[name]; len(values) > 0 {
				header[name] = values
			} else {
				delete(header, name)
			}
		}
	}
	if e.t.HTTP.Compression == nil || *e.t.HTTP.Compression {
		header["Accept-Encoding"] = []string{"gzip"} // asked for here, so that it is undone here
	}
	if len(header["User-Agent"]) == 0 {
		header["User-Agent"] = nil // keeps Go from adding its own
	}
	e.attempt.url = *r.URL
	e.attempt.url.RawQuery = m.Query
	out := blank.WithContext(ctx)
	out.Method, out.URL, out.Host, out.Header = m.Method, &e.attempt.url, e.host, header
	if len(m.Wire) == 0 && (m.Method == http.MethodGet || m.Method == http.MethodHead || m.Method == http.MethodDelete) {
		return out
	}
	out.Body, out.ContentLength = e.attempt.body(), int64(len(m.Wire))
	if e.t.mayReplay {
		out.GetBody = e.attempt.again
	}
	return out
}

// blank has the fields that all sealed requests have in common.
var blank = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// aim sets the host and path of the request, which the signature may cover: a request
// that was sealed for another host or path is sealed again.
func (e *exchange) aim(r *http.Request) {
	m := *e.plain
	m.Host, m.Path, m.Query, m.Scheme = e.host, r.URL.EscapedPath(), r.URL.RawQuery, "http"
	if e.t.TLSEnabled() {
		m.Scheme = "https"
	}
	if m.Host == e.plain.Host && m.Path == e.plain.Path && m.Query == e.plain.Query && m.Scheme == e.plain.Scheme {
		return
	}
	if e.t.rules.Request.Target || m.Path != e.plain.Path || m.Query != e.plain.Query {
		e.sealed = nil
	}
	e.plain = &m
}

// host returns the Host that the provider sees: its own name, or what header_up says.
func (t *Transport) host(r *http.Request, info reverseproxy.DialInfo) string {
	host := r.Host
	if info.Address != "" {
		if t.ownHost {
			host = info.Address
		}
		if strings.HasPrefix(info.Network, "unix") && host == info.Address {
			host = "localhost" // a socket's path is no host name, and servers refuse it
		}
	}
	return t.withoutPort(host)
}

// withoutPort returns a host without the default port of its scheme.
func (t *Transport) withoutPort(host string) string {
	if t.TLSEnabled() {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// sendProblem returns the problem for the error of a round trip.
func (e *exchange) sendProblem(ctx context.Context, err error) *problem.Problem {
	if refused, ok := errors.AsType[*notProcessedError](err); ok && !e.attempt.answered.Load() {
		e.sent = false // the provider has the bytes, and says that it has done nothing with them
		return problem.New(problem.UpstreamUnreachable, i18n.T("%v; it was not carried out", refused), refused)
	}
	cause := network.Describe(err)
	if alert, ok := network.RemoteAlert(err); ok && alert.RefusesHandshake() && !e.attempt.reused.Load() && !e.attempt.answered.Load() {
		e.sent = false // in TLS 1.3 a server looks at the client's certificate after the request has left
	}
	switch {
	case !e.sent:
		return problem.New(problem.UpstreamUnreachable, i18n.T("no connection to the provider: %v", cause), cause)
	case network.IsTimeout(ctx, err):
		e.attempt.retire(e.t.h2)
		return problem.New(problem.UpstreamTimeout, i18n.T("the provider did not answer within the timeout; ask it what became of the request"), cause)
	default:
		return problem.New(problem.UpstreamFailed, i18n.T("the connection to the provider failed after the request was sent; ask it what became of the request"), cause)
	}
}

// healthCheck passes an active health check on, unsigned. It has the server's
// context but not the variables that the server gives to every request.
// Anything else without them is refused.
func (t *Transport) healthCheck(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		return nil, i18n.Errorf("a health check must be GET or HEAD without a body; anything else would leave unsigned")
	}
	telemetry.GuardStandardLog()
	return t.HTTP.RoundTrip(r)
}

// fail ends the exchange with a problem.
func (e *exchange) fail(r *http.Request, p *problem.Problem) error {
	e.end("", p)
	p = e.forClient(p)
	inbound.Announce(r, p)
	return caddyhttp.HandlerError{Err: p, StatusCode: p.Reason.Status(), ID: p.ID}
}

// failDial returns the error of a try that made no connection. reverse_proxy may try
// again; the handler ends the exchange.
func (e *exchange) failDial(p *problem.Problem) error {
	p.ID = e.id
	return dialError{caddyhttp.HandlerError{Err: p, StatusCode: p.Reason.Status(), ID: p.ID}}
}

// dialError is both the problem and a reverseproxy.DialError, which is what
// lets reverse_proxy try another upstream.
type dialError struct{ caddyhttp.HandlerError }

// Unwrap returns the problem and the DialError.
func (e dialError) Unwrap() []error {
	return []error{e.HandlerError, reverseproxy.NewDialError(i18n.Errorf("no connection to the provider"))}
}

func overloaded() *problem.Problem {
	return problem.New(problem.Overloaded, i18n.T("max_in_flight exchanges are in flight; send the request again later"), nil)
}
