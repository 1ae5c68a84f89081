package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// transitPrefix stands before the references of the sets whose private key is
// in Vault's Transit engine.
const transitPrefix = "transit/"

// vault is a real Vault server that holds the development keys.
type vault struct {
	server *vaulttest.Server
	role   *vaulttest.AppRole
	target *target // Vault itself
}

// startVault starts a Vault and puts the merchant's keys into it.
func startVault(ctx context.Context, dir string) (_ *vault, err error) {
	v := new(vault)
	if v.server, err = vaulttest.New(ctx, vaulttest.Options{}); err != nil {
		return nil, err
	}
	if err = v.seed(dir); err == nil {
		v.target, err = v.itself()
	}
	if err != nil {
		return nil, errors.Join(err, v.server.Close())
	}
	return v, nil
}

func (v *vault) seed(dir string) error {
	if err := errors.Join(v.server.EnableKV("payments"), v.server.EnableTransit("signing")); err != nil {
		return err
	}
	const policy = `
path "payments/data/*" { capabilities = ["read"] }
path "payments/metadata/*" { capabilities = ["read"] }
path "signing/keys/*" { capabilities = ["read"] }
path "signing/sign/*" { capabilities = ["update"] }
`
	if err := v.server.WritePolicy("sidecar", policy); err != nil {
		return err
	}
	for _, p := range providers() {
		fields, err := vaulttest.ReadSet(filepath.Join("keys-dev/merchant", p.reference))
		if err != nil {
			return err
		}
		if _, err := v.server.PutSecret("payments", p.reference, fields); err != nil {
			return err
		}
		if !p.transit {
			continue
		}
		if err := v.server.CreateKey("signing", p.name, "rsa-2048"); err != nil {
			return err
		}
		fields["sign"] = "transit:signing/" + p.name
		if _, err := v.server.PutSecret("payments", transitPrefix+p.reference, fields); err != nil {
			return err
		}
	}
	var err error
	v.role, err = v.server.CreateAppRole("sidecar", dir, vaulttest.Tokens{Policies: []string{"sidecar"}, TTL: time.Hour, MaxTTL: 4 * time.Hour})
	return err
}

// source is the key source for a Caddyfile.
func (v *vault) source() string {
	return fmt.Sprintf("keys vault %s {\n\tkv payments\n\tauth approle %s %s\n\trefresh 30s\n}",
		v.server.URL, v.role.RoleIDFile, v.role.SecretIDFile)
}

// itself is Vault as a target: the call with which the sidecar has a request
// signed, and nothing else. What Transit costs is compared with it.
func (v *vault) itself() (*target, error) {
	address, err := url.Parse(v.server.URL)
	if err != nil {
		return nil, fmt.Errorf("reading Vault's address: %w", err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		return nil, fmt.Errorf("reading the port of Vault's address: %w", err)
	}
	const digest = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	return &target{
		name: "Vault itself", port: port, token: v.server.RootToken,
		provider: provider{
			path: "/v1/signing/sign/hongwen/sha2-256",
			request: func(int) string {
				return `{"input":"` + digest + `","prehashed":true,"signature_algorithm":"pkcs1v15"}`
			},
		},
	}, nil
}
