package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// rings are the rings of all configurations. A reload starts the new configuration
// before it stops the old one, so that a ring that both use keeps its key sets.
var rings = caddy.NewUsagePool()

// pooled is a ring in the pool together with what it was made from.
type pooled struct {
	*keys.Ring
	source keysource.Source
	label  string
}

// Destruct closes a ring that no configuration uses any more.
func (p *pooled) Destruct() error {
	p.Close()
	telemetry.UnwatchSource(p.label, p.Ring)
	if c, ok := p.source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// shared returns the ring of a source and the key under which it is pooled.
func shared(src keysource.Source, raw json.RawMessage) (*keys.Ring, string, error) {
	key := poolKey(src, raw)
	value, _, err := rings.LoadOrNew(key, func() (caddy.Destructor, error) {
		terms, seen, certificates := src.Terms(), new(repeats), new(certificates)
		return &pooled{Ring: keys.NewRing(probing{src}, keys.Options{
			Name: terms.Label(), Refresh: terms.Refresh, MaxStale: terms.MaxStale,
			Loaded:    func(set *keys.Set) { loaded(terms, set) },
			Refreshed: func(reference string, err error) { refreshed(terms, seen, reference, err) },
			Looked:    func(set *keys.Set) { certificates.look(terms, set, time.Now()) },
		}), source: src, label: terms.Label()}, nil
	})
	if err != nil {
		return nil, "", err
	}
	return value.(*pooled).Ring, key, nil
}

// probing loads the empty reference by probing the source. The empty reference stands
// for all references that depend on requests.
type probing struct{ keysource.Source }

// Load probes the source for the empty reference.
func (p probing) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	telemetry.GuardStandardLog() // an answer of a source holds keys
	if reference != "" {
		return p.Source.Load(ctx, reference, previous)
	}
	if err := p.Probe(ctx); err != nil {
		return nil, err
	}
	if previous != nil {
		return previous, nil
	}
	return new(keys.Set), nil
}

// Waiting returns why loads are slow, or nil if the source does not know.
func (p probing) Waiting() error {
	if w, ok := p.Source.(keys.Waiting); ok {
		return w.Waiting()
	}
	return nil
}

func loaded(terms keysource.Terms, set *keys.Set) {
	if set.Reference == "" {
		return
	}
	logger().Info("keys loaded",
		zap.String("source", terms.Label()),
		zap.String("reference", set.Reference),
		zap.String("version", set.Version),
		zap.Any("fingerprints", Fingerprints(set)))
	for _, warning := range set.Warnings {
		logger().Warn("keys to be looked at", zap.String("source", terms.Label()), zap.String("reference", set.Reference), zap.String("warning", warning))
	}
	if small := set.SmallRSA(); len(small) > 0 {
		logger().Warn("RSA keys below 2048 bits; ask the provider for larger ones", zap.String("source", terms.Label()), zap.String("reference", set.Reference), zap.Strings("keys", small))
	}
	for role, err := range set.Broken {
		logger().Warn("a role cannot be used; the set serves what does not need it", zap.String("source", terms.Label()),
			zap.String("reference", set.Reference), zap.String("role", string(role)), zap.Error(err))
	}
	telemetry.Emit(telemetry.EventKeysLoaded, map[string]any{
		"source": terms.Label(), "reference": set.Reference, "version": set.Version,
	})
}

// refreshed counts a load, and logs it if it failed.
func refreshed(terms keysource.Terms, seen *repeats, reference string, err error) {
	outcome := telemetry.RefreshOK
	switch {
	case err == nil:
		seen.clear(reference)
	case errors.Is(err, keys.ErrUnknown):
		outcome = telemetry.RefreshUnknown
		// Any client may name a reference that does not exist, so it is not a warning.
		if seen.admit(reference, err.Error(), time.Now()) {
			logger().Warn("no such key set", zap.String("source", terms.Label()), zap.String("reference", reference), zap.Error(err))
		}
	default:
		outcome = telemetry.RefreshError
		if seen.admit(reference, err.Error(), time.Now()) {
			logger().Error("loading keys failed; the last good ones stay in use",
				zap.String("source", terms.Label()), zap.String("reference", reference), zap.Error(err))
		}
		telemetry.Emit(telemetry.EventKeysRefreshFailed, map[string]any{
			"source": terms.Label(), "reference": reference, "error": err.Error(),
		})
	}
	telemetry.Refreshed(terms.Label(), outcome)
}

// logger returns the logger of the configuration that runs now: a ring outlives the
// one that made it.
func logger() *zap.Logger { return caddy.Log().Named("countersign") }

// Fingerprints returns the fingerprints of a set by role.
func Fingerprints(set *keys.Set) map[keys.Role][]string {
	out := make(map[keys.Role][]string)
	for _, role := range set.Roles() {
		out[role] = set.Fingerprints(role)
	}
	return out
}
