package proxy

import (
	"fmt"
	"net/http"
	"path"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/problem"
)

// guard decides whether the request may be signed, before a key is touched.
func (e *exchange) guard(r *http.Request) *problem.Problem {
	if e.t.Guard == nil {
		return nil
	}
	e.entry.Caller = caller(r)
	escaped := r.URL.EscapedPath()
	cleaned := path.Clean("/" + r.URL.Path)
	grant, refusal := e.t.Guard.Check(r.Context(), guard.Input{
		Method: r.Method, Path: escaped, Cleaned: cleaned != r.URL.Path && cleaned+"/" != r.URL.Path,
		Body: e.plain.Source(), Caller: e.entry.Caller, ID: e.id,
	})
	e.grant = grant
	if refusal == nil {
		e.entry.Guard = "passed"
		return nil
	}
	if grant != nil { // guard report
		e.entry.Guard = "report:" + refusal.Rule
		e.t.logger.Warn("a guardrail would have refused a request", zap.String("id", e.id), zap.String("profile", e.t.Profile),
			zap.String("rule", refusal.Rule), zap.String("at", refusal.Line), zap.Stringer("detail", refusal.Detail))
		return nil
	}
	e.entry.Guard = "refused:" + refusal.Rule
	p := problem.New(problem.Reason(refusal.Reason), refusal.Detail, refusal.Err)
	p.FirstID, p.FirstOutcome = refusal.FirstID, refusal.FirstOutcome
	return p
}

// caller is who has authenticated, or "": the user of basic_auth, or the subject of
// the client's certificate.
func caller(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	for _, name := range []string{"http.auth.user.id", "http.request.tls.client.subject"} {
		if value, ok := repl.GetString(name); ok && value != "" {
			return value
		}
	}
	return ""
}

// done tells the guardrails what became of the request. Only what was surely not
// sent is given back.
func (e *exchange) done(p *problem.Problem, outcome string) {
	if e.grant == nil {
		return
	}
	if p != nil && !e.sent && p.Outcome() == problem.NotSent {
		outcome = guard.NotSent
	}
	e.grant.Done(outcome)
}

// checkGuard refuses a limit or a budget on a member that no signature covers:
// somebody between the sidecar and the provider could change it.
func (t *Transport) checkGuard() error {
	if t.Guard == nil {
		return nil
	}
	for _, member := range t.Guard.Members() {
		path, err := body.ParsePath(member)
		if err != nil {
			return err
		}
		if !t.rules.Request.Covers(path) {
			return errUnsigned(t.name, member, t.Guard)
		}
	}
	return nil
}

func errUnsigned(scheme, member string, g *guard.Guard) error {
	for _, r := range g.Rules {
		if r.Limit != nil && r.Limit.Member == member || r.Budget != nil && r.Budget.Member == member {
			return fmt.Errorf("%s does not sign %s in a request, so that a limit on it protects from nothing; name a member that it signs, at %s", scheme, member, r.Line)
		}
	}
	return fmt.Errorf("%s does not sign %s in a request, so that a limit on it protects from nothing", scheme, member)
}
