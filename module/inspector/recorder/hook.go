package recorder

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Hook connects the handlers of a configuration with its inspector, in any order of
// provisioning.
type Hook struct {
	recorder atomic.Pointer[Recorder]

	mu        sync.Mutex
	routes    []*Route
	sandboxes map[string]http.Handler
}

// Route is a handler that the inspector knows.
type Route struct {
	Kind      string // of its records
	Profile   string
	Config    protocol.Config
	Recipes   protocol.Recipes // of the configuration
	Scheme    scheme.Scheme
	Reference keys.Template
	Ring      *keys.Ring

	// Rehearse makes an exchange of a request that answer answers, instead of the
	// upstream. The record is added like any other. It is nil for notifications.
	Rehearse func(ctx context.Context, request *message.Message, answer http.RoundTripper) *Record
}

// errTwo says that two inspectors of a configuration have different options.
var errTwo = i18n.Errorf("two inspectors of a configuration keep different things; give both the same keep and bodies, or leave one out")

// Attach gives the hook its recorder.
func (h *Hook) Attach(r *Recorder) error {
	if !h.recorder.CompareAndSwap(nil, r) && h.recorder.Load() != r {
		return errTwo
	}
	return nil
}

// Recorder returns the recorder, or nil where there is no inspector.
func (h *Hook) Recorder() *Recorder {
	if h == nil {
		return nil
	}
	return h.recorder.Load()
}

// AddRoute makes a handler known.
func (h *Hook) AddRoute(r *Route) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.routes = append(h.routes, r)
}

// Routes returns the handlers.
func (h *Hook) Routes() []*Route {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.routes)
}

// AddSandbox makes a sandbox of a scheme known; the first one counts.
func (h *Hook) AddSandbox(name string, sandbox http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sandboxes == nil {
		h.sandboxes = make(map[string]http.Handler)
	}
	if h.sandboxes[name] == nil {
		h.sandboxes[name] = sandbox
	}
}

// Sandbox returns the sandbox of a scheme in this configuration, or nil.
func (h *Hook) Sandbox(name string) http.Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sandboxes[name]
}
