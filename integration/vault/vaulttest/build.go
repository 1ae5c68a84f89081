package vaulttest

import (
	"context"

	"github.com/countersign/caddy-countersign/integration/programs"
)

// buildServer compiles integration/vault/server unless it is up to date, and
// returns the path of the binary.
func buildServer(ctx context.Context) (string, error) {
	return programs.Path(ctx, programs.Vault)
}
