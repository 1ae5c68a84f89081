package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
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

func (*counting) Options() []recipe.Option        { return nil }
func (*counting) Configure(recipe.Settings) error { return nil }

func (*counting) Describe() *scheme.Description {
	return &scheme.Description{
		Name: "counting", Methods: []string{"POST"}, Needs: func(*message.Message) []keys.Role { return nil },
		Request: new(scheme.Direction), Answer: &scheme.Direction{Part: "*"},
	}
}

func signatureOver(text string) scheme.Signature {
	rsa, _ := algorithm.Named("rsa-sha256")
	base64, _ := encoding.Named("base64")
	return scheme.Signature{Algorithm: rsa, Encoding: base64, Text: scheme.Text{Canonical: []byte(text)}, Where: "body.sign"}
}

func (*counting) Complete(d *scheme.Draft) error {
	text := fmt.Sprint(sealedSoFar.Add(1))
	if _, err := d.Sign(signatureOver("nonce=" + text)); err != nil {
		return err
	}
	if err := d.Message.Payload.SetString(body.Path{"nonce"}, text); err != nil {
		return err
	}
	d.Message.Wire = d.Message.Payload.Text()
	return nil
}

func (*counting) Covers(*scheme.Incoming) ([]scheme.Signature, error) {
	return []scheme.Signature{signatureOver("x")}, nil
}

func (*counting) Reveal(*scheme.Incoming) error { return nil }

// Each try is sealed afresh: what was made for an upstream that could not be
// reached never goes to another one.
func TestEachTryIsSealedAfresh(t *testing.T) {
	form := func(upstreams string) *sidecar {
		text := strings.Replace(sidecarText("ADDRESS", upstreams, "unsigned_responses pass\nreverse_proxy {\nlb_policy first\nlb_retries 3\nfail_duration 10s\n}"), "countersign easypay", "countersign counting", 1)
		return runText(t, text)
	}
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
}

// runText runs a Caddyfile in which ADDRESS stands for the sidecar's address.
func runText(t *testing.T, text string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, strings.ReplaceAll(text, "ADDRESS", address))
	return &sidecar{Caddy: c, t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}
