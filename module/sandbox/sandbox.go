// Package sandbox plays the payment providers, for trials, for tests and for rehearsals
// of failures. The providers are in package provider; this package serves them over
// HTTP.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// maxBody is the largest request that a sandbox reads, in bytes.
const maxBody = 16 << 20

// Handler plays a payment provider. It refuses what the provider would refuse
// and answers signed. Five providers are written by hand; every other one is
// played from its recipe.
//
// The query parameter fault names one fault of the answer: bad_signature, wrong_key,
// tampered, unsigned, mismatch (the answer is not genuine, or not to this request);
// truncated, reset, slow (the connection fails; slow waits until the client is gone, 60
// s at most, or for the duration in the parameter delay); http_500 (a signed answer
// with status 500); not_json (an HTML page).
//
// GET on any path that ends in /received shows the last request as it was received, and
// what the provider verified and decrypted. POST on any path that ends in
// /send-notification sends a notification with the members of the body, once, and
// answers with the result; only a sandbox of a recipe has it.
type Handler struct {
	// The name of the provider's scheme: one of the five, or that of a recipe.
	// Required.
	Scheme string `json:"scheme"`

	// The options of the recipe, equal to those of the sidecar. Default: those of the
	// recipe.
	Options recipe.Settings `json:"options,omitempty"`

	// The name of the key source. Default: the source without a name.
	Source string `json:"source,omitempty"`

	// The reference of the provider's side of the keys: its own private keys
	// and the merchant's public ones. {body.x} in it stands for the string
	// member x of the request. Required.
	Reference string `json:"reference"`

	// The URL to which the notification of each successful exchange is sent. It is sent
	// several times, until it is acknowledged. Default: none is sent.
	Notify string `json:"notify,omitempty"`

	// The answer of a recipe's sandbox to a request that it accepts, before encryption
	// and signature: a JSON object. Its texts may have the placeholders {body.x},
	// {header.X}, {query.x}, {method}, {path}, {time.unix}, {nonce.16} and {uuid}; a
	// text that is only {body.x} becomes the member with its JSON type. Default: the
	// members of the request and a result.
	Answer string `json:"answer,omitempty"`

	// The notification of a recipe's sandbox, in the same form as the answer. Default:
	// the members of the request and a result.
	Notification string `json:"notification,omitempty"`

	// The place of the directive in the Caddyfile, as file:line, for errors of
	// Provision. Default: none.
	Line string `json:"line,omitempty"`

	player    player
	recipes   protocol.Recipes // of the configuration, while a Caddyfile is read
	reference keys.Template
	ring      *keys.Ring
	logger    *zap.Logger
	notifier  *notifier
	received  atomic.Pointer[received]
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.countersign_sandbox",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the provider and its keys.
func (h *Handler) Provision(ctx caddy.Context) error {
	return directive.WithPlace(h.provision(ctx), h.Line)
}

func (h *Handler) provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	if h.player, err = h.newPlayer(a.Recipes); err != nil {
		return err
	}
	if p, ok := h.player.(*fromRecipe); ok {
		h.logger.Info("the sandbox is made from the same recipe as the sidecar: it shows whether an application works with it, and does not prove the rule", zap.String("recipe", p.name))
	}
	if h.Reference == "" {
		return i18n.Errorf("countersign_sandbox needs keys; add: keys <reference>")
	}
	if h.reference, err = app.ParseReference(h.Reference); err != nil {
		return err
	}
	if h.ring, err = a.Use(h.Source, h.reference, nil, nil); err != nil {
		return err
	}
	a.Hook().AddSandbox(h.Scheme, http.HandlerFunc(h.answer))
	if h.Notify != "" {
		h.notifier, err = newNotifier(h.Notify, h.logger)
	}
	return err
}

// Cleanup ends the sending of notifications.
func (h *Handler) Cleanup() error {
	if h.notifier != nil {
		h.notifier.close()
	}
	return nil
}

// ServeHTTP answers as the provider would.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	isGet := r.Method == http.MethodGet || r.Method == http.MethodHead
	if isGet && (strings.HasSuffix(r.URL.Path, "/received") || !h.player.accepts(r.Method)) {
		return h.serveReceived(w, r)
	}
	refuse := func(status int, text string) error {
		http.Error(w, text, status) // with a body: an empty answer does not say what is wrong
		return nil
	}
	if status, why := h.player.refuses(r); why != "" {
		return refuse(status, why)
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading the request: %w", err))
	}
	fault, err := faultOf(r)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	q := &question{request: r, text: text, fault: fault.ofMessage, now: time.Now(), status: http.StatusOK}
	if fault.name == "http_500" {
		q.status = http.StatusInternalServerError
	}
	if p, ok := h.player.(*fromRecipe); ok && isTrigger(r) {
		return h.serveTrigger(w, p, q, fault)
	}
	var answer provider.Answer
	if q.keys, err = h.keys(q); err != nil {
		answer = provider.Unable(err)
	} else {
		answer = h.player.play(q)
	}
	h.remember(r, text, answer)
	if answer.OK && answer.Notification != nil && h.notifier != nil && fault.name == "" {
		h.notifier.send(*answer.Notification)
	}
	return fault.write(w, r, answer)
}

// answer does what ServeHTTP does, for the inspector, which calls a sandbox without a
// server.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	if err := h.ServeHTTP(w, r, nil); err != nil {
		http.Error(w, "the sandbox could not answer", http.StatusInternalServerError)
	}
}

func (h *Handler) keys(q *question) (*keys.Set, error) {
	reference, ok := h.reference.Resolve(func(member string) (string, bool) { return h.player.member(q, member) })
	if !ok {
		return nil, errors.New("the request does not say which merchant it is from")
	}
	return h.ring.Get(q.request.Context(), reference)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
