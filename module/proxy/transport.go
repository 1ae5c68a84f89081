// Package proxy handles requests in Caddy: a handler that checks a request, a transport
// that seals it, sends it and opens the answer, and a handler that answers errors with
// problems.
package proxy

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	caddy.RegisterModule(new(Transport))
}

// The defaults of the options.
const (
	DefaultDialTimeout     = 3 * time.Second
	DefaultTimeout         = 30 * time.Second
	DefaultMaxRequestBody  = 1 << 20
	DefaultMaxResponseBody = 4 << 20
)

// Transport seals each request before it sends it, and verifies and opens the answer
// before it returns it. Nothing unsigned leaves and nothing unverified returns.
//
// Each try is sealed anew. After the first byte was sent the exchange no longer depends
// on the client: it goes on until the timeout, so that the audit log has the provider's
// answer, and the request is never sent again.
type Transport struct {
	// The provider's scheme, with its options. Required.
	Scheme protocol.Config `json:"scheme"`

	// The name of the key source. Default: the source without a name.
	Source string `json:"source,omitempty"`

	// The reference of the key set. {body.x} in it stands for the string
	// member x of the request. Required.
	Reference string `json:"reference"`

	// The name in logs and metrics. Default: the name of the scheme.
	Profile string `json:"profile,omitempty"`

	// The time limit of a dial, for all addresses of a name together, and of a TLS
	// handshake. Default: 3s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// The time limit of a try: dial, send, answer. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The largest request body in bytes. Default: 1 MiB.
	MaxRequestBody int64 `json:"max_request_body,omitempty"`

	// The largest answer in bytes, after content codings such as gzip are undone.
	// Default: 4 MiB.
	MaxResponseBody int64 `json:"max_response_body,omitempty"`

	// Whether an answer without a signature is refused ("reject") or passed on with
	// Countersign-Verified: false ("pass"). Default: reject.
	UnsignedResponses string `json:"unsigned_responses,omitempty"`

	// The largest number of exchanges at once. A request beyond it is answered with
	// "overloaded". Default: no limit.
	MaxInFlight int64 `json:"max_in_flight,omitempty"`

	// The headers of the request that are sent to the provider besides Content-Type,
	// Accept and User-Agent. Default: none.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// Allows an upstream without TLS on another machine: everybody on the network path
	// can read the requests, and change what is not signed. Default: false.
	AllowPlaintextUpstream bool `json:"allow_plaintext_upstream,omitempty"`

	// The options of Caddy's HTTP transport. Default of its versions: 1.1. The files of
	// a client certificate are read again when they change.
	HTTP *reverseproxy.HTTPTransport `json:"http,omitempty"`

	// The outdated parts of TLS that are allowed: "1.0" (the versions 1.0 and 1.1),
	// "rsa" (RSA key exchange), "3des". Default: none.
	LegacyTLS []string `json:"legacy_tls,omitempty"`

	// The guardrails, which decide what is signed. Default: every request is signed.
	Guard *guard.Guard `json:"guard,omitempty"`

	// What the application gets of an answer that is not JSON: "json", a JSON object of
	// its members, or "wire", the body as it was received. Default: json, unless the
	// recipe says otherwise.
	As string `json:"as,omitempty"`

	// The place of the directive in the Caddyfile, as file:line, for errors of
	// Provision. Default: none.
	Line string `json:"line,omitempty"`

	recipes   protocol.Recipes // of the configuration, while a Caddyfile is read
	scheme    scheme.Scheme
	rules     *scheme.Description
	name      string // of the scheme
	reference keys.Template
	ring      *keys.Ring
	language  i18n.Language // of problems, where a request prefers none
	meter     *telemetry.Meter
	audit     *telemetry.Audit
	logger    *zap.Logger
	diagnoses *diagnosis.Log
	held      telemetry.HeldBack // lines of the log
	hook      *recorder.Hook     // of the inspector
	inFlight  *atomic.Int64
	warned    atomic.Bool // of development keys
	forward   []string    // canonical names of all headers that are forwarded
	h2        *h2         // the connections that speak HTTP/2
	cert      *clientCert // for mTLS, or nil
	mayReplay bool        // HTTP/1, or TLS that says whether it is HTTP/2
	expected  string      // the Host that the provider will see, where there is one upstream
	ownHost   bool        // the transport itself says which Host the provider sees
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.countersign",
		New: func() caddy.Module { return new(Transport) },
	}
}

// UnmarshalCaddyfile returns an error: a reverse_proxy that names the transport has no
// handler that checks requests first, and a malformed request would count against the
// upstream.
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign"
	return d.WrapErr(i18n.Errorf("transport countersign is the handler's own; write: countersign <scheme> <upstream> { … }, with what reverse_proxy takes in a block reverse_proxy { … }"))
}

// Provision sets up the transport. It does not use the network.
func (t *Transport) Provision(ctx caddy.Context) error {
	return directive.WithPlace(t.provision(ctx), t.Line)
}

func (t *Transport) provision(ctx caddy.Context) error {
	t.logger = telemetry.NewLogger(ctx)
	t.diagnoses = diagnosis.NewLog()
	var err error
	if t.audit, err = telemetry.AuditOf(ctx); err != nil {
		return err
	}
	t.inFlight = new(atomic.Int64)

	if !insideHandler(ctx) {
		return i18n.Errorf("the transport countersign is the handler's own: write `countersign <scheme> <upstream> { … }`, and what reverse_proxy takes into a block reverse_proxy { … } in it")
	}
	a, err := app.Of(ctx)
	if err != nil {
		return err
	}
	if err := t.load(a.Recipes); err != nil {
		return err
	}
	if err := t.fillIn(); err != nil {
		return err
	}
	for _, warning := range t.rules.WarningsOf(message.Request, message.Answer) {
		t.logger.Warn(warning, zap.String("scheme", t.name), zap.String("profile", t.Profile))
	}
	if t.Guard != nil {
		if err := t.Guard.Provision(ctx, t.Profile); err != nil {
			return err
		}
		a.ProbeAtStart("guardrails of "+t.Profile, t.Guard.Probe)
	}
	if err := t.provisionKeys(ctx, a); err != nil {
		return err
	}
	t.inspectable(a)
	t.meter = telemetry.Exchanges(t.name, t.Profile)
	if parent := parentProxy(ctx); parent != nil {
		t.ownHost = parent.Headers == nil || parent.Headers.Request == nil
		if err := t.checkProxy(parent); err != nil {
			return err
		}
	}
	if !t.TLSEnabled() && !t.AllowPlaintextUpstream && len(t.HTTP.NetworkProxyRaw) > 0 {
		t.logger.Warn("network_proxy is not used: the proxy would read what goes to an upstream without TLS; use https://, or allow_plaintext_upstream",
			zap.String("profile", t.Profile))
	}
	if err := t.connect(ctx); err != nil {
		return err
	}
	if t.HTTP.Transport != nil {
		t.HTTP.Transport.DialContext = checked(t.HTTP.Transport.DialContext)
		if t.cert, err = t.watchClientCert(); err != nil {
			return err
		}
		t.h2 = serveHTTP2(t.HTTP.Transport, time.Duration(t.Timeout))
		if t.cert != nil {
			go t.cert.watch()
		}
	}
	return nil
}

// ProvisionHTTP sets up the HTTP transport alone, so that a request that is not sealed
// reaches a provider the way that sealed ones do.
func (t *Transport) ProvisionHTTP(ctx caddy.Context) error {
	if err := t.fillIn(); err != nil {
		return err
	}
	return t.connect(ctx)
}

// connect sets up the HTTP transport.
func (t *Transport) connect(ctx caddy.Context) error {
	if err := t.HTTP.Provision(ctx); err != nil {
		return i18n.Errorf("setting up the http transport: %w", err)
	}
	base := t.HTTP.Transport
	if base == nil {
		return nil
	}
	if base.TLSClientConfig != nil {
		network.Legacy(base.TLSClientConfig, t.LegacyTLS)
	}
	network.NameProxyStatus(base)
	t.keepFromProxies()
	if err := t.dialEveryAddress(); err != nil {
		return i18n.Errorf("http { resolvers }: %w", err)
	}
	return nil
}

// load makes the scheme.
func (t *Transport) load(recipes protocol.Recipes) error {
	if t.Scheme.Name == "" {
		return i18n.Errorf("countersign needs a scheme, as in: countersign easypay https://provider.example")
	}
	s, err := t.Scheme.Load(recipes)
	if err != nil {
		return err
	}
	t.scheme, t.rules, t.name = s, s.Describe(), t.Scheme.Name
	if t.rules.Request == nil {
		return i18n.Errorf("%s serves notifications only, as its recipe has no block request; use countersign_notify %s", t.name, t.name)
	}
	return t.checkGuard()
}

// fillIn checks the plain options and fills in their defaults.
func (t *Transport) fillIn() error {
	if t.Profile == "" {
		t.Profile = t.name
	}
	if t.DialTimeout == 0 {
		t.DialTimeout = caddy.Duration(DefaultDialTimeout)
	}
	if t.Timeout == 0 {
		t.Timeout = caddy.Duration(DefaultTimeout)
	}
	if t.MaxRequestBody == 0 {
		t.MaxRequestBody = DefaultMaxRequestBody
	}
	if t.MaxResponseBody == 0 {
		t.MaxResponseBody = DefaultMaxResponseBody
	}
	if t.DialTimeout < 0 || t.Timeout < 0 || t.MaxRequestBody < 0 || t.MaxResponseBody < 0 || t.MaxInFlight < 0 {
		return i18n.Errorf("timeouts and limits must be positive")
	}
	if err := directive.OneOf("unsigned_responses", &t.UnsignedResponses, "reject", "pass"); err != nil {
		return err
	}
	if err := network.CheckLegacy(t.LegacyTLS); err != nil {
		return err
	}
	t.forward = []string{"Content-Type", "Accept", "User-Agent"}
	for _, name := range t.ForwardHeaders {
		if err := checkForward(name); err != nil {
			return err
		}
		t.forward = append(t.forward, http.CanonicalHeaderKey(name))
	}
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
	if len(t.HTTP.Versions) == 0 {
		t.HTTP.Versions = []string{"1.1"} // a connection that dies costs one payment
	}
	if t.HTTP.DialTimeout == 0 {
		t.HTTP.DialTimeout = t.DialTimeout
	}
	t.mayReplay = !slices.Contains(t.HTTP.Versions, "h2c") && !slices.Contains(t.HTTP.Versions, "3")
	if t.HTTP.TLS != nil && t.HTTP.TLS.HandshakeTimeout == 0 {
		t.HTTP.TLS.HandshakeTimeout = t.DialTimeout
	}
	return nil
}

func (t *Transport) provisionKeys(ctx caddy.Context, a *app.App) error {
	t.language = a.ProblemLanguage()
	if t.Reference == "" {
		return i18n.Errorf("countersign needs keys; add `keys <reference>`")
	}
	var err error
	if t.reference, err = app.ParseReference(t.Reference); err != nil {
		return err
	}
	var check func(*keys.Set)
	if public(parentProxy(ctx)) {
		check = t.warnDevelopmentKeys
	}
	t.ring, err = a.Use(t.Source, t.reference, check, func(set *keys.Set) error { return t.rules.CheckKinds(set) })
	return err
}

// Cleanup closes idle connections. Exchanges in flight go on.
func (t *Transport) Cleanup() error {
	if t.Guard != nil {
		_ = t.Guard.Cleanup() // it has nothing that could fail
	}
	if t.HTTP == nil {
		return nil
	}
	t.cert.close()
	t.h2.close()
	return t.HTTP.Cleanup()
}
