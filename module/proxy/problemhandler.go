package proxy

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	caddy.RegisterModule(new(ProblemHandler))
}

// ProblemHandler answers with the problem of an error inside handle_errors, and calls
// the next handler for an error that is not a problem. With a reason it makes a problem
// itself, in any route: a site that ends in unknown_route never answers with an empty
// 200, which an application could take for a payment.
type ProblemHandler struct {
	// The reason of the problem that is made: "unknown_route" or "overloaded".
	// Default: none, for handle_errors.
	Reason problem.Reason `json:"reason,omitempty"`

	logger   *zap.Logger
	language i18n.Language
}

// made are the problems that countersign_problem makes, and their details.
var made = map[problem.Reason]i18n.Text{
	problem.UnknownRoute: i18n.T("no route of the sidecar leads from here to a provider: correct the host, the path or its prefix; nothing was sent"),
	problem.Overloaded:   i18n.T("the sidecar takes no more requests now; nothing was sent, send it again later"),
}

// Provision checks the reason.
func (h *ProblemHandler) Provision(ctx caddy.Context) error {
	h.logger = telemetry.NewLogger(ctx)
	if _, ok := made[h.Reason]; h.Reason != "" && !ok {
		return i18n.Errorf("countersign_problem makes unknown_route or overloaded, not %q", h.Reason)
	}
	var err error
	h.language, err = app.LanguageOf(ctx)
	return err
}

// CaddyModule returns the Caddy module information.
func (*ProblemHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign_problem",
		New: func() caddy.Module { return new(ProblemHandler) },
	}
}

// ServeHTTP answers with the problem of the error that is being handled, even if a
// reason is set: an exchange that may have been carried out must not become an
// unknown_route, whose outcome is not_sent.
func (h *ProblemHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err, ok := r.Context().Value(caddyhttp.ErrorCtxKey).(error); ok {
		if p, ok := problem.As(err); ok {
			return p.Write(w)
		}
		if p := noUpstream(err); p != nil {
			p.Speak(r.Header, h.language)
			return p.Write(w)
		}
	}
	if h.Reason != "" {
		p := problem.New(h.Reason, made[h.Reason], nil)
		p.ID = problem.NewID()
		h.logger.Warn("a request reached no provider", zap.String("id", p.ID), zap.String("reason", string(p.Reason)),
			zap.String("host", shown(r.Host)), zap.String("path", shown(r.URL.Path)))
		return inbound.Answer(w, r, p, h.language)
	}
	return next.ServeHTTP(w, r)
}

// PassesOn reports whether the handler calls the next one for a request without an
// error.
func (h *ProblemHandler) PassesOn() bool { return h.Reason == "" }

// noUpstream returns the problem where reverse_proxy found no upstream to ask, in
// the long form: the transport has no part in that. The error has no name.
func noUpstream(err error) *problem.Problem {
	failure, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || failure.StatusCode != http.StatusServiceUnavailable || failure.Err == nil || failure.Err.Error() != "no upstreams available" {
		return nil
	}
	p := problem.New(problem.UpstreamUnreachable, i18n.T("no upstream is available"), nil)
	p.ID = failure.ID
	return p
}

var _ caddyhttp.MiddlewareHandler = (*ProblemHandler)(nil)
