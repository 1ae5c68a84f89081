package main

import (
	"fmt"
	"slices"
)

// target is one thing to drive: a site of a Caddy, or Vault itself.
type target struct {
	provider // what is posted, and what it costs
	name     string
	server   *server
	port     int
	token    string // for Vault itself, which then is what is driven
	sealed   bool   // the answer must have been verified
}

// provider is a scheme as it is driven.
type provider struct {
	name      string
	scheme    string
	reference string               // of its key set
	options   string               // of the directive, besides keys
	path      string               // that is posted to, and that the upstream tells answers by
	request   func(pad int) string // the body that is posted, with a member of pad bytes
	operation string               // the bare operations of an exchange, in floorTimes
	rsa       bool
	transit   bool // its private key can be in Vault's Transit engine
}

// providers are all schemes, and the two ways of jeepay 计全付.
func providers() []provider {
	return []provider{
		{name: "jeepay", scheme: "jeepay", reference: "jeepay/M1623997351", path: "/api/division/exec", request: jeepayRequest, operation: "md5"},
		{name: "hkrt", scheme: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f", options: "access_id 405544499f016a9b3d8f57000f", path: "/api/v1/delay-ledger/ledger", request: hkrtRequest, operation: "md5"},
		{name: "hbsk", scheme: "hbsk", reference: "hbsk/d787d45a68b48", options: "developer_key d787d45a68b48", path: "/share/apply", request: hbskRequest, operation: "hmac"},
		{name: "easypay", scheme: "easypay", reference: "easypay/ORG000000000007", path: "/ledger/mpos", request: easypayRequest, operation: "easypay", rsa: true},
		{name: "jeepay-RSA2", scheme: "jeepay", reference: "jeepay/M1623997351", options: "sign_type RSA2\nprofile jeepay-rsa2", path: "/api/division/exec-rsa2", request: jeepayRequest, operation: "rsa2048", rsa: true, transit: true},
		{name: "hongwen", scheme: "hongwen", reference: "hongwen/2014072300007148", options: "mch_no 2014072300007148\nmethod trade.apply.divide.back", path: "/gateway.do", request: hongwenRequest, operation: "rsa2048", rsa: true, transit: true},
	}
}

// ports hands out the ports that the measurement uses, all on 127.0.0.1. The
// first is the upstream's.
type ports struct{ upstream, last int }

func newPorts(first int) *ports { return &ports{first, first} }

func (p *ports) next() int {
	p.last++
	return p.last
}

// address is where a target is driven, with an answer of so many KiB.
func (t *target) address(kib int) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s?kib=%d", t.port, t.path, kib)
}

// arrange lays out the Caddys of the flavours: which there are, and which
// targets each serves. Where the private key is what is slow, that is measured
// in every flavour, and all the rest in the first only, unless everything is
// wanted.
func (b *bench) arrange() {
	for i, f := range b.flavours {
		for _, a := range []arrangement{plain, seldom, files, audited, kv, transit} {
			if b.vault == nil && (a == kv || a == transit) {
				continue
			}
			s := &server{flavour: f, arrangement: a, upstream: b.ports.upstream, metrics: b.ports.next()}
			for _, p := range providers() {
				if a.serves(p) && (i == 0 || p.rsa || a == plain || b.options.full) && (!a.sidecar() || b.options.wants(p.name)) {
					s.targets = append(s.targets, newTarget(s, p, b.ports.next()))
				}
			}
			if len(s.targets) > 0 {
				b.servers = append(b.servers, s)
			}
		}
	}
}

// serves tells which schemes an arrangement is measured with. One will do for
// the plain proxy, which looks at nothing; an audit entry costs the same with
// RSA, where it would not be seen.
func (a arrangement) serves(p provider) bool {
	switch a {
	case plain, seldom:
		return p.name == "jeepay"
	case audited:
		return !p.rsa
	case transit:
		return p.transit
	default:
		return true
	}
}

func newTarget(s *server, p provider, port int) *target {
	t := &target{provider: p, name: p.name, server: s, port: port, sealed: s.arrangement.sidecar()}
	switch s.arrangement {
	case plain, seldom:
		t.name = "reverse_proxy"
		t.operation = ""
	case transit:
		t.reference = transitPrefix + p.reference
		t.operation = "verify2048" // the private key's operation is Vault's
	}
	t.options = "keys " + t.reference
	if p.options != "" {
		t.options += "\n" + p.options
	}
	return t
}

// base is the plain proxy that a server is compared with.
func (b *bench) base(f *flavour) *target {
	i := slices.IndexFunc(b.servers, func(s *server) bool { return s.flavour == f && s.arrangement == plain })
	return b.servers[i].targets[0]
}
