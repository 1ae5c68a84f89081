package proxy

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/guard"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/protocol"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("countersign", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("countersign", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterHandlerDirective("countersign_problem", parseProblem)
	httpcaddyfile.RegisterDirectiveOrder("countersign_problem", httpcaddyfile.Before, "respond")
}

// parseHandler sets up the handler from the directive. Syntax:
//
//	countersign <scheme> <upstream>... {
//	    keys                     [<source>] <reference>
//	    profile                  <name>
//	    dial_timeout             <duration>
//	    timeout                  <duration>
//	    max_request_body         <size>
//	    max_response_body        <size>
//	    unsigned_responses       reject|pass
//	    max_in_flight            <number>
//	    forward_headers          <name>...
//	    allow_plaintext_upstream
//	    legacy_tls               1.0|rsa|3des...
//	    as                       json|wire
//	    allow                    <METHOD> <path>...
//	    require                  <member> <value>...
//	    limit                    [sum] <member> <decimal>
//	    budget                   <name> sum <member> <decimal> per <duration> [by <member>...] [<store>]
//	    unique                   <member>... for <duration> [<store>]
//	    guard                    report
//	    <option of the scheme>   <value>...
//	    http {
//	        <what transport http takes>
//	    }
//	    reverse_proxy {
//	        <what reverse_proxy takes, except transport, lb_retry_match and buffers>
//	    }
//	}
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the word "countersign"
	start := h.Token()
	line := directive.Where(h.Dispenser)
	at := directive.At(h.Dispenser)
	if !h.NextArg() {
		return nil, h.WrapErr(i18n.Errorf("countersign needs a scheme and at least one upstream, as in: countersign easypay https://provider.example"))
	}
	name := h.Val()
	upstreams := h.RemainingArgs()
	t := &Transport{Line: line, recipes: app.RecipesOf(h.Option("countersign"))}
	p := &parser{t: t}
	if err := p.parse(h.Dispenser, name); err != nil {
		return nil, err
	}
	if len(upstreams) == 0 && !p.findsUpstreams() {
		return nil, at(i18n.Errorf("countersign %s needs at least one upstream, as in: countersign %s https://provider.example", name, name))
	}
	if t.Reference == "" {
		return nil, at(i18n.Errorf("countersign %s needs keys; add: keys <reference>", name))
	}
	rp, err := p.proxyOf(h, upstreams, start)
	if err != nil {
		return nil, err
	}
	if err := foldTLS(t, rp); err != nil {
		return nil, err
	}
	if err := checkHosts(t, upstreams, rp); err != nil {
		return nil, at(err)
	}
	rp.TransportRaw = caddyconfig.JSONModuleObject(t, "protocol", "countersign", nil)
	if err := t.checkProxy(rp); err != nil {
		return nil, at(err)
	}
	return &Handler{ProxyRaw: caddyconfig.JSONModuleObject(rp, "handler", "reverse_proxy", nil)}, nil
}

func parseProblem(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the word "countersign_problem"
	handler := new(ProblemHandler)
	if h.NextArg() {
		handler.Reason = problem.Reason(h.Val())
		if _, ok := made[handler.Reason]; !ok {
			return nil, h.WrapErr(i18n.Errorf("countersign_problem makes unknown_route or overloaded, not %q; without a word it answers with the problem of handle_errors", h.Val()))
		}
	}
	if h.NextArg() || h.NextBlock(0) {
		return nil, h.WrapErr(i18n.Errorf("countersign_problem takes one reason at most, unknown_route or overloaded, and no block"))
	}
	return handler, nil
}

// findsUpstreams reports whether the block reverse_proxy has the option dynamic or to.
func (p *parser) findsUpstreams() bool {
	if p.proxy == nil {
		return false
	}
	p.proxy.Reset()
	p.proxy.Next()
	defer p.proxy.Reset()
	for p.proxy.NextBlock(0) {
		if word := p.proxy.Val(); word == "dynamic" || word == "to" {
			return true
		}
		p.proxy.RemainingArgs()
		for nesting := p.proxy.Nesting(); p.proxy.NextBlock(nesting); {
			continue
		}
	}
	return false
}

// parser reads the options of the directive or of the transport.
type parser struct {
	t     *Transport
	seen  map[string]bool
	proxy *caddyfile.Dispenser // the block reverse_proxy
}

func (p *parser) parse(d *caddyfile.Dispenser, name string) error {
	p.t.Scheme.Name = name
	if _, err := protocol.Options(name, p.t.recipes); err != nil {
		return d.WrapErr(err)
	}
	p.seen = make(map[string]bool)
	nesting := d.Nesting()
	for d.NextBlock(nesting) {
		option := d.Val()
		if p.seen[option] && !slices.Contains(guard.Words(), option) {
			return d.WrapErr(i18n.Errorf("%s is given twice", option))
		}
		p.seen[option] = true
		if err := p.option(d, option); err != nil {
			return err
		}
	}
	// Errors that depend on several options are found here, too, with file and line.
	if err := p.t.load(p.t.recipes); err != nil {
		if strings.Contains(err.Error(), d.File()+":") {
			return err
		}
		return directive.WithPlace(err, p.t.Line)
	}
	return nil
}

// option reads one option. The scheme's own come last, so that a scheme cannot
// change what a common one means.
func (p *parser) option(d *caddyfile.Dispenser, option string) error {
	t := p.t
	switch option {
	case "keys":
		var err error
		t.Source, t.Reference, err = directive.Keys(d)
		return err
	case "profile":
		return directive.Text(d, option, &t.Profile)
	case "dial_timeout":
		return directive.Duration(d, option, &t.DialTimeout)
	case "timeout":
		return directive.Duration(d, option, &t.Timeout)
	case "max_request_body":
		return directive.Size(d, option, &t.MaxRequestBody)
	case "max_response_body":
		return directive.Size(d, option, &t.MaxResponseBody)
	case "unsigned_responses":
		return directive.Take(d, directive.Enum(option, &t.UnsignedResponses, "reject", "pass"))
	case "max_in_flight":
		var value string
		if err := directive.Text(d, option, &value); err != nil {
			return err
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 {
			return d.WrapErr(i18n.Errorf("max_in_flight must be a number from 1, not %q", value))
		}
		t.MaxInFlight = n
	case "forward_headers":
		if err := directive.Take(d, directive.List(option, &t.ForwardHeaders)); err != nil {
			return err
		}
		for _, name := range t.ForwardHeaders {
			if err := checkForward(name); err != nil {
				return d.WrapErr(err)
			}
		}
	case "legacy_tls":
		if err := directive.Take(d, directive.List(option, &t.LegacyTLS)); err != nil {
			return err
		}
		if err := network.CheckLegacy(t.LegacyTLS); err != nil {
			return d.WrapErr(err)
		}
	case "as":
		return directive.Take(d, directive.Enum(option, &t.As, "json", "wire"))
	case "allow_plaintext_upstream":
		if d.NextArg() {
			return d.WrapErr(i18n.Errorf("allow_plaintext_upstream takes no value"))
		}
		t.AllowPlaintextUpstream = true
	case "http":
		return p.http(d)
	case "reverse_proxy":
		if d.NextArg() {
			return d.WrapErr(i18n.Errorf("reverse_proxy takes only a block here; the upstreams stand behind the scheme"))
		}
		p.proxy = d.NewFromNextSegment()
		if !hasBlock(p.proxy) {
			return d.WrapErr(i18n.Errorf("reverse_proxy needs a block with what reverse_proxy takes; without one leave it out"))
		}
	default:
		if slices.Contains(guard.Words(), option) {
			if t.Guard == nil {
				t.Guard = new(guard.Guard)
			}
			_, err := t.Guard.UnmarshalLine(d)
			return err
		}
		if err := t.Scheme.Set(t.recipes, option, d.RemainingArgs()); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// hasBlock reports whether an option that takes no arguments has a block.
func hasBlock(segment *caddyfile.Dispenser) bool {
	segment.Next() // the option's name
	found := segment.Next()
	segment.Reset()
	return found
}

// http reads what Caddy's own transport takes.
func (p *parser) http(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.WrapErr(i18n.Errorf("http takes only a block"))
	}
	segment := d.NewFromNextSegment()
	if !hasBlock(segment) {
		return d.WrapErr(i18n.Errorf("http needs a block with what transport http takes, as in: http { tls }; for TLS alone begin the upstream with https://"))
	}
	inner := new(reverseproxy.HTTPTransport)
	if err := inner.UnmarshalCaddyfile(segment); err != nil {
		return err
	}
	p.t.HTTP = inner
	return nil
}

// proxyOf parses the block reverse_proxy with Caddy's own parser, with the upstreams of
// the directive before it.
func (p *parser) proxyOf(h httpcaddyfile.Helper, upstreams []string, start caddyfile.Token) (*reverseproxy.Handler, error) {
	var block []caddyfile.Token
	if p.proxy != nil {
		if err := refuse(p.proxy); err != nil {
			return nil, err
		}
		p.proxy.Reset()
		p.proxy.Next() // the word "reverse_proxy"
		for p.proxy.Next() {
			block = append(block, p.proxy.Token())
		}
		if len(block) > 0 {
			block[0] = named(start, block[0].Text) // an opening brace stands in the line of what it belongs to
		}
	}
	tokens := []caddyfile.Token{named(start, "reverse_proxy")}
	for _, u := range upstreams {
		tokens = append(tokens, named(start, u))
	}
	tokens = append(tokens, block...)
	rp := new(reverseproxy.Handler)
	d := caddyfile.NewDispenser(tokens)
	if err := rp.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if err := rp.FinalizeUnmarshalCaddyfile(h.WithDispenser(d)); err != nil {
		return nil, err
	}
	if len(rp.Upstreams) == 0 && len(rp.DynamicUpstreamsRaw) == 0 {
		return nil, i18n.Errorf("countersign needs at least one upstream, at %s:%d", start.File, start.Line)
	}
	return rp, nil
}

// named returns a token of another text in the same place.
func named(t caddyfile.Token, text string) caddyfile.Token {
	t.Text = text
	return t
}

// refuse refuses the options of reverse_proxy that would send a request twice or stream
// it.
func refuse(d *caddyfile.Dispenser) error {
	d.Reset()
	d.Next()
	for d.NextBlock(0) {
		switch d.Val() {
		case "transport":
			return d.WrapErr(i18n.Errorf("transport cannot be given: countersign is the transport; what transport http takes goes into http { }"))
		case "lb_retry_match":
			return d.WrapErr(i18n.Errorf("lb_retry_match is refused: a sealed request is never sent twice; failed dials are tried again without it"))
		case "request_buffers", "response_buffers", "buffer_requests", "buffer_responses", "max_buffer_size":
			return d.WrapErr(i18n.Errorf("%s cannot be given: bodies are read whole within max_request_body and max_response_body", d.Val()))
		}
		// Skip the arguments and the block of the option.
		d.RemainingArgs()
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			continue
		}
	}
	return nil
}

// foldTLS copies the TLS options that reverse_proxy made of https:// and h2c://
// upstreams into the transport.
func foldTLS(t *Transport, rp *reverseproxy.Handler) error {
	if len(rp.TransportRaw) == 0 {
		return nil
	}
	var made reverseproxy.HTTPTransport
	if err := json.Unmarshal(rp.TransportRaw, &made); err != nil {
		return i18n.Errorf("reading the transport of the upstreams: %w", err)
	}
	if made.TLS != nil && !t.TLSEnabled() {
		if err := t.EnableTLS(made.TLS); err != nil {
			return err
		}
	}
	if len(made.Versions) > 0 {
		if t.HTTP == nil {
			t.HTTP = new(reverseproxy.HTTPTransport)
		}
		if len(t.HTTP.Versions) == 0 {
			t.HTTP.Versions = made.Versions
		}
	}
	return nil
}

// checkHosts refuses upstreams without a host where one is meant: behind a bare
// https://, which a variable that is not set leaves, and where TLS would have no
// name to check the certificate for.
func checkHosts(t *Transport, upstreams []string, rp *reverseproxy.Handler) error {
	for _, u := range upstreams {
		if strings.HasSuffix(u, "://") {
			return i18n.Errorf("the upstream %s has no host; write it as in https://provider.example (a variable in it may not be set)", u)
		}
	}
	if !t.TLSEnabled() || t.HTTP.TLS.ServerName != "" || t.HTTP.TLS.InsecureSkipVerify {
		return nil
	}
	for _, u := range rp.Upstreams {
		if strings.HasPrefix(u.Dial, ":") {
			return i18n.Errorf("the upstream %s has no host, so that no certificate can be checked for it; write it as in https://provider.example, or give http { tls_server_name }", u.Dial)
		}
	}
	return nil
}
