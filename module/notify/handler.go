// Package notify stands before the merchant's application and lets through what
// the provider has really sent.
//
// A notification is read whole and verified, then decrypted where its scheme
// encrypts, and handed to the next handler. What does not verify is refused and
// never reaches it. The application's own answer is the acknowledgement; with
// "once" it is remembered, and a repeat is answered with it.
package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
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

// Handler verifies what a provider sends in, decrypts it, and lets the next
// handlers, the application, have it. Their answer is the acknowledgement.
//
// The application gets the body unchanged but for decrypted members, and the
// headers Countersign-Verified: true and Countersign-Signed, which names the
// part that the signature covers. It must still compare order number and amount
// with its own books: a genuine notification can be an old one, and the names
// and values of a signed text can be cut in other places.
type Handler struct {
	// The provider's scheme, with its options.
	SchemeRaw json.RawMessage `json:"scheme" caddy:"namespace=countersign.schemes inline_key=name"`

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

	// How long the application may take to answer. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What a form is handed over as: "json" makes it a JSON object of strings,
	// in a POST request. Default: as it came.
	As string `json:"as,omitempty"`

	// How far a notification's own time stamp may be from now, either way. Only
	// for schemes that sign one. Default: any.
	Window caddy.Duration `json:"window,omitempty"`

	// The text that acknowledges a notification: the application has answered
	// 2xx and, trimmed, this. Default: "success" for jeepay and hongwen; for
	// the others every 2xx acknowledges.
	Ack string `json:"ack,omitempty"`

	// Remembers notifications that the application has acknowledged. Default:
	// every repeat is handed over.
	Once *Once `json:"once,omitempty"`

	// Values that signed members must have. Several for one member: one of
	// them; several members: all of them.
	Expect []Expectation `json:"expect,omitempty"`

	// Where the configuration stands, as file:line, for errors that only come
	// up when it is provisioned.
	Line string `json:"line,omitempty"`

	scheme    scheme.Notifier
	rule      scheme.NotificationRule
	reference keys.Template
	ring      *keys.Ring
	expected  []expectedMember
	store     stores.Store // nil without Once
	holdBack  bool         // an answer until it is whole
	meter     *telemetry.Meter
	audit     *telemetry.Audit
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign_notify",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler. It asks no network.
func (h *Handler) Provision(ctx caddy.Context) error {
	if err := h.provision(ctx); err != nil {
		if h.Line != "" {
			return fmt.Errorf("%w, at %s", err, h.Line)
		}
		return err
	}
	return nil
}

func (h *Handler) provision(ctx caddy.Context) error {
	h.logger = telemetry.NewLogger(ctx)
	var err error
	if h.audit, err = telemetry.AuditOf(ctx); err != nil {
		return err
	}
	if len(h.SchemeRaw) == 0 {
		return errors.New("countersign_notify needs a scheme")
	}
	loaded, err := ctx.LoadModule(h, "SchemeRaw")
	if err != nil {
		return fmt.Errorf("setting up the scheme: %w", err)
	}
	if h.scheme, err = notifier(loaded); err != nil {
		return err
	}
	if err := h.scheme.Validate(); err != nil {
		return fmt.Errorf("scheme %s: %w", scheme.Name(h.scheme), err)
	}
	h.rule = h.scheme.Notification()
	if err := h.fillIn(); err != nil {
		return err
	}
	if s, ok := loaded.(scheme.Warner); ok {
		for _, warning := range s.Warnings() {
			h.logger.Warn(warning, zap.String("profile", h.Profile), zap.String("at", h.Line))
		}
	}
	if h.As == "json" && !h.rule.Form {
		h.logger.Warn("as json changes nothing: the provider's notifications are JSON already",
			zap.String("profile", h.Profile), zap.String("at", h.Line))
	}
	if err := h.provisionExpect(); err != nil {
		return err
	}
	if h.store, err = h.Once.provision(ctx); err != nil {
		return err
	}
	h.meter = telemetry.Notifications(scheme.Name(h.scheme), h.Profile)
	return h.provisionKeys(ctx)
}

// notifier is a scheme whose provider sends notifications.
func notifier(loaded any) (scheme.Notifier, error) {
	switch s := loaded.(type) {
	case scheme.Notifier:
		return s, nil
	case scheme.Scheme:
		return nil, fmt.Errorf("the provider of the scheme %s sends no notifications", scheme.Name(s))
	default:
		return nil, fmt.Errorf("module %T is no scheme", loaded)
	}
}

// fillIn checks the plain options and fills in their defaults.
func (h *Handler) fillIn() error {
	if h.Profile == "" {
		h.Profile = scheme.Name(h.scheme)
	}
	if h.MaxRequestBody == 0 {
		h.MaxRequestBody = DefaultMaxRequestBody
	}
	if h.Timeout == 0 {
		h.Timeout = caddy.Duration(DefaultTimeout)
	}
	h.holdBack = h.Once != nil || h.Ack != ""
	if h.Ack == "" {
		h.Ack = h.rule.Ack
	}
	h.Ack = strings.TrimSpace(h.Ack)
	if h.MaxRequestBody < 0 || h.Timeout < 0 || h.Window < 0 {
		return errors.New("timeout, window and max_request_body must be positive")
	}
	if h.As != "" && h.As != "json" {
		return fmt.Errorf("as cannot be %q; it is json", h.As)
	}
	return checkWindow(h.Window, h.scheme, h.rule)
}

func checkWindow(window caddy.Duration, s scheme.Scheme, rule scheme.NotificationRule) error {
	if window != 0 && rule.Time == nil {
		return fmt.Errorf("window cannot be given: %s signs no time stamp in its notifications; use once against repeats", scheme.Name(s))
	}
	return nil
}

func (h *Handler) provisionExpect() error {
	repl := caddy.NewReplacer()
	resolved := make([]Expectation, 0, len(h.Expect))
	for _, e := range h.Expect {
		if err := e.check(h.scheme, h.rule); err != nil {
			return err
		}
		var err error
		if e.Value, err = repl.ReplaceOrErr(e.Value, true, true); err != nil {
			return fmt.Errorf("the value expected of %s: %w", e.Member, err)
		}
		if err := e.check(h.scheme, h.rule); err != nil {
			return fmt.Errorf("with its placeholders filled in: %w", err)
		}
		resolved = append(resolved, e)
	}
	h.expected = groupExpected(resolved)
	return nil
}

func (h *Handler) provisionKeys(ctx caddy.Context) error {
	if h.Reference == "" {
		return errors.New("countersign_notify needs keys; add `keys <reference>`")
	}
	// {body.x} is for the notification; everything else is known now.
	text, err := caddy.NewReplacer().ReplaceOrErr(h.Reference, true, false)
	if err != nil {
		return fmt.Errorf("the key reference: %w", err)
	}
	if h.reference, err = keys.ParseTemplate(text); err != nil {
		return err
	}
	for _, member := range h.reference.Members() {
		if !h.rule.Signed(member) {
			h.logger.Warn("the key reference depends on a member that is not signed: where the provider signs for several merchants with one key, anybody can make one's notification another's; name a signed member with expect",
				zap.String("reference", text), zap.String("member", member), zap.String("at", h.Line))
		}
	}
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	h.ring, err = a.Use(h.Source, h.reference, nil)
	return err
}

// ServeHTTP verifies a notification and has the application answer it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	n := h.begin(r)
	defer n.abandoned()
	m, p := n.receive(r)
	if p != nil {
		return n.refuse(w, r, p)
	}
	opened, p := n.open(r.Context(), m)
	if p != nil {
		return n.refuse(w, r, p)
	}
	n.handOver(r, m, opened)
	if h.store != nil {
		return n.once(w, r, next)
	}
	return n.deliver(w, r, next)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
