package proxy

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keys/devkeys"
	"github.com/countersign/caddy-countersign/module/network"
)

// parentProxy returns the reverse_proxy that the module being provisioned is the
// transport of, or nil.
func parentProxy(ctx caddy.Context) *reverseproxy.Handler {
	for _, m := range slices.Backward(ctx.Modules()) {
		if h, ok := m.(*reverseproxy.Handler); ok {
			return h
		}
	}
	return nil
}

// insideHandler reports whether the module being provisioned stands in the handler
// countersign.
func insideHandler(ctx caddy.Context) bool {
	return slices.ContainsFunc(ctx.Modules(), func(m caddy.Module) bool {
		_, ok := m.(*Handler)
		return ok
	})
}

// checkProxy refuses a reverse_proxy that could send a request twice, or in
// plaintext over a network.
func (t *Transport) checkProxy(h *reverseproxy.Handler) error {
	if h == nil {
		return nil
	}
	if len(h.Upstreams) == 0 && h.DynamicUpstreams == nil && h.DynamicUpstreamsRaw == nil {
		return i18n.Errorf("countersign needs at least one upstream, in JSON: \"upstreams\": [{\"dial\": \"provider.example:443\"}]")
	}
	if slices.ContainsFunc(h.Upstreams, func(u *reverseproxy.Upstream) bool { return u == nil || u.Dial == "" }) {
		return i18n.Errorf("an upstream has no dial; write it as in: {\"dial\": \"provider.example:443\"}")
	}
	if h.LoadBalancing != nil && (len(h.LoadBalancing.RetryMatchRaw) > 0 || len(h.LoadBalancing.RetryMatch) > 0) {
		return i18n.Errorf("lb_retry_match is refused: a sealed request is never sent twice; failed dials are tried again without it")
	}
	if t.Guard != nil && h.Rewrite != nil {
		return i18n.Errorf("guardrails decide on the request before reverse_proxy rewrites it: put the directive rewrite or method before countersign, in the place of rewrite and method in the block reverse_proxy")
	}
	if err := checkHeaderDown(h); err != nil {
		return err
	}
	if t.AllowPlaintextUpstream {
		return nil
	}
	for _, u := range h.Upstreams {
		if t.encrypts("") {
			break
		}
		if strings.Contains(u.Dial, "{") {
			return i18n.Errorf("the upstream %s has a placeholder, so that it is not known whether it is reached in plaintext; use https://, or allow_plaintext_upstream", u.Dial)
		}
		addr, err := caddy.ParseNetworkAddress(u.Dial)
		if err != nil {
			return i18n.Errorf("the upstream %s: %w", u.Dial, err)
		}
		if !network.Local(addr.Network, addr.Host) && !t.encrypts(strconv.FormatUint(uint64(addr.StartPort), 10)) {
			return plaintextError(u.Dial)
		}
	}
	return nil
}

// checkHeaderDown refuses a header_down that sets a Countersign-* header: only the
// verification of the answer sets them.
func checkHeaderDown(h *reverseproxy.Handler) error {
	if h.Headers == nil || h.Headers.Response == nil || h.Headers.Response.HeaderOps == nil {
		return nil
	}
	ops := h.Headers.Response.HeaderOps
	names := slices.Concat(slices.Collect(maps.Keys(ops.Add)), slices.Collect(maps.Keys(ops.Set)), slices.Collect(maps.Keys(ops.Replace)))
	for _, name := range names {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "Countersign-") {
			return i18n.Errorf("header_down %s is refused: an application takes it for the word of the sidecar, which sets it itself; leave it out", name)
		}
	}
	return nil
}

// encrypts reports whether connections to a port use TLS. The http block may except
// ports (tls_except_ports); the empty port stands for one that is not known yet.
func (t *Transport) encrypts(port string) bool {
	return t.TLSEnabled() && (len(t.HTTP.TLS.ExceptPorts) == 0 || port != "" && !slices.Contains(t.HTTP.TLS.ExceptPorts, port))
}

func plaintextError(address string) error {
	return i18n.Errorf("the upstream %s would be reached in plaintext; use https:// (or http { tls }), or accept the risk with allow_plaintext_upstream", address)
}

// checkTry repeats the check of an upstream that is not on this machine, where its
// name was a placeholder.
func (t *Transport) checkTry(info reverseproxy.DialInfo) error {
	if t.AllowPlaintextUpstream || t.encrypts(info.Port) {
		return nil
	}
	return plaintextError(info.Address)
}

// keepFromProxies sends requests in plaintext directly to the upstream. An upstream on
// this machine needs no TLS, but an HTTP proxy, such as that of the environment, would
// read the requests.
func (t *Transport) keepFromProxies() {
	if t.AllowPlaintextUpstream {
		return
	}
	base := t.HTTP.Transport
	proxy := base.Proxy
	base.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme != "https" || proxy == nil {
			return nil, nil //nolint:nilnil // no proxy
		}
		return proxy(r)
	}
}

// public reports whether a reverse_proxy has an upstream on another machine.
func public(h *reverseproxy.Handler) bool {
	if h == nil {
		return false
	}
	return slices.ContainsFunc(h.Upstreams, func(u *reverseproxy.Upstream) bool {
		if u == nil { // checkProxy refuses it
			return false
		}
		addr, err := caddy.ParseNetworkAddress(u.Dial)
		return err != nil || !network.Local(addr.Network, addr.Host)
	})
}

// warnDevelopmentKeys logs a warning, once, if the throwaway keys of keys-dev are used
// for an upstream on another machine.
func (t *Transport) warnDevelopmentKeys(set *keys.Set) {
	known := set.Sign != nil && devkeys.Known(set.Sign.Fingerprint) ||
		set.Secret != nil && devkeys.Known(set.Secret.SHA256())
	if known && t.warned.CompareAndSwap(false, true) {
		t.logger.Warn("development keys serve a public upstream; everybody has these keys: use keys of your own",
			zap.String("profile", t.Profile), zap.String("reference", set.Reference))
	}
}
