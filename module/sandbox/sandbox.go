// Package sandbox plays the payment providers, for trying out, for tests and
// for rehearsing failures. The providers themselves are in package provider;
// here is what puts them on a socket.
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
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// maxBody is the largest request that a sandbox reads, in bytes.
const maxBody = 16 << 20

// Handler plays a payment provider. It refuses what the provider would refuse
// and answers signed.
//
// The query parameter fault picks one thing that goes wrong: bad_signature,
// wrong_key, tampered, unsigned, mismatch (the answer is not genuine, or not to
// this request); truncated, reset, slow (the connection fails; slow waits until
// the client is gone, 60 s at most, or for the duration in the parameter
// delay); http_500 (a signed answer with status 500); not_json (an HTML page).
//
// GET on any path that ends in /received shows the last request as it came and
// what the provider made of it.
type Handler struct {
	// The name of the provider's scheme. Required.
	Scheme string `json:"scheme"`

	// The name of the key source. Default: the source without a name.
	Source string `json:"source,omitempty"`

	// The reference of the provider's side of the keys: its own private keys
	// and the merchant's public ones. {body.x} in it stands for the string
	// member x of the request. Required.
	Reference string `json:"reference"`

	// Where the notification goes that belongs to each successful exchange. It
	// is sent several times, until it is acknowledged. Default: nowhere.
	Notify string `json:"notify,omitempty"`

	// Where the configuration stands, as file:line, for errors that only come
	// up when it is provisioned.
	Line string `json:"line,omitempty"`

	provider  provider.Provider
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
	if err := h.provision(ctx); err != nil {
		if h.Line != "" {
			return fmt.Errorf("%w, at %s", err, h.Line)
		}
		return err
	}
	return nil
}

func (h *Handler) provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	make, ok := providers[h.Scheme]
	if !ok {
		return fmt.Errorf("there is no sandbox for %q; there is one for %s", h.Scheme, names())
	}
	h.provider = make()
	if h.Reference == "" {
		return errors.New("countersign_sandbox needs keys; add: keys <reference>")
	}
	// {body.x} is for the request; everything else is known now.
	reference, err := caddy.NewReplacer().ReplaceOrErr(h.Reference, true, false)
	if err != nil {
		return fmt.Errorf("the key reference: %w", err)
	}
	if h.reference, err = keys.ParseTemplate(reference); err != nil {
		return err
	}
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	if h.ring, err = a.Use(h.Source, h.reference, nil); err != nil {
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
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return h.serveReceived(w, r)
	}
	if service := services[h.Scheme]; !strings.Contains(r.URL.Path, service) {
		http.Error(w, fmt.Sprintf("%s has no interface at this path; its paths hold %s", h.Scheme, service), http.StatusNotFound)
		return nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("reading the request: %w", err))
	}
	fault, err := faultOf(r)
	if err != nil {
		// With a body: an empty 400 does not say which faults there are.
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	request := provider.Request{
		Path: r.URL.RequestURI(), ContentType: r.Header.Get("Content-Type"), Body: text,
		Fault: fault.ofMessage, Now: time.Now(),
	}
	var answer provider.Answer
	if set, err := h.keys(r, text); err != nil {
		answer = provider.Unable(err)
	} else {
		request.Keys = providerKeys(set)
		answer = h.provider.Answer(request)
	}
	h.remember(r, text, answer)
	if answer.OK && answer.Notification != nil && h.notifier != nil && fault.name == "" {
		h.notifier.send(*answer.Notification)
	}
	return fault.write(w, r, answer)
}

// answer is ServeHTTP for the inspector, which asks a sandbox without a server.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request) {
	if err := h.ServeHTTP(w, r, nil); err != nil {
		http.Error(w, "the sandbox could not answer", http.StatusInternalServerError)
	}
}

func (h *Handler) keys(r *http.Request, text []byte) (*keys.Set, error) {
	reference, ok := h.reference.Resolve(func(member string) (string, bool) {
		object, err := body.Parse(text)
		if err != nil {
			return "", false
		}
		return object.Text(member)
	})
	if !ok {
		return nil, errors.New("the request does not say which merchant it is from")
	}
	return h.ring.Get(r.Context(), reference)
}

// providerKeys hands out a set in the standard library's terms.
func providerKeys(set *keys.Set) provider.Keys {
	var out provider.Keys
	if set.Sign != nil {
		out.Sign = set.Sign.Signer
	}
	if len(set.Decrypt) > 0 {
		out.Decrypt = set.Decrypt[0].Decrypter
	}
	for _, key := range set.Verify {
		out.Verify = append(out.Verify, key.RSA)
	}
	if set.Encrypt != nil {
		out.Encrypt = set.Encrypt.RSA
	}
	for _, secret := range set.VerifySecrets {
		out.Secrets = append(out.Secrets, secret.Bytes())
	}
	return out
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
