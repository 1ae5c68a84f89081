// Package notify verifies the notifications of a provider before the merchant's
// application gets them.
//
// A notification is read whole and verified, then decrypted where its scheme
// encrypts, and handed to the next handler. What does not verify is refused and
// never reaches it. The application's own answer is the acknowledgement; with
// "once" it is remembered, and a repeat is answered with it.
package notify

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// The defaults of the options.
const (
	DefaultMaxRequestBody = 1 << 20
	DefaultTimeout        = 30 * time.Second
)

// Handler verifies and decrypts the notifications of a provider, and passes them to the
// next handlers: the application. Their answer is the acknowledgement.
//
// The application gets the body unchanged except for decrypted members, and the headers
// Countersign-Verified: true and Countersign-Signed, which names the part that the
// signature covers. It must still compare order number and amount with its own records:
// a genuine notification can be an old one, and a signed text can be divided into other
// names and values.
type Handler struct {
	// The provider's scheme, with its options. Required.
	Scheme protocol.Config `json:"scheme"`

	// The name of the key source. Default: the source without a name.
	Source string `json:"source,omitempty"`

	// The reference of the key set. {body.x} in it stands for the string
	// member or the parameter x of the notification. Required.
	Reference string `json:"reference"`

	// The name in logs, metrics and in the memory of notifications. Default:
	// the name of the scheme.
	Profile string `json:"profile,omitempty"`

	// The largest body in bytes. Default: 1 MiB.
	MaxRequestBody int64 `json:"max_request_body,omitempty"`

	// How many notifications may be verified and answered at once. Beyond it they
	// are refused with 503 overloaded and Retry-After, before their signature is
	// looked at. Default: 256.
	MaxInFlight int64 `json:"max_in_flight,omitempty"`

	// How long the application may take to answer. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The body that the application gets. "json": a form, a query or XML becomes a JSON
	// object of strings, in a POST request. "wire": the body as it was received.
	// Default: json where the notification is JSON or a part of it was decrypted,
	// otherwise wire.
	As string `json:"as,omitempty"`

	// The largest difference between the time stamp of a notification and now, in both
	// directions. Only for schemes that sign a time stamp. Default: no limit.
	Window caddy.Duration `json:"window,omitempty"`

	// The text that acknowledges a notification: the application has answered
	// 2xx and, trimmed, this. Default: "success" for jeepay and hongwen; for
	// the others every 2xx acknowledges.
	Ack string `json:"ack,omitempty"`

	// Remembers the notifications that the application has acknowledged, and answers
	// their repeats. Default: the application gets every repeat.
	Once *Once `json:"once,omitempty"`

	// The values that signed members must have. Of several values for one member one
	// must match; several members must all match. Default: none.
	Expect []Expectation `json:"expect,omitempty"`

	// The place of the directive in the Caddyfile, as file:line, for errors of
	// Provision. Default: none.
	Line string `json:"line,omitempty"`

	recipes    protocol.Recipes // of the configuration, while a Caddyfile is read
	scheme     scheme.Scheme
	rules      *scheme.Description
	reference  keys.Template
	ring       *keys.Ring
	language   i18n.Language // of problems, where a request prefers none
	expected   []expectedMember
	store      stores.Store // nil without Once
	load       load
	holdBack   bool // an answer until it is whole
	ack        ackRule
	ownProfile bool   // no profile is given
	identity   string // among the handlers that are alike, in the memory of once
	meter      *telemetry.Meter
	audit      *telemetry.Audit
	diagnoses  *diagnosis.Log
	held       telemetry.HeldBack // lines of the log
	logger     *zap.Logger
	hook       *recorder.Hook // of the inspector
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign_notify",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler. It does not use the network.
func (h *Handler) Provision(ctx caddy.Context) error {
	return directive.WithPlace(h.provision(ctx), h.Line)
}

func (h *Handler) provision(ctx caddy.Context) error {
	h.logger = telemetry.NewLogger(ctx)
	h.diagnoses = diagnosis.NewLog()
	var err error
	if h.audit, err = telemetry.AuditOf(ctx); err != nil {
		return err
	}
	if h.Scheme.Name == "" {
		return i18n.Errorf("countersign_notify needs a scheme")
	}
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	if h.scheme, err = notifier(h.Scheme, a.Recipes); err != nil {
		return err
	}
	h.rules = h.scheme.Describe()
	if err := h.fillIn(); err != nil {
		return err
	}
	for _, warning := range h.rules.WarningsOf(message.Notification) {
		if h.Once != nil && strings.HasSuffix(warning, ": use once") {
			continue
		}
		h.logger.Warn(warning, zap.String("profile", h.Profile), zap.String("at", h.Line))
	}
	if h.As == "json" && h.rules.Notification.Format.IsJSON() {
		h.logger.Warn("as json changes nothing: the provider's notifications are JSON already",
			zap.String("profile", h.Profile), zap.String("at", h.Line))
	}
	if err := h.provisionExpect(); err != nil {
		return err
	}
	if h.store, err = h.Once.provision(ctx); err != nil {
		return err
	}
	if store, ok := h.store.(stores.Prober); ok {
		a.ProbeAtStart("once of "+h.Profile, store.Probe)
	}
	h.meter = telemetry.Notifications(h.Scheme.Name, h.Profile)
	if h.ownProfile {
		// Two handlers without a profile and with the same scheme and reference have
		// separate memories: each may have another application. Caddy provisions the
		// servers in any order, and the handlers of a server in the order of its
		// routes.
		server := ""
		if s, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
			server = s.Name()
		}
		h.identity = fmt.Sprintf("%s/%d", server, a.Ordinal("notify "+server+" "+h.Scheme.Name+" "+h.Reference))
	}
	if err := h.provisionKeys(a); err != nil {
		return err
	}
	h.inspectable(a)
	return nil
}

// notifier returns a scheme whose provider sends notifications.
func notifier(c protocol.Config, recipes protocol.Recipes) (scheme.Scheme, error) {
	s, err := c.Load(recipes)
	if err != nil {
		return nil, err
	}
	if s.Describe().Notification == nil {
		return nil, i18n.Errorf("the provider of the scheme %s sends no notifications, or its recipe has no block for them", c.Name)
	}
	return s, nil
}

// fillIn checks the plain options and fills in their defaults.
func (h *Handler) fillIn() error {
	if h.Profile == "" {
		h.Profile, h.ownProfile = h.Scheme.Name, true
	}
	if h.MaxRequestBody == 0 {
		h.MaxRequestBody = DefaultMaxRequestBody
	}
	if h.MaxInFlight == 0 {
		h.MaxInFlight = DefaultMaxInFlight
	}
	if h.Timeout == 0 {
		h.Timeout = caddy.Duration(DefaultTimeout)
	}
	h.holdBack = h.Once != nil || h.Ack != "" || h.rules.Notify.SignAck != nil
	if h.Ack == "" {
		h.ack = ackRule{text: h.rules.Notify.Ack, ignoreCase: h.rules.Notify.IgnoreCase, exact: h.rules.Notify.IgnoreCase}
	} else {
		h.ack = ackRule{text: strings.TrimSpace(h.Ack), ignoreCase: h.rules.Notify.IgnoreCase}
	}
	if h.MaxRequestBody < 0 || h.MaxInFlight < 0 || h.Timeout < 0 || h.Window < 0 {
		return i18n.Errorf("timeout, window, max_in_flight and max_request_body must be positive")
	}
	if h.As != "" && h.As != "json" && h.As != "wire" {
		return i18n.Errorf("as cannot be %q; it is json or wire", h.As)
	}
	return checkWindow(h.Window, h.rules)
}

func checkWindow(window caddy.Duration, rules *scheme.Description) error {
	if window != 0 && rules.Notify.Time == nil {
		return i18n.Errorf("window cannot be given: %s signs no time stamp in its notifications; use once against repeats", rules.Name)
	}
	return nil
}

func (h *Handler) provisionExpect() error {
	repl := caddy.NewReplacer()
	resolved := make([]Expectation, 0, len(h.Expect))
	for _, e := range h.Expect {
		if err := e.check(h.rules); err != nil {
			return err
		}
		var err error
		if e.Value, err = repl.ReplaceOrErr(e.Value, true, true); err != nil {
			return i18n.Errorf("the value expected of %s: %w", e.Member, err)
		}
		if err := e.check(h.rules); err != nil {
			return i18n.Errorf("with its placeholders filled in: %w", err)
		}
		resolved = append(resolved, e)
	}
	h.expected = groupExpected(resolved)
	return nil
}

func (h *Handler) provisionKeys(a *app.App) error {
	h.language = a.ProblemLanguage()
	if h.Reference == "" {
		return i18n.Errorf("countersign_notify needs keys; add `keys <reference>`")
	}
	var err error
	if h.reference, err = app.ParseReference(h.Reference); err != nil {
		return err
	}
	for _, member := range h.reference.Members() {
		if !h.rules.Notification.Covers(body.Path{member}) {
			h.logger.Warn("the key reference depends on a member that is not signed: where the provider signs for several merchants with one key, anybody can make one's notification another's; name a signed member with expect",
				zap.String("reference", h.reference.String()), zap.String("member", member), zap.String("at", h.Line))
		}
	}
	h.ring, err = a.Use(h.Source, h.reference, nil, h.checkKinds)
	return err
}

// checkKinds refuses a key set whose keys cannot verify or decrypt any
// notification.
func (h *Handler) checkKinds(set *keys.Set) error {
	return h.rules.CheckKinds(set, h.rules.Notification.Roles...)
}

// ServeHTTP verifies a notification and calls the application.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	n := h.begin(r)
	defer n.abandoned()
	text, read := h.limitBody(w, r)
	defer text.release()
	m, p := n.receive(r)
	switch { // what is left of the body has no more time: the server reads some of it before it answers
	case text.refused:
		return n.refuse(w, r, overloaded(i18n.T("too many large bodies are being read at once")))
	case p != nil:
		return n.refuse(w, r, p)
	}
	read()
	defer h.leave()
	if p := h.enter(); p != nil {
		return n.refuse(w, r, p)
	}
	n.inspection.reads(m)
	opened, p := n.open(r.Context(), m)
	if p != nil {
		return n.refuse(w, r, p)
	}
	n.verified = opened
	n.handOver(r, opened)
	if h.store != nil {
		return n.once(w, r, next)
	}
	return n.deliver(w, r, next)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
