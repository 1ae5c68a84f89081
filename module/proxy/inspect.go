package proxy

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// inspection collects what the inspector shows of an exchange. An exchange has one only
// where the inspector keeps messages.
type inspection struct {
	bodies   recorder.Bodies
	rehearse http.RoundTripper // in place of the upstream, or nil
}

// inspectable makes the handler known to the inspector, if there is one.
func (t *Transport) inspectable(a *app.App) {
	t.hook = a.Hook()
	t.hook.AddRoute(&recorder.Route{
		Kind: recorder.Exchange, Profile: t.Profile, Config: t.Scheme, Recipes: a.Recipes, Scheme: t.scheme,
		Reference: t.reference, Ring: t.ring, Rehearse: t.rehearse,
	})
}

// inspect begins an inspection where messages are kept.
func (e *exchange) inspect() {
	if r := e.t.hook.Recorder(); r != nil && r.Bodies() {
		e.inspection = new(inspection)
	}
}

// upstream returns the transport that answers the exchange.
func (e *exchange) upstream() http.RoundTripper {
	if i := e.inspection; i != nil && i.rehearse != nil {
		return i.rehearse
	}
	return e.t.HTTP
}

// rehearsalTime is the timeout of a sandbox that answers a request of the inspector.
const rehearsalTime = 3 * time.Second

// timeout returns how long a whole try may take.
func (e *exchange) timeout() time.Duration {
	if i := e.inspection; i != nil && i.rehearse != nil {
		return min(rehearsalTime, time.Duration(e.t.Timeout))
	}
	return time.Duration(e.t.Timeout)
}

// sees records the sealed request. Of several tries the latest counts.
func (i *inspection) sees(sealed *scheme.Sealed, host string) {
	if i == nil {
		return
	}
	b := &i.bodies
	b.Sent, b.Sealed = recorder.NewPart(sealed.Message), sealed.Traces()
	b.Sent.Host = host
	b.Strings = sealed.Memory.Strings
	b.Encrypted = slices.Concat(sealed.Memory.Texts.Paths(), sealed.Memory.JSON.Paths())
}

// reads records an answer as it was received.
func (i *inspection) reads(m *message.Message) {
	if i != nil {
		i.bodies.Received = recorder.NewPart(m)
	}
}

// opens records a verified answer.
func (i *inspection) opens(v *scheme.Verified) {
	if i != nil {
		i.bodies.Opened = v.Traces()
	}
}

// hands records the answer that the application gets.
func (i *inspection) hands(res result) {
	if i != nil {
		m := message.New(message.Answer)
		m.Status, m.Wire = res.status, res.body
		i.bodies.Handed = recorder.NewPart(m)
	}
}

// inspected adds the exchange, which has ended, to what the inspector shows.
func (e *exchange) inspected(p *problem.Problem) *recorder.Record {
	r := e.t.hook.Recorder()
	if r == nil {
		return nil
	}
	rec := &recorder.Record{Kind: recorder.Exchange, Entry: e.entry, Diagnosis: e.diagnosis, Signed: e.signed}
	if p != nil {
		rec.Detail = p.Text()
	}
	if e.plain != nil {
		rec.Method, rec.Path = e.plain.Method, e.plain.Path
	}
	if i := e.inspection; i != nil {
		b := &i.bodies
		b.Scheme = e.t.scheme
		if p != nil {
			b.UpstreamCode, b.Handed = p.UpstreamCode, nil
		}
		if e.plain != nil {
			b.Posted = recorder.NewPart(e.plain)
		}
		rec.Bodies, rec.Rehearse = b, i.rehearse != nil
	}
	if e.keys == nil {
		r.Add(rec)
	} else {
		r.Add(rec, e.keys, e.t.ring.Newer(e.keys))
	}
	return rec
}

// rehearse makes an exchange of a request that somebody gives in the inspector. Its
// answer comes from a sandbox in this process. It passes no guardrail and writes no
// audit entry, because nothing leaves the process.
func (t *Transport) rehearse(ctx context.Context, request *message.Message, answer http.RoundTripper) *recorder.Record {
	e := &exchange{t: t, id: problem.NewID(), Context: ctx, plain: request, inspection: &inspection{rehearse: answer}}
	e.entry.ID, e.entry.Profile, e.entry.Scheme, e.entry.Reference = e.id, t.Profile, t.name, t.Reference
	e.entry.RequestBytes = len(request.Wire)
	finish := func(outcome string, p *problem.Problem) *recorder.Record {
		e.ended = true
		if e.entry.Outcome = outcome; p != nil {
			e.entry.Outcome = string(p.Reason)
		}
		return e.inspected(p)
	}
	roles := t.rules.Needs(e.plain)
	if p := e.findKeys(ctx, roles); p != nil {
		return finish("", p)
	}
	release, p := e.acquire(ctx, roles)
	if p != nil {
		return finish("", p)
	}
	p = e.seal()
	release()
	if p != nil {
		return finish("", p)
	}
	e.host = "sandbox"
	r, err := http.NewRequestWithContext(ctx, request.Method, "http://"+e.host+request.URI(), http.NoBody)
	if err != nil {
		return finish("", problem.New(problem.InvalidRequest, i18n.T("the address of the request cannot be read"), nil))
	}
	r.Header = request.Header.Clone()
	res, p := e.converse(r)
	switch {
	case p != nil:
		return finish("", p)
	case !res.verified:
		return finish("unsigned", nil)
	}
	return finish("ok", nil)
}
