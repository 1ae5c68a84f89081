package unanswered

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// walk is the way of one request through the routes of a server.
type walk struct {
	server       *caddyhttp.Server
	fromProvider bool // every address of a client matches
	notification bool // it has passed countersign_notify, which answers 502 where nobody does
	refusal      int  // the status with which the handlers of countersign refuse it, or 0
	failed       bool // the routes for errors have it
	silent       bool // it ends in a success without a body
	groups       map[string]bool
	depth        int
}

// errAnswered ends a walk at a handler that answers.
var errAnswered = errors.New("answered")

// errProblem is what the handlers of countersign fail with, for the routes for errors.
var errProblem = errors.New("unknown_route")

// run reports whether the request ends in a success without a body.
func (w *walk) run(r *http.Request) (silent bool) {
	defer func() { // of a matcher or a handler: that is not such an end
		if recover() != nil {
			silent = false
		}
	}()
	w.groups = make(map[string]bool)
	err := w.compile(w.server.Routes, w.end()).ServeHTTP(httptest.NewRecorder(), r)
	if err != nil && !errors.Is(err, errAnswered) && w.server.Errors != nil {
		_ = w.handleError(w.server.Errors.Routes, r, err)
	}
	return w.silent && !w.notification
}

// handleError has the routes for errors answer one, which may make a success of it.
func (w *walk) handleError(routes caddyhttp.RouteList, r *http.Request, err error) error {
	w.failed, w.groups = true, make(map[string]bool)
	return w.compile(routes, w.end()).ServeHTTP(httptest.NewRecorder(), w.server.Errors.WithError(r, err))
}

// end is Caddy's own end of the routes. That of the routes for errors is the status of
// the error.
func (w *walk) end() caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		w.silent = w.silent || !w.failed
		return nil
	})
}

// compile makes a chain of routes, as Caddy does.
func (w *walk) compile(routes caddyhttp.RouteList, next caddyhttp.Handler) caddyhttp.Handler {
	for _, route := range slices.Backward(routes) {
		next = w.route(route, next)
	}
	return next
}

func (w *walk) route(route caddyhttp.Route, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		if route.Group != "" && w.groups[route.Group] {
			return next.ServeHTTP(rw, r)
		}
		matches, err := w.matches(route.MatcherSets, r)
		if err != nil {
			return err
		}
		if !matches {
			return next.ServeHTTP(rw, r)
		}
		if route.Group != "" {
			w.groups[route.Group] = true
		}
		inner := next
		if route.Terminal {
			inner = w.end()
		}
		for _, handler := range slices.Backward(route.Handlers) {
			inner = w.handler(handler, inner)
		}
		return inner.ServeHTTP(rw, r)
	})
}

// matches reports whether one of the sets matches. Where the walk is that of a
// provider, its address does.
func (w *walk) matches(sets caddyhttp.MatcherSets, r *http.Request) (bool, error) {
	if len(sets) == 0 {
		return true, nil
	}
	for _, set := range sets {
		if w.fromProvider {
			set = slices.DeleteFunc(slices.Clone(set), func(matcher any) bool {
				id := idOf(matcher)
				return id == "http.matchers.remote_ip" || id == "http.matchers.client_ip"
			})
		}
		if matches, err := set.MatchWithError(r); err != nil || matches {
			return matches, err
		}
	}
	return false, nil
}

// maxDepth bounds named routes that invoke one another.
const maxDepth = 50

// handler returns a handler, or a substitute that answers or calls the next one.
func (w *walk) handler(h caddyhttp.MiddlewareHandler, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		switch h := h.(type) {
		case *caddyhttp.Subroute:
			err := w.compile(h.Routes, next).ServeHTTP(rw, r)
			if err != nil && !errors.Is(err, errAnswered) && h.Errors != nil && !w.failed {
				return w.handleError(h.Errors.Routes, r, err)
			}
			return err
		case *caddyhttp.Invoke:
			route, ok := w.server.NamedRoutes[h.Name]
			if w.depth++; !ok || w.depth > maxDepth {
				return errAnswered
			}
			return w.route(*route, next).ServeHTTP(rw, r)
		case *caddyhttp.StaticResponse:
			return w.respond(h, r, next)
		case caddyhttp.StaticError:
			return h.ServeHTTP(rw, r, next)
		case *caddyhttp.StaticError:
			return h.ServeHTTP(rw, r, next)
		case *reverseproxy.Handler:
			return w.authorized(h, next).ServeHTTP(rw, r)
		case interface{ PassesOn() bool }:
			if h.PassesOn() {
				return next.ServeHTTP(rw, r)
			}
			if w.failed {
				return errAnswered
			}
			return caddyhttp.Error(http.StatusNotFound, errProblem)
		}
		id := idOf(h)
		if w.refusal != 0 && signs(id) {
			return caddyhttp.Error(w.refusal, errProblem)
		}
		switch id {
		case "http.handlers.rewrite", "http.handlers.vars", "http.handlers.map": // they change what later matchers read
			return h.ServeHTTP(rw, r, next)
		case "http.handlers.countersign_notify":
			w.notification = true
			return next.ServeHTTP(rw, r)
		case "http.handlers.headers", "http.handlers.encode", "http.handlers.templates", "http.handlers.tracing",
			"http.handlers.log_append", "http.handlers.request_body", "http.handlers.intercept", "http.handlers.push", "http.handlers.copy_response_headers",
			"http.handlers.authentication": // an authenticated client must not get an empty 200 either
			return next.ServeHTTP(rw, r)
		}
		return errAnswered
	})
}

// respond runs static_response.
func (w *walk) respond(h *caddyhttp.StaticResponse, r *http.Request, next caddyhttp.Handler) error {
	if h.Abort {
		return errAnswered
	}
	answer := httptest.NewRecorder()
	if err := h.ServeHTTP(answer, r, next); err != nil {
		return err
	}
	w.silent = w.silent || answer.Code/100 == 2 && answer.Body.Len() == 0
	return errAnswered
}

// authorized passes on where a reverse_proxy only asks somebody whether a request
// may pass, as forward_auth does: its routes for an answer of 200 answer nothing.
func (w *walk) authorized(h *reverseproxy.Handler, next caddyhttp.Handler) caddyhttp.Handler {
	for _, response := range h.HandleResponse {
		if response.Match == nil || response.Match.Match(http.StatusOK, http.Header{}) {
			return w.compile(response.Routes, next)
		}
	}
	return caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return errAnswered })
}
