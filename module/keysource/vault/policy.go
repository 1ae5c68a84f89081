package vault

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// need is a capability on a path that a policy must grant.
type need struct{ path, capability string }

// String says that it is lacking, and what to write into the policy.
func (n need) String() string {
	return fmt.Sprintf("the token may not %s %s; the policy needs: %s", n.capability, n.path, n.rule())
}

// rule is the need in the language of policies.
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

// report logs what the policy lacks for keys that were just loaded. They are
// not refused: what is lacking may not be needed, and until it is, payments go
// on.
func (s *Source) report(ctx context.Context, reference string, needs []need) {
	lacking, err := s.client.lacking(ctx, needs)
	if err != nil {
		return // asking is a service; a signature that is denied says the same
	}
	for _, n := range lacking {
		s.logger().Error("the policy lacks a capability: "+n.String(),
			zap.String("reference", reference), zap.String("path", n.path), zap.String("capability", n.capability))
	}
}

// logger is that of the configuration that runs now: a source outlives the one
// that made it.
func (s *Source) logger() *zap.Logger { return caddy.Log().Named("countersign.keys.vault") }
