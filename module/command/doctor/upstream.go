package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

const (
	askTimeout  = 10 * time.Second
	clockStill  = 30 * time.Second // off by less is nothing to talk about
	clockBroken = 5 * time.Minute  // off by more, providers refuse what is signed
)

// checkUpstreams asks each upstream one unsigned HEAD: those beyond this machine
// only where that is wanted.
func (e *examination) checkUpstreams() {
	asked := make(map[string]bool)
	for _, u := range e.uses {
		if u.kind != isProxy {
			continue
		}
		if u.dynamic {
			e.warning("upstream", u.where, i18n.Sprintf("its upstreams are only known when there is a request, so that none was asked"), i18n.Sprintf("ask one of them with curl -I"))
		}
		e.checkClientCertificate(u)
		for _, dial := range u.upstreams {
			if key := fmt.Sprint(u.transport.TLSEnabled(), " ", dial); !asked[key] { // two schemes may share one
				asked[key] = true
				e.checkUpstream(u, dial)
			}
		}
	}
}

func (e *examination) checkUpstream(u *use, dial string) {
	const check = "upstream"
	if strings.Contains(dial, "{") {
		e.warning(check, dial, i18n.Sprintf("its name has a placeholder, so that it was not asked"), i18n.Sprintf("ask it with curl -I"))
		return
	}
	address, err := caddy.ParseNetworkAddress(dial)
	if err != nil {
		e.failure(check, dial, err.Error(), i18n.Sprintf("correct the upstream"))
		return
	}
	encrypted := encrypts(u.transport.HTTP, address)
	switch {
	case e.isOwn(address):
		e.ok(check, dial, i18n.Sprintf("this configuration serves it itself; it was not asked"))
		return
	case address.IsUnixNetwork():
		if _, err := os.Stat(address.Host); err != nil {
			e.failure(check, dial, i18n.Sprintf("the socket does not exist"), i18n.Sprintf("start what serves it, or correct the upstream"))
		} else {
			e.ok(check, dial, i18n.Sprintf("the socket is there; it was not asked"))
		}
		return
	case !encrypted && !network.Local(address.Network, address.Host):
		e.warning("TLS", dial, i18n.Sprintf("allow_plaintext_upstream: everybody on the way can read the requests, and change what is not signed"), i18n.Sprintf("use https://"))
	case encrypted && u.transport.HTTP.TLS.InsecureSkipVerify:
		e.failure("TLS", dial, i18n.Sprintf("tls_insecure_skip_verify: everybody on the way can take the provider's place"), i18n.Sprintf("leave it out; for a private authority give tls_trust_pool"))
	}
	if !e.online && !network.Local(address.Network, address.Host) {
		e.ok(check, dial, i18n.Sprintf("it lies beyond this machine and was not asked; --online asks it"))
		return
	}
	e.ask(u, dial, address)
}

// probe is the request that an upstream is asked, without a scheme.
func probe(address caddy.NetworkAddress) *http.Request {
	return &http.Request{
		Method: http.MethodHead, URL: &url.URL{Host: address.JoinHostPort(0), Path: "/"},
		Header: http.Header{"User-Agent": {"caddy-countersign-doctor"}},
	}
}

// encrypts reports whether an upstream is reached with TLS: some ports may be
// excepted.
func encrypts(transport *reverseproxy.HTTPTransport, address caddy.NetworkAddress) bool {
	if transport == nil {
		return false
	}
	request := probe(address)
	transport.SetScheme(request)
	return request.URL.Scheme == "https"
}

// isOwn reports whether the configuration listens on an address itself.
func (e *examination) isOwn(address caddy.NetworkAddress) bool {
	for _, own := range e.own {
		if own.IsUnixNetwork() != address.IsUnixNetwork() {
			continue
		}
		path, _, _ := strings.Cut(own.Host, "|")
		if own.IsUnixNetwork() && path == address.Host {
			return true
		}
		if !own.IsUnixNetwork() && own.StartPort <= address.StartPort && address.StartPort <= own.EndPort &&
			network.Local(address.Network, address.Host) && (own.Host == "" || network.Local(own.Network, own.Host)) {
			return true
		}
	}
	return false
}

// ask sends the HEAD, with the transport that requests will take, and looks at
// the certificate and the clock.
func (e *examination) ask(u *use, dial string, address caddy.NetworkAddress) {
	transport := u.transport.HTTP
	if transport == nil {
		transport = new(reverseproxy.HTTPTransport)
	}
	if err := transport.Provision(e.ctx); err != nil {
		e.failure("upstream", dial, i18n.Sprintf("setting up the connection: %s", err.Error()), i18n.Sprintf("correct the block http"))
		return
	}
	u.transport.AllowLegacyTLS(transport.Transport)
	defer transport.Cleanup() //nolint:errcheck // it only closes idle connections

	replacer := caddy.NewReplacer()
	replacer.Set("http.reverse_proxy.upstream.host", address.Host)
	replacer.Set("http.reverse_proxy.upstream.hostport", dial)
	ctx, cancel := context.WithTimeout(context.WithValue(e.ctx, caddy.ReplacerCtxKey, replacer), askTimeout)
	defer cancel()
	request := probe(address).WithContext(ctx)
	transport.SetScheme(request)
	sent := e.now()
	telemetry.GuardStandardLog()
	answer, err := transport.Transport.RoundTrip(request)
	took := e.now().Sub(sent)
	if err != nil {
		e.explain(dial, err)
		if encrypts(transport, address) {
			if option := worksWith(e.ctx, transport.Transport.TLSClientConfig, address); option != "" {
				e.failure("TLS", dial, "the handshake succeeds with "+option+", and without it fails", "write it into the block of the directive, and ask the provider when its server will be renewed")
			}
		}
		return
	}
	defer answer.Body.Close() //nolint:errcheck // a HEAD has no body
	e.ok("upstream", dial, i18n.Sprintf("it answers HEAD with %d, in %s", answer.StatusCode, took.Round(time.Millisecond)))
	if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 && !transport.TLS.InsecureSkipVerify {
		e.expiry("TLS certificate", dial, answer.TLS.PeerCertificates[0].NotAfter, i18n.Sprintf("tell the provider; from then on nothing can be sent"))
	}
	e.checkClock(dial, answer.Header.Get("Date"), sent.Add(took/2))
}

// explain says why an upstream cannot be asked.
func (e *examination) explain(dial string, err error) {
	reason := network.Describe(err).Error()
	if strings.Contains(err.Error(), "no such host") { // Caddy's dial error hides what it wraps
		e.failure("name", dial, reason, i18n.Sprintf("correct the name, or the resolver of this machine or pod"))
		return
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.failure("TLS certificate", dial, reason, i18n.Sprintf("if the authority is a private one, give it with http { tls_trust_pool }; otherwise somebody may be in between"))
		return
	}
	e.failure("upstream", dial, reason, i18n.Sprintf("correct the address, or let this machine or pod reach it (firewall, NetworkPolicy, proxy)"))
}

// checkClock compares the clock with a Date header, which has whole seconds.
func (e *examination) checkClock(dial, date string, at time.Time) {
	const check = "clock"
	theirs, err := http.ParseTime(date)
	if err != nil {
		e.warning(check, dial, i18n.Sprintf("it sends no Date, so that the clock could not be compared"), i18n.Sprintf("see to it that this machine has its time from the network"))
		return
	}
	off := at.Sub(theirs).Round(time.Second)
	words := i18n.Sprintf("this machine is %s ahead of it", off)
	if off < 0 {
		words = i18n.Sprintf("this machine is %s behind it", -off)
	}
	advice := i18n.Sprintf("set the clock from the network (NTP): providers refuse what is signed at another time")
	switch off = off.Abs(); {
	case off > clockBroken:
		e.failure(check, dial, words, advice)
	case off > clockStill:
		e.warning(check, dial, words, advice)
	default:
		e.ok(check, dial, i18n.Sprintf("the clocks agree"))
	}
}

// checkClientCertificate looks at the certificate that the provider asks for,
// where there is one in a file.
func (e *examination) checkClientCertificate(u *use) {
	if !u.transport.TLSEnabled() || u.transport.HTTP.TLS.ClientCertificateFile == "" {
		return
	}
	const check = "client certificate"
	file, keyFile := u.transport.HTTP.TLS.ClientCertificateFile, u.transport.HTTP.TLS.ClientCertificateKeyFile
	pair, err := tls.LoadX509KeyPair(file, keyFile)
	if err != nil {
		e.failure(check, file, err.Error(), i18n.Sprintf("give a certificate and the key that belongs to it"))
		return
	}
	e.expiry(check, file, pair.Leaf.NotAfter, i18n.Sprintf("ask the provider for a new one"))
	if info, err := os.Stat(keyFile); err == nil && info.Mode().Perm()&0o044 != 0 {
		e.warning("file permissions", keyFile, i18n.Sprintf("mode %04o: others than the owner can read a private key", info.Mode().Perm()), i18n.Sprintf("chmod go-r %s", keyFile))
	}
}
