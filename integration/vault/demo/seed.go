package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// The references of the demonstration.
const (
	easypay = "easypay/ORG000000000007"
	jeepay  = "jeepay/M1623997351"
)

// seed does what the Vault side of the README's section does: engines, keys,
// policies, and a role to log in with, whose files it writes to dir.
func seed(vault *vaulttest.Server, repository, dir string) error {
	if err := errors.Join(vault.EnableKV("payments"), vault.EnableTransit("signing")); err != nil {
		return err
	}
	keys := filepath.Join(repository, "keys-dev", "merchant")

	fields, err := vaulttest.ReadSet(filepath.Join(keys, easypay))
	if err != nil {
		return err
	}
	if _, err := vault.PutSecret("payments", easypay, fields); err != nil {
		return err
	}

	if fields, err = vaulttest.ReadSet(filepath.Join(keys, jeepay)); err != nil {
		return err
	}
	private, err := parsePrivate(fields["sign"])
	if err != nil {
		return err
	}
	if err := vault.ImportKeys("signing", "shop-sign", private); err != nil {
		return err
	}
	fields["sign"] = "transit:signing/shop-sign"
	if _, err := vault.PutSecret("payments", jeepay, fields); err != nil {
		return err
	}

	for _, name := range []string{"kv", "transit"} {
		rules, err := os.ReadFile(filepath.Join(repository, "integration", "vault", "policies", name+".hcl"))
		if err != nil {
			return fmt.Errorf("reading the policy %s: %w", name, err)
		}
		if err := vault.WritePolicy(name, string(rules)); err != nil {
			return err
		}
	}
	_, err = vault.CreateAppRole("sidecar", dir, vaulttest.Tokens{
		Policies: []string{"kv", "transit"}, TTL: 10 * time.Minute, MaxTTL: time.Hour,
	})
	return err
}

func parsePrivate(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the development key of jeepay is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the development key of jeepay: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the development key of jeepay is not RSA")
	}
	return key, nil
}
