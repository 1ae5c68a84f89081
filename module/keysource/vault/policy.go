package vault

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// need is a capability on a path that a policy must grant.
type need struct{ path, capability string }

// text returns a sentence that names the missing capability and what to write into the
// policy.
func (n need) text() i18n.Text {
	return i18n.T("the token may not %s %s; the policy needs: %s", n.capability, n.path, n.rule())
}

// rule returns the need in the language of policies.
func (n need) rule() string {
	return fmt.Sprintf("path %q { capabilities = [%q] }", n.path, n.capability)
}

// lacking asks Vault which of the needs the token's policies do not grant. The
// default policy lets every token ask that.
func (c *client) lacking(ctx context.Context, needs []need) ([]need, error) {
	if len(needs) == 0 {
		return nil, nil
	}
	paths := make([]string, 0, len(needs))
	for _, n := range needs {
		paths = append(paths, n.path)
	}
	secret, err := c.write(ctx, "sys/capabilities-self", map[string]any{"paths": paths})
	if err != nil {
		return nil, err
	}
	var out []need
	for _, n := range needs {
		granted, _ := secret.Data[n.path].([]any)
		if !slices.Contains(granted, any(n.capability)) && !slices.Contains(granted, any("root")) {
			out = append(out, n)
		}
	}
	return out, nil
}

// report logs what the policy lacks for keys that were just loaded. The keys are used
// nevertheless, because the missing capability may not be needed.
func (s *Source) report(ctx context.Context, reference string, needs []need) {
	lacking, err := s.client.lacking(ctx, needs)
	if err != nil {
		return // a signature that is denied reports the same
	}
	for _, n := range lacking {
		s.logger().Error("the policy lacks a capability: "+n.text().In(i18n.English),
			zap.String("reference", reference), zap.String("path", n.path), zap.String("capability", n.capability))
	}
}

// logger returns the logger of the configuration that runs now: a source outlives the
// one that made it.
func (s *Source) logger() *zap.Logger { return caddy.Log().Named("countersign.keys.vault") }
