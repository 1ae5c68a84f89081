package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// exchange is the state of one request of a client, for all of its tries. It is also
// the context that reverse_proxy passes from the handler to the transport: the client's
// context, which ends when the client is gone, with the exchange as a value.
type exchange struct {
	context.Context

	t  *Transport
	id string

	plain    *message.Message // as the application sent it
	grant    *guard.Grant     // of the guardrails, or nil
	keys     *keys.Set
	sealed   *scheme.Sealed // by the handler, for the first try
	sent     bool           // bytes may have reached the provider: no further try
	ended    bool           // the entry is written
	intended bool           // the entry that says that bytes will leave was written
	gone     bool           // the entry says that the client was gone
	traced   bool           // there are spans
	http1    bool           // the client speaks HTTP/1

	host    string   // that the provider sees in the latest try
	attempt *attempt // of that try
	first   attempt
	reply   reply
	entry   telemetry.Entry

	diagnosis i18n.Text // why the answer's signature does not verify, for the log
	signed    string    // what the answer's signature covers

	inspection *inspection // nil unless the inspector keeps messages
	header     http.Header // of the client's request
}

type exchangeKey struct{}

// Value returns the exchange itself, or a value of the client's context.
func (e *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return e
	}
	return e.Context.Value(key)
}

// exchangeOf returns the exchange that the handler has begun, or nil.
func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// begin starts the exchange of a request and makes its id known to the access
// log, if there is one.
func (t *Transport) begin(r *http.Request) *exchange {
	ctx := r.Context()
	e := &exchange{t: t, id: problem.NewID(), Context: ctx, traced: telemetry.Traced(ctx), header: r.Header, http1: r.ProtoMajor == 1}
	e.entry.ID, e.entry.Profile, e.entry.Scheme, e.entry.Reference = e.id, t.Profile, t.name, t.Reference
	e.entry.Caller = caller(r)
	e.inspect()
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs == nil {
		return e
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("countersign_id", e.id))
	}
	return e
}

// prepare decides whether an admitted request may be signed, finds its keys and
// seals it.
func (e *exchange) prepare(r *http.Request) *problem.Problem {
	if p := e.guard(r); p != nil {
		return p
	}
	roles := e.t.rules.Needs(e.plain)
	if p := e.findKeys(r.Context(), roles); p != nil {
		return p
	}
	release, p := e.acquire(r.Context(), roles)
	if p != nil {
		return p
	}
	defer release()
	return e.seal()
}

// findKeys resolves every role that the exchange may need, those for its answer
// included: if one were missing later, the answer to a payment could not be verified.
func (e *exchange) findKeys(ctx context.Context, roles []keys.Role) *problem.Problem {
	reference, ok := e.t.reference.Resolve(func(member string) (string, bool) {
		if e.plain.Payload == nil {
			return "", false
		}
		m, ok := e.plain.Payload.Get(body.Path{member})
		if !ok || m.Kind() != body.String {
			return "", false
		}
		return string(m.Text()), true
	})
	if !ok {
		return problem.New(problem.UnknownKeySet, i18n.T("the request names no key set: a member that stands in the key reference is missing or is no plain name"), nil)
	}
	e.entry.Reference = reference
	if p := e.patiently(ctx, func(ctx context.Context) (p *problem.Problem) {
		e.keys, p = inbound.FindKeys(ctx, e.t.meter, e.t.ring, reference, roles...)
		return p
	}); p != nil {
		return p
	}
	set := e.keys
	if err := e.t.rules.CheckKinds(set); err != nil {
		return problem.New(problem.KeysUnavailable, i18n.Of(err), nil)
	}
	return nil
}

// seal seals the request for the next try.
func (e *exchange) seal() *problem.Problem {
	end := e.span(telemetry.SpanSeal)
	start := time.Now()
	sealed, err := scheme.Seal(e.t.scheme, scheme.Request{Message: e.plain, Keys: e.keys, Now: start})
	e.entry.Seal += max(time.Since(start), 1)
	if err != nil {
		p := sealProblem(err)
		end(string(p.Reason))
		return p
	}
	end("")
	e.sealed = sealed
	e.entry.Fingerprints = sealed.Fingerprints
	e.covers(sealed.Canonical())
	return nil
}

// span starts a span for a stage, as telemetry.Meter does.
func (e *exchange) span(name string) func(outcome string) {
	if !e.traced {
		return func(string) {}
	}
	return e.t.meter.Span(e, name)
}

// covers puts the digest of a canonical string into the entry, where entries are
// logged.
func (e *exchange) covers(canonical []byte) {
	if e.t.audit.Enabled() {
		e.entry.CanonicalSHA = sha256.Sum256(canonical)
	}
}

func sealProblem(err error) *problem.Problem {
	switch scheme.ReasonOf(err) {
	case scheme.Invalid, scheme.Ambiguous:
		return problem.New(problem.UnprocessableRequest, i18n.Of(err), err)
	case scheme.NeedsKeys:
		return problem.New(problem.KeysUnavailable, i18n.Of(err), err)
	default:
		cause := err
		if e, ok := errors.AsType[*scheme.Error](err); ok && e.Cause != nil {
			cause = e.Cause // it names the key, and the log must
		}
		return problem.New(problem.SigningFailed, i18n.T("the request could not be signed; the log says which key failed"), cause)
	}
}

// intend writes the audit entry before the first byte is sent, once.
func (e *exchange) intend() *problem.Problem {
	if e.intended {
		return nil
	}
	if err := e.t.audit.Intent(&e.entry); err != nil {
		return problem.New(problem.AuditUnavailable, i18n.T("the audit entry could not be written, and audit { required } stands in the configuration; nothing was sent"), err)
	}
	e.intended = true
	return nil
}

// end writes the audit entry and the metrics, once. It is called before the
// answer is released. The outcome is "ok", "unsigned" or the code of p.
func (e *exchange) end(outcome string, p *problem.Problem) {
	if e.ended {
		return
	}
	e.ended = true
	if p != nil {
		if p.ID != e.id { // otherwise another goroutine may read it already
			p.ID = e.id
		}
		outcome = string(p.Reason)
	}
	e.entry.Outcome = outcome
	if e.sent && e.Err() != nil {
		e.gone = true
		e.entry.Outcome, e.entry.Verdict = string(problem.ClientGone), outcome
	}
	if outcome == "unsigned" && !e.gone {
		// The audit's outcome is ok or a code; that nothing was verified shows
		// in the verdict.
		e.entry.Outcome, e.entry.Verdict = "ok", "unsigned"
	}
	e.done(p, outcome)
	e.t.audit.Done(&e.entry, telemetry.MessageExchange)
	e.inspected(p)
	metric := e.entry.Outcome
	if metric == "ok" {
		metric = outcome
	}
	e.t.meter.Count(metric)
	e.t.meter.Stages(e.entry.Seal, e.entry.Upstream, e.entry.Open)
	if p == nil {
		return
	}
	if p.Outcome() == problem.Unverified {
		telemetry.Emit(telemetry.EventVerificationFailed, map[string]any{
			"id": e.id, "profile": e.t.Profile, "scheme": e.entry.Scheme, "reference": e.entry.Reference, "reason": outcome,
		})
	}
	level := zap.WarnLevel
	if p.Reason.Status() >= http.StatusInternalServerError {
		level = zap.ErrorLevel
	}
	held := zap.Skip()
	if p.Repeats() {
		var ok bool
		if held, ok = e.t.held.Admit(telemetry.Alike(string(p.Reason), p.Detail, p.Cause()), time.Now()); !ok {
			return
		}
	}
	if c := e.t.logger.Check(level, "exchange failed"); c != nil {
		c.Write(held, zap.String("id", e.id), zap.String("profile", e.t.Profile), zap.String("reference", e.entry.Reference),
			zap.String("reason", string(p.Reason)), zap.String("outcome", string(p.Outcome())), zap.String("detail", p.Detail),
			zap.NamedError("cause", p.Cause()), diagnosis.Field(e.diagnosis))
	}
}

// forClient returns the problem that the client sees: p, or client_gone where the
// client is known to read no more. One that has closed its side for writing may
// still read, and gets its answer.
func (e *exchange) forClient(p *problem.Problem) *problem.Problem {
	if !e.gone || e.mayRead() {
		if p != nil {
			p.Speak(e.header, e.t.language)
		}
		return p
	}
	gone := problem.New(problem.ClientGone, i18n.T("the client went away before the answer came; the log holds the provider's verdict"), nil)
	gone.ID = e.id
	gone.Speak(e.header, e.t.language)
	return gone
}

// patiently calls wait, and calls it again without the client's context if that has
// ended and the client may have closed its sending side only.
func (e *exchange) patiently(ctx context.Context, wait func(context.Context) *problem.Problem) *problem.Problem {
	p := wait(ctx)
	if p != nil && ctx.Err() != nil && e.mayRead() {
		return wait(context.WithoutCancel(ctx))
	}
	return p
}

// mayRead reports whether a client that has closed its sending side may still read:
// with HTTP/1.1 it can close one side alone.
func (e *exchange) mayRead() bool {
	conn, ok := e.Value(connKey{}).(net.Conn)
	return e.http1 && !(ok && network.IsReset(conn))
}

type connKey struct{}

// keepConn puts the connection of each request of a server into its context.
func keepConn(server *caddyhttp.Server) {
	server.RegisterConnContext(func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	})
}
