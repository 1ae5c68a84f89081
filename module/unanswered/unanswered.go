// Package unanswered finds the requests that a configuration answers with an empty
// 200, which is Caddy's own end of a site, or with another success that says nothing.
// An application takes such an answer for
// a payment, and a provider takes it for the acknowledgement of a notification.
//
// It runs made-up requests through the routes of the configuration. Only handlers
// without effects outside of the process run; of the others it is known whether they
// answer or call the next handler.
package unanswered

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Request is a request that ends in a success without a body.
type Request struct {
	Server string   // its name in the configuration
	Listen []string // where the server listens
	Method string
	Host   string // "" where the request names none
	Path   string

	Reason, Advice string // what is wrong, and what to do
}

// String returns the request as a person writes it.
func (r Request) String() string {
	if r.Host == "" {
		return r.Method + " " + r.Path + " without Host"
	}
	return r.Method + " " + r.Host + r.Path
}

// The texts of the findings: of a request that no route takes, and of one that is
// refused.
const (
	reason = "a request that no route takes ends in an empty 200, or another success without a body, which an application takes for a payment and a provider for an acknowledgement"
	advice = "give the port a site without a host name (:8080 { … }) that ends in: handle { countersign_problem unknown_route }"

	refusedReason = "handle_errors makes an empty 200 of what the sidecar refuses, or another success without a body, which an application takes for a payment and a provider for an acknowledgement"
	refusedAdvice = "have handle_errors keep the status of the error, as countersign_problem in it does"
)

// madeUp is the host and the path of nobody (RFC 2606).
const (
	madeUpHost = "made-up.invalid"
	madeUpPath = "made-up-by-countersign"
)

// mostProbes bounds the requests for one server.
const mostProbes = 1000

// Find finds one request for each server that signs or takes notifications, if
// there is one.
func Find(app *caddyhttp.App) []Request {
	var found []Request
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		known := look(server)
		if !known.concerned {
			continue
		}
		if r := first(server, known); r != nil {
			r.Server, r.Listen = name, server.Listen
			found = append(found, *r)
		}
	}
	return found
}

// refusals are statuses with which requests and notifications are refused.
var refusals = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusBadGateway, http.StatusServiceUnavailable}

// first returns the first of the probes that ends in a success without a body, or nil.
func first(server *caddyhttp.Server, known sights) *Request {
	probes := 0
	for _, host := range append([]string{madeUpHost, "localhost", ""}, known.hosts...) {
		for _, path := range append([]string{"/" + madeUpPath, "/"}, known.paths...) {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				for _, fromProvider := range []bool{false, true} {
					if probes++; probes > mostProbes {
						return nil
					}
					w := &walk{server: server, fromProvider: fromProvider}
					if w.run(probe(server, method, host, path)) {
						return &Request{Method: method, Host: host, Path: path, Reason: reason, Advice: advice}
					}
					for _, status := range refusals {
						w := &walk{server: server, fromProvider: fromProvider, refusal: status}
						if w.run(probe(server, method, host, path)) {
							return &Request{Method: method, Host: host, Path: path, Reason: refusedReason, Advice: refusedAdvice}
						}
					}
				}
			}
		}
	}
	return nil
}

type probeKey struct{}

// IsProbe reports whether a request is one of the made-up ones. A matcher that would
// use the network must not match it.
func IsProbe(ctx context.Context) bool { return ctx.Value(probeKey{}) != nil }

// probe returns a made-up request, as a server prepares it.
func probe(server *caddyhttp.Server, method, host, path string) *http.Request {
	r := &http.Request{
		Method: method, URL: &url.URL{Path: path}, RequestURI: path, Host: host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody, RemoteAddr: "127.0.0.1:1",
	}
	r = r.WithContext(context.WithValue(context.Background(), probeKey{}, true))
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), server)
}
