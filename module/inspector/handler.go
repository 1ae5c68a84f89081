// Package inspector is a web page that shows the last exchanges and notifications
// of this process, and why one failed.
//
// It is a tool for developers who integrate a payment, on their machine. It is served
// only on loopback or a Unix socket, and only to its own pages. Without the option
// bodies it keeps no value of a message, not even in memory.
package inspector

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/sync/semaphore"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler serves a web page that shows the last exchanges and notifications of this
// process. A request for another path is passed to the next handler.
//
// Without bodies it shows metadata: times, outcomes, fingerprints, digests, and why
// a signature does not verify. With bodies it shows messages and canonical strings
// as well, never a key and never a secret, and a request can be sent again to a
// sandbox of the same configuration.
type Handler struct {
	// The number of exchanges and notifications that are kept, in memory only. Default:
	// 200.
	Keep int `json:"keep,omitempty"`

	// Keeps messages and shows them. It is for development: messages have the amounts
	// and the receivers of payments. Default: false, no value of a message is kept.
	Bodies bool `json:"bodies,omitempty"`

	// Serves the page to other machines. Put authentication before it. Default: false,
	// a listener that is neither loopback nor a Unix socket is refused.
	AllowRemote bool `json:"allow_remote,omitempty"`

	// The host names under which the page is served with allow_remote, besides
	// localhost and IP addresses. Default: none.
	Hosts []string `json:"hosts,omitempty"`

	// The place of the directive in the Caddyfile, as file:line, for errors of
	// Provision. Default: none.
	Line string `json:"line,omitempty"`

	app      *app.App
	hook     *recorder.Hook
	recorder *recorder.Recorder
	pool     string
	search   *semaphore.Weighted // for what takes long
	done     chan struct{}       // closed when the server shuts down
	close    func()
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign_inspector",
		New: func() caddy.Module { return new(Handler) },
	}
}

// recorders are the recorders of all configurations: a reload that does not change the
// inspector keeps the records.
var recorders = caddy.NewUsagePool()

type pooled struct{ *recorder.Recorder }

// Destruct forgets the records.
func (p pooled) Destruct() error {
	p.Clear()
	return nil
}

// Provision sets up the handler.
func (h *Handler) Provision(ctx caddy.Context) error {
	return directive.WithPlace(h.provision(ctx), h.Line)
}

func (h *Handler) provision(ctx caddy.Context) error {
	if h.Keep == 0 {
		h.Keep = recorder.DefaultKeep
	}
	if h.Keep < 1 || h.Keep > recorder.MaxKeep {
		return i18n.Errorf("countersign_inspector: keep is a number from 1 to %d, not %d", recorder.MaxKeep, h.Keep)
	}
	if len(h.Hosts) > 0 && !h.AllowRemote {
		return i18n.Errorf("countersign_inspector: hosts are for allow_remote")
	}
	h.done = make(chan struct{})
	h.close = sync.OnceFunc(func() { close(h.done) })
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server != nil {
		server.RegisterOnShutdown(h.close) // live updates would hold up a reload
	}
	if !h.AllowRemote {
		if err := checkListeners(server); err != nil {
			return err
		}
	}
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	h.app, h.hook, h.search = a, a.Hook(), semaphore.NewWeighted(1)
	key := fmt.Sprintf("keep %d, bodies %t", h.Keep, h.Bodies)
	value, _, err := recorders.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooled{recorder.New(recorder.Options{Keep: h.Keep, Bodies: h.Bodies})}, nil
	})
	if err != nil {
		return err
	}
	h.pool, h.recorder = key, value.(pooled).Recorder
	return h.hook.Attach(h.recorder)
}

// Cleanup ends live updates, and forgets the records unless the next configuration
// has taken them over.
func (h *Handler) Cleanup() error {
	if h.close != nil {
		h.close()
	}
	if h.pool == "" {
		return nil
	}
	_, err := recorders.Delete(h.pool)
	return err
}

// ServeHTTP serves the page.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	serve, method := h.find(r.URL.Path)
	if serve == nil {
		return next.ServeHTTP(w, r)
	}
	secureHeader(w.Header())
	if refusal := h.refuse(r, method); refusal != nil {
		return refusal.write(w, r)
	}
	return serve(w, r)
}

// find returns the handler of a path, and the method that it accepts.
func (h *Handler) find(path string) (serve caddyhttp.HandlerFunc, method string) {
	path = strings.TrimPrefix(path, "/")
	switch {
	case path == "":
		return h.servePage, http.MethodGet
	case strings.HasPrefix(path, "page/"):
		return h.serveFile, http.MethodGet
	case path == "records":
		return h.serveList, http.MethodGet
	case strings.HasPrefix(path, "records/"):
		return h.serveRecord, http.MethodGet
	case path == "events":
		return h.serveEvents, http.MethodGet
	}
	action := map[string]func(r *http.Request) (any, error){
		"workbench/diff": h.diff, "workbench/explain": h.explain, "workbench/guess": h.guess, "workbench/send": h.send, "clear": h.clear,
	}[path]
	if action == nil {
		return nil, ""
	}
	return func(w http.ResponseWriter, r *http.Request) error { return h.act(w, r, action) }, http.MethodPost
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
