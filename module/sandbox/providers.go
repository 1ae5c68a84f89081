package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hbsk"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hkrt"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hongwen"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/jeepay"
)

// providers are those that are written by hand.
var providers = map[string]func() provider.Provider{
	"easypay": func() provider.Provider { return easypay.New() },
	"jeepay":  func() provider.Provider { return jeepay.New() },
	"hbsk":    func() provider.Provider { return hbsk.New() },
	"hkrt":    func() provider.Provider { return hkrt.New() },
	"hongwen": func() provider.Provider { return hongwen.New() },
}

// services are the parts of a path by which the requests of each provider are
// recognized.
var services = map[string]string{
	"easypay": "/ledger/", "jeepay": "/api/", "hbsk": "/share/", "hkrt": "/delay-ledger/", "hongwen": "/gateway.do",
}

// ByHand reports whether the sandbox of a scheme is written by hand. Every other one
// is made from the scheme's recipe.
func ByHand(scheme string) bool { return providers[scheme] != nil }

// player plays a provider.
type player interface {
	// accepts reports whether the provider has requests of a method.
	accepts(method string) bool

	// refuses returns why a request is not one of the provider's, with the status, or
	// "".
	refuses(r *http.Request) (status int, why string)

	// member is a member of the request that is a text.
	member(q *question, name string) (string, bool)

	play(q *question) provider.Answer
}

// question is a request that reached the sandbox.
type question struct {
	request *http.Request
	text    []byte
	keys    *keys.Set
	fault   provider.Fault
	status  int // that the answer is to have
	now     time.Time
}

// newPlayer returns the provider of the scheme.
func (h *Handler) newPlayer(own protocol.Recipes) (player, error) {
	make, ok := providers[h.Scheme]
	if !ok {
		return newFromRecipe(h, own)
	}
	if len(h.Options) > 0 || h.Answer != "" || h.Notification != "" {
		return nil, i18n.Errorf("the sandbox of %s is written by hand; it has keys and notify", h.Scheme)
	}
	return &byHand{h.Scheme, make()}, nil
}

// byHand is a provider that is written by hand.
type byHand struct {
	name     string
	provider provider.Provider
}

func (p *byHand) accepts(method string) bool {
	return method != http.MethodGet && method != http.MethodHead
}

func (p *byHand) refuses(r *http.Request) (status int, why string) {
	if service := services[p.name]; !strings.Contains(r.URL.Path, service) {
		return http.StatusNotFound, fmt.Sprintf("%s has no interface at this path; its paths hold %s", p.name, service)
	}
	return 0, ""
}

func (p *byHand) member(q *question, name string) (string, bool) {
	object, err := body.Parse(q.text)
	if err != nil {
		return "", false
	}
	return object.Text(name)
}

func (p *byHand) play(q *question) provider.Answer {
	return p.provider.Answer(provider.Request{
		Path: q.request.URL.RequestURI(), ContentType: q.request.Header.Get("Content-Type"), Body: q.text,
		Keys: providerKeys(q.keys), Fault: q.fault, Now: q.now,
	})
}

// providerKeys returns a key set in types of the standard library.
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
