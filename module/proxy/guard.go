package proxy

import (
	"net/http"
	"net/url"
	"path"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
)

// guard decides whether the request may be signed, before a key is touched.
func (e *exchange) guard(r *http.Request) *problem.Problem {
	if e.t.Guard == nil {
		return nil
	}
	grant, refusal := e.t.Guard.Check(r.Context(), guard.Input{
		Method: r.Method, Path: r.URL.EscapedPath(), Cleaned: unclean(r),
		Body: e.plain.Source(), Caller: e.entry.Caller, ID: e.id,
	})
	e.grant = grant
	if refusal == nil {
		e.entry.Guard = "passed"
		return nil
	}
	if grant != nil { // guard report
		e.entry.Guard = "report:" + refusal.Rule
		for _, r := range grant.Refusals {
			e.t.logger.Warn("a guardrail would have refused a request", zap.String("id", e.id), zap.String("profile", e.t.Profile),
				zap.String("rule", r.Rule), zap.String("at", r.Line), zap.Stringer("detail", r.Detail))
		}
		return nil
	}
	e.entry.Guard = "refused:" + refusal.Rule
	p := problem.New(problem.Reason(refusal.Reason), refusal.Detail, refusal.Err)
	p.FirstID, p.FirstOutcome = refusal.FirstID, refusal.FirstOutcome
	return p
}

// unclean reports whether cleaning changes the path of a request, or has changed
// it: handle_path cleans what it leaves, so that the path that the application sent
// counts as well.
func unclean(r *http.Request) bool {
	changes := func(u *url.URL) bool {
		clean := path.Clean("/" + u.Path)
		return clean != u.Path && clean+"/" != u.Path
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil && changes(original.URL) {
		return true
	}
	return changes(r.URL)
}

// caller returns the authenticated client, or "": the user of basic_auth, or the
// subject of the client's certificate. A certificate that was not verified (the modes
// request and require of client_auth) does not count: anyone can make one.
func caller(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	if user, ok := repl.GetString("http.auth.user.id"); ok && user != "" {
		return user
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	subject, _ := repl.GetString("http.request.tls.client.subject")
	return subject
}

// done ends the reservations of the guardrails. A reservation is given back only if the
// request was certainly not sent.
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
			return i18n.Errorf("%s does not sign %s in a request, so that a limit on it protects from nothing; name a member that it signs, at %s", scheme, member, r.Line)
		}
	}
	return i18n.Errorf("%s does not sign %s in a request, so that a limit on it protects from nothing", scheme, member)
}
