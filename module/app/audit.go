package app

import (
	"context"
	"crypto/x509"
	"encoding/base64"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/telemetry"
	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

// AuditLog returns the audit log of the configuration.
func (a *App) AuditLog() *telemetry.Audit { return a.audit }

// provisionAudit makes the audit log, and registers the key set that signs its
// checkpoints.
func (a *App) provisionAudit(ctx caddy.Context) error {
	err := a.setUpAudit(ctx)
	if a.Audit == nil {
		return err
	}
	return directive.WithPlace(err, a.Audit.Line)
}

func (a *App) setUpAudit(ctx caddy.Context) error {
	var err error
	if a.audit, err = telemetry.OpenAudit(ctx, a.Audit); err != nil {
		return err
	}
	a.logger = ctx.Logger()
	if a.Audit == nil || a.Audit.Chain == nil || a.Audit.Chain.Reference == "" {
		return nil
	}
	chain := a.Audit.Chain
	text, err := caddy.NewReplacer().ReplaceOrErr(chain.Reference, true, true)
	if err != nil {
		return i18n.Errorf("the key reference of the audit chain: %w", err)
	}
	reference, err := keys.ParseTemplate(text)
	if err != nil {
		return i18n.Errorf("audit chain: %w", err)
	}
	ring, err := a.Use(chain.Source, reference, a.checkAuditKey, nil)
	if err != nil {
		return i18n.Errorf("audit chain: %w", err)
	}
	a.signer = func(ctx context.Context, message []byte) (auditchain.Signature, error) {
		set, err := ring.Get(ctx, text)
		if err != nil {
			return auditchain.Signature{}, err
		}
		return signWithin(ctx, set, message)
	}
	return nil
}

// checkAuditKey logs why a key set cannot sign checkpoints, if it cannot.
func (a *App) checkAuditKey(set *keys.Set) {
	err := set.Need(keys.Sign)
	if err == nil && set.Sign.Public == nil {
		err = i18n.Errorf("%s is not an RSA key", set.Sign.Origin)
	}
	if err != nil {
		a.logger.Error("the audit chain has no checkpoints: its key set cannot sign them", zap.Error(err))
	}
}

// checkpoints is how checkpoints are signed, so that openssl dgst verifies them.
var checkpoints, _ = algorithm.Named("rsa-sha256")

// signWithin signs with the role sign of a set. It does not wait for a remote key
// longer than the context lasts.
func signWithin(ctx context.Context, set *keys.Set, message []byte) (auditchain.Signature, error) {
	if err := set.Need(keys.Sign); err != nil {
		return auditchain.Signature{}, err
	}
	if set.Sign.Public == nil {
		return auditchain.Signature{}, i18n.Errorf("%s is not an RSA key", set.Sign.Origin)
	}
	der, err := x509.MarshalPKIXPublicKey(set.Sign.Public)
	if err != nil {
		return auditchain.Signature{}, i18n.Errorf("encoding the public key of %q: %w", set.Reference, err)
	}
	type result struct {
		value string
		err   error
	}
	signed := make(chan result, 1)
	go func() {
		raw, err := checkpoints.Sign(set.Sign.Signer, message, algorithm.Options{})
		if err != nil {
			err = i18n.Errorf("signing with %s: %w", set.Sign.Origin, err)
		}
		signed <- result{base64.StdEncoding.EncodeToString(raw), err}
	}()
	select {
	case r := <-signed:
		return auditchain.Signature{Reference: set.Reference, PublicKey: der, Value: r.value}, r.err
	case <-ctx.Done():
		return auditchain.Signature{}, ctx.Err()
	}
}
