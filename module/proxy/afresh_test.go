package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

func init() {
	caddy.RegisterModule(new(counting))
}

// counting is a scheme that gives each sealed request a number.
type counting struct{}

var sealedSoFar atomic.Int64

func (*counting) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.schemes.counting", New: func() caddy.Module { return new(counting) }}
}

func (*counting) Options() []scheme.Option       { return nil }
func (*counting) Validate() error                { return nil }
func (*counting) Needs(*body.Object) []keys.Role { return nil }
func (*counting) ResultCode(*body.Object) string { return "" }
func (*counting) Seal(r scheme.Request) (*scheme.Sealed, error) {
	var e body.Editor
	text := fmt.Sprint(sealedSoFar.Add(1))
	e.SetString(r.Body, "nonce", text)
	return &scheme.Sealed{Body: e.Apply(r.Body.Source()), Canonical: []byte("nonce=" + text)}, nil
}

func (*counting) Open(a scheme.Answer) (*scheme.Opened, error) {
	return &scheme.Opened{Body: a.Body.Source(), Canonical: []byte("x"), Signed: "*"}, nil
}

// Each try is sealed afresh: what was made for an upstream that could not be
// reached never goes to another one.
func TestEachTryIsSealedAfresh(t *testing.T) {
	for name, form := range map[string]func(upstreams string) *sidecar{
		"short form": func(upstreams string) *sidecar {
			text := strings.Replace(sidecarText("ADDRESS", upstreams, "reverse_proxy {\nlb_policy first\nlb_retries 3\nfail_duration 10s\n}"), "countersign easypay", "countersign counting", 1)
			return runText(t, text)
		},
		"long form": func(upstreams string) *sidecar {
			text := strings.Replace(longForm("ADDRESS", upstreams, "", "lb_policy first\nlb_retries 3\nfail_duration 10s", ""), "countersign easypay", "countersign counting", 1)
			return runText(t, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
				if r := c.Request(); r != nil {
					c.Answer(200, closing, []byte(`{}`))
				}
			})
			dead := testcaddy.FreeAddress(t)
			s := form(p.Address)
			before := sealedSoFar.Load()
			require.Equal(t, 200, s.post([]byte(`{}`)).Status)
			assert.Equal(t, before+1, sealedSoFar.Load())
			assert.Equal(t, fmt.Sprintf(`{"nonce":"%d"}`, before+1), string(p.Last(t).Body))

			s = form(dead + " " + p.Address)
			before = sealedSoFar.Load()
			require.Equal(t, 200, s.post([]byte(`{}`)).Status)
			assert.Equal(t, before+2, sealedSoFar.Load())
			assert.Equal(t, fmt.Sprintf(`{"nonce":"%d"}`, before+2), string(p.Last(t).Body))
			assert.Equal(t, digestOf(fmt.Sprintf("nonce=%d", before+2)), s.Logs.Audit(t, 1).String("canonical_sha256"), "the audit has what was sent")
			assert.Equal(t, 2, p.Delivered())
		})
	}
}

// runText runs a Caddyfile in which ADDRESS stands for the sidecar's address.
func runText(t *testing.T, text string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, strings.ReplaceAll(text, "ADDRESS", address))
	return &sidecar{Caddy: c, t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}
