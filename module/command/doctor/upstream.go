package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

const (
	askTimeout  = 10 * time.Second
	clockStill  = 30 * time.Second // a smaller difference gives no warning
	clockBroken = 5 * time.Minute  // with a larger one providers refuse signatures
)

// checkUpstreams sends each upstream one unsigned HEAD, to those on other machines only
// with Options.Online.
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

// probe returns the request that an upstream is asked, without a scheme.
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

// isOwn reports whether the configuration itself listens on an address.
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
	if err := u.transport.ProvisionHTTP(e.ctx); err != nil {
		e.failure("upstream", dial, i18n.Sprintf("setting up the connection: %s", err.Error()), i18n.Sprintf("correct the block http"))
		return
	}
	transport := u.transport.HTTP
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
		var h handshakes
		if encrypts(transport, address) && !proxied(transport.Transport, request) {
			h = tryVariants(e.ctx, transport.Transport.TLSClientConfig, address)
		}
		e.explain(dial, err, h)
		return
	}
	defer answer.Body.Close() //nolint:errcheck // a HEAD has no body
	e.ok("upstream", dial, i18n.Sprintf("it answers HEAD with %d, in %s", answer.StatusCode, took.Round(time.Millisecond)))
	if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 && !transport.TLS.InsecureSkipVerify {
		e.expiry("TLS certificate", dial, answer.TLS.PeerCertificates[0], i18n.Sprintf("tell the provider; from then on nothing can be sent"))
	}
	e.checkClock(dial, answer.Header.Get("Date"), sent.Add(took/2))
}

// proxied reports whether a request goes through a proxy.
func proxied(transport *http.Transport, request *http.Request) bool {
	if transport.Proxy == nil {
		return false
	}
	through, err := transport.Proxy(request)
	return err != nil || through != nil
}

// explain reports why an upstream cannot be reached.
func (e *examination) explain(dial string, err error, h handshakes) {
	reason := network.Describe(err).Error()
	if h.works != "" {
		e.failure("TLS", dial, i18n.Sprintf("%s; the handshake succeeds with %s, and without it fails", reason, h.works), i18n.Sprintf("write it into the block of the directive, and ask the provider when its server will be renewed"))
		return
	}
	if strings.Contains(err.Error(), "no such host") { // Caddy's dial error hides what it wraps
		e.failure("name", dial, reason, i18n.Sprintf("correct the name, or the resolver of this machine or pod"))
		return
	}
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.failure("TLS certificate", dial, reason, e.certificateAdvice(refused))
		return
	}
	if strings.Contains(err.Error(), "tls: failed to parse certificate") {
		e.failure("TLS certificate", dial, reason, i18n.Sprintf("tell the provider what is wrong with the certificate of its server"))
		return
	}
	if _, ok := network.RemoteAlert(err); ok && h.asked {
		e.failure("TLS", dial, i18n.Sprintf("%s; it has asked for a client certificate", reason), i18n.Sprintf("give the certificate that the provider has issued to you, and its key, with http { tls_client_auth <certificate> <key> }"))
		return
	}
	if _, ok := network.RemoteAlert(err); ok {
		e.failure("TLS", dial, reason, i18n.Sprintf("the address answers, and its server refuses the handshake; no option of the sidecar's that was tried helps: ask the provider which versions of TLS and which ciphers its server has, and whether it wants a client certificate"))
		return
	}
	e.failure("upstream", dial, reason, i18n.Sprintf("correct the address, or let this machine or pod reach it (firewall, NetworkPolicy, proxy)"))
}

// certificateAdvice returns what to do about a server's certificate that is refused.
func (e *examination) certificateAdvice(refused *tls.CertificateVerificationError) string {
	if network.Is[x509.HostnameError](refused) {
		return i18n.Sprintf("correct the name of the upstream; where its server is meant, give the name that its certificate has with http { tls_server_name }, or have the provider issue one for this name")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](refused); ok {
		if invalid.Reason == x509.Expired && e.now().Before(invalid.Cert.NotBefore) {
			return i18n.Sprintf("look at the clock of this machine; if that is right, tell the provider that its server shows a certificate before its time")
		}
		if invalid.Reason == x509.Expired {
			return i18n.Sprintf("tell the provider that the certificate %q of its server has expired: nothing can be sent until it is renewed, and nothing on this side needs to change; the clock of this machine must be right", invalid.Cert.Subject.CommonName)
		}
		return i18n.Sprintf("tell the provider what is wrong with the certificate of its server")
	}
	if network.Outdated(refused.UnverifiedCertificates) {
		return i18n.Sprintf("tell the provider what is wrong with the certificate of its server")
	}
	if network.LacksIssuer(refused.UnverifiedCertificates) {
		return i18n.Sprintf("tell the provider that its server does not send the intermediate certificate; until it does, or where the authority is a private one, give the missing certificates with http { tls_trust_pool }")
	}
	return i18n.Sprintf("if the authority is a private one, give it with http { tls_trust_pool }; otherwise somebody may be in between")
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

// checkClientCertificate checks the certificate of http { tls_client_auth }, if it is
// in a file.
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
	e.expiry(check, file, pair.Leaf, i18n.Sprintf("ask whoever issued it for a new one, give it to the provider where it wants to know it, and put it into this file: it is taken up without a reload"))
	if info, err := os.Stat(keyFile); err == nil && keysource.Permissions(info)&0o044 != 0 {
		e.warning("file permissions", keyFile, i18n.Sprintf("mode %04o: others than the owner can read a private key", info.Mode().Perm()), i18n.Sprintf("chmod go-r %s", keyFile))
	}
}
