package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// newTransit starts a Vault and returns a sidecar for hongwen whose private key
// is in Vault's Transit engine. Its time is mostly Vault's, which runs on the
// cores of the load.
func (b *bench) newTransit(ctx context.Context) (*target, error) {
	b.progress("building and starting Vault")
	server, err := vaulttest.New(ctx, vaulttest.Options{})
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() { _ = server.Close() })
	t := b.newSidecar("hongwen")
	fields, err := vaulttest.ReadSet(filepath.Join("keys-dev/merchant", t.provider.reference))
	if err != nil {
		return nil, err
	}
	fields["sign"] = "transit:signing/hongwen"
	const policy = `
path "payments/data/*" { capabilities = ["read"] }
path "payments/metadata/*" { capabilities = ["read"] }
path "signing/keys/*" { capabilities = ["read"] }
path "signing/sign/*" { capabilities = ["update"] }
`
	if err := errors.Join(server.EnableKV("payments"), server.EnableTransit("signing"), server.WritePolicy("sidecar", policy), server.CreateKey("signing", "hongwen", "rsa-2048")); err != nil {
		return nil, err
	}
	if _, err := server.PutSecret("payments", t.provider.reference, fields); err != nil {
		return nil, err
	}
	role, err := server.CreateAppRole("sidecar", b.dir, vaulttest.Tokens{Policies: []string{"sidecar"}, TTL: time.Hour, MaxTTL: 4 * time.Hour})
	if err != nil {
		return nil, err
	}
	t.name = "sidecar, hongwen, Vault Transit"
	t.source = fmt.Sprintf("keys vault %s {\n\tkv payments\n\tauth approle %s %s\n}", server.URL, role.RoleIDFile, role.SecretIDFile)
	t.otherKey = true
	return t, nil
}
