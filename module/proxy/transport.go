// Package proxy is the way of a request through Caddy: the handler that checks
// it, the transport that seals it, sends it and opens the answer, and the
// problems that both answer with.
package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
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

// Transport seals each request before it sends it, and verifies and opens the
// answer before anybody sees it. Nothing unsigned leaves and nothing unverified
// returns.
//
// Each try is sealed afresh. From the first byte on the exchange no longer
// depends on the client: it runs on until the timeout, so that the log holds
// the provider's verdict, and it is never sent again.
type Transport struct {
	// The provider's scheme, with its options.
	Scheme protocol.Config `json:"scheme"`

	// The name of the key source. Default: the source without a name.
	Source string `json:"source,omitempty"`

	// The reference of the key set. {body.x} in it stands for the string
	// member x of the request. Required.
	Reference string `json:"reference"`

	// The name in logs and metrics. Default: the name of the scheme.
	Profile string `json:"profile,omitempty"`

	// How long one dial may take, to all addresses that a name has together, and one
	// TLS handshake. Default: 3s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long a whole try may take: dial, send, answer. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The largest request body in bytes. Default: 1 MiB.
	MaxRequestBody int64 `json:"max_request_body,omitempty"`

	// The largest answer in bytes, after gzip is undone. Default: 4 MiB.
	MaxResponseBody int64 `json:"max_response_body,omitempty"`

	// What becomes of an answer without a signature: "reject" (default), or
	// "pass", which lets it through with Countersign-Verified: false.
	UnsignedResponses string `json:"unsigned_responses,omitempty"`

	// How many exchanges may be in flight at once. Beyond it a request is
	// answered with "overloaded". Default: no limit.
	MaxInFlight int64 `json:"max_in_flight,omitempty"`

	// The headers of the request that go to the provider besides Content-Type,
	// Accept and User-Agent.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// Allows an upstream that is neither TLS nor on this machine: anybody on
	// the way can read the requests, and change what is not signed.
	AllowPlaintextUpstream bool `json:"allow_plaintext_upstream,omitempty"`

	// Anything that Caddy's HTTP transport takes. Its versions are 1.1 by default. A
	// client certificate is taken up when its files change.
	HTTP *reverseproxy.HTTPTransport `json:"http,omitempty"`

	// What a provider's old server needs of TLS: "1.0" (the versions 1.0 and
	// 1.1), "rsa" (RSA key exchange), "3des". Default: none.
	LegacyTLS []string `json:"legacy_tls,omitempty"`

	// What may be signed. Default: everything.
	Guard *guard.Guard `json:"guard,omitempty"`

	// What the application gets of an answer that is no JSON: "wire" is what came.
	// Default: JSON, unless the recipe says otherwise.
	As string `json:"as,omitempty"`

	// Where the configuration stands, as file:line, for errors that only come
	// up when it is provisioned.
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
	hook      *recorder.Hook // of the inspector
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

// UnmarshalCaddyfile refuses the transport of a reverse_proxy: nothing would check
// the request before it, and a malformed one would count against the provider.
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "countersign"
	return d.WrapErr(i18n.Errorf("transport countersign is the handler's own; write: countersign <scheme> <upstream> { … }, with what reverse_proxy takes in a block reverse_proxy { … }"))
}

// Provision sets up the transport. It asks no network.
func (t *Transport) Provision(ctx caddy.Context) error {
	if err := t.provision(ctx); err != nil {
		if t.Line != "" {
			return i18n.Errorf("%w, at %s", err, t.Line)
		}
		return err
	}
	return nil
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
	for _, warning := range t.rules.Warnings {
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
	if err := t.HTTP.Provision(ctx); err != nil {
		return i18n.Errorf("setting up the http transport: %w", err)
	}
	if t.HTTP.Transport != nil {
		t.AllowLegacyTLS(t.HTTP.Transport)
		t.keepFromProxies()
		if err := t.dialEveryAddress(); err != nil {
			return i18n.Errorf("http { resolvers }: %w", err)
		}
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

// AllowLegacyTLS allows a transport what legacy_tls says.
func (t *Transport) AllowLegacyTLS(base *http.Transport) {
	if base.TLSClientConfig != nil {
		network.Legacy(base.TLSClientConfig, t.LegacyTLS)
	}
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
	// {body.x} is for the request; everything else is known now.
	text, err := caddy.NewReplacer().ReplaceOrErr(t.Reference, true, false)
	if err != nil {
		return i18n.Errorf("the key reference: %w", err)
	}
	if t.reference, err = keys.ParseTemplate(text); err != nil {
		return err
	}
	var check func(*keys.Set)
	if public(parentProxy(ctx)) {
		check = t.warnDevelopmentKeys
	}
	t.ring, err = a.Use(t.Source, t.reference, check, func(set *keys.Set) error { return t.rules.CheckKinds(set) })
	return err
}

// Cleanup closes idle connections. Exchanges in flight keep what they hold.
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

// TLSEnabled reports whether the upstream is reached with TLS.
func (t *Transport) TLSEnabled() bool { return t.HTTP != nil && t.HTTP.TLSEnabled() }

// EnableTLS makes the transport use TLS.
func (t *Transport) EnableTLS(base *reverseproxy.TLSConfig) error {
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
	return t.HTTP.EnableTLS(base)
}

// EnableH2C makes the transport speak HTTP/2 without TLS.
func (t *Transport) EnableH2C() error {
	if t.HTTP == nil {
		t.HTTP = new(reverseproxy.HTTPTransport)
	}
	return t.HTTP.EnableH2C()
}

// OverrideHealthCheckScheme has health checks use TLS where requests do.
func (t *Transport) OverrideHealthCheckScheme(base *url.URL, port string) {
	t.HTTP.OverrideHealthCheckScheme(base, port)
}

// ProxyProtocolEnabled reports whether connections tell the provider's side
// which client they are for, so that no two clients share one.
func (t *Transport) ProxyProtocolEnabled() bool {
	return t.HTTP != nil && t.HTTP.ProxyProtocolEnabled()
}

// RequestHeaderOps has the provider see its own name as Host, whatever name
// the client used for the sidecar, and before the header_up of the operator, who
// may want another one. Without any header_up the transport does that by itself,
// and spares reverse_proxy a copy of all headers.
func (t *Transport) RequestHeaderOps() *headers.HeaderOps {
	if t.ownHost {
		return nil
	}
	return &headers.HeaderOps{Set: http.Header{"Host": {"{http.reverse_proxy.upstream.hostport}"}}}
}

// DefaultBufferSizes has reverse_proxy keep the whole request, so that another
// try has a body to seal.
func (t *Transport) DefaultBufferSizes() (request, response int64) {
	if t.MaxRequestBody > 0 {
		return t.MaxRequestBody + 1, 0
	}
	return DefaultMaxRequestBody + 1, 0
}

// RequiresContentLength says that a body must be whole before it is sealed.
func (t *Transport) RequiresContentLength() bool { return true }

var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.BufferedTransport                   = (*Transport)(nil)
	_ reverseproxy.ContentLengthRequiredTransport      = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
