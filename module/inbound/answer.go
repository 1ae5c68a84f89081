// Package inbound has what every handler that receives requests needs: it reads a body
// within a limit, finds the key set of a reference, and answers with a problem.
package inbound

import (
	"bytes"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
)

// Answer answers a request with a problem, unless the site's handle_errors
// answers it. It sets the placeholders {http.countersign.*} first. The language is
// the one that the request prefers, or byDefault.
//
// Caddy runs the error routes only after all handlers have returned, and writes a bare
// status where none of them answers. So Answer runs them itself, with a writer that
// withholds a bare status, and writes the problem if they did not answer.
func Answer(w http.ResponseWriter, r *http.Request, p *problem.Problem, byDefault i18n.Language) error {
	p.Speak(r.Header, byDefault)
	Announce(r, p)
	srv, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if srv == nil || srv.Errors == nil || len(srv.Errors.Routes) == 0 {
		return p.Write(w)
	}
	// A handler that stands in handle_errors itself would come here again, for ever.
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		return p.Write(w)
	}
	failure := caddyhttp.HandlerError{Err: p, StatusCode: p.Reason.Status(), ID: p.ID}
	held := &heldWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, bare: p.Reason.Status()}
	reached := false
	fallback := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		reached = true
		return nil
	})
	inner := srv.Errors.WithError(r, failure)
	defer restore(inner)()
	before := w.Header().Clone()
	err := srv.Errors.Routes.Compile(fallback).ServeHTTP(held, inner)
	if held.wrote {
		return nil
	}
	if err == nil && !reached && held.status != 0 && held.status != held.bare {
		w.WriteHeader(held.status) // the routes chose an empty answer
		return nil
	}
	// The header must keep nothing of an answer that was not written.
	clear(w.Header())
	for name, values := range before {
		w.Header()[name] = values
	}
	return p.Write(w)
}

// restore gives the error routes the request as the client sent it, as Caddy
// does: a prefix that handle_path took away is back. It changes the URL in
// place, where placeholders look for it, until what it returns is called.
func restore(r *http.Request) func() {
	orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || orig.URL == nil || r.URL == nil {
		return func() {}
	}
	rewritten := *r.URL
	*r.URL = *orig.URL
	r.Method, r.RequestURI = orig.Method, orig.RequestURI
	return func() { *r.URL = rewritten }
}

// heldWriter withholds the status until a body is written.
type heldWriter struct {
	*caddyhttp.ResponseWriterWrapper
	bare   int // the status of the problem
	status int
	wrote  bool
}

// WriteHeader remembers the status.
func (w *heldWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		return
	}
	if w.status == 0 {
		w.status = status
	}
}

func (w *heldWriter) release() {
	if w.wrote {
		return
	}
	w.wrote = true
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.ResponseWriterWrapper.WriteHeader(w.status)
}

// Write releases the header and writes.
func (w *heldWriter) Write(p []byte) (int, error) {
	if len(p) == 0 && !w.wrote {
		return 0, nil
	}
	w.release()
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom writes the content of r. Without it the embedded writer's ReadFrom would
// bypass Write.
func (w *heldWriter) ReadFrom(r io.Reader) (int64, error) {
	if !w.wrote {
		first := make([]byte, 512)
		n, err := io.ReadAtLeast(r, first, 1)
		if n == 0 {
			if err == io.EOF { //nolint:errorlint // ReadAtLeast returns io.EOF itself
				return 0, nil
			}
			return 0, err
		}
		r = io.MultiReader(bytes.NewReader(first[:n]), r)
		w.release()
	}
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// Flush releases the header of an answer that has begun.
func (w *heldWriter) Flush() {
	if w.wrote {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// FlushError is Flush with an error.
func (w *heldWriter) FlushError() error {
	if !w.wrote {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Announce sets the placeholders {http.countersign.*} of a request to those of p,
// for handle_errors and the access log.
func Announce(r *http.Request, p *problem.Problem) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		text, _ := p.MarshalJSON()
		repl.Set("http.countersign.reason", string(p.Reason))
		repl.Set("http.countersign.outcome", string(p.Outcome()))
		repl.Set("http.countersign.id", p.ID)
		repl.Set("http.countersign.problem", string(text))
	}
}
