// Package keysource defines the interface of a key source: a Caddy module in the
// namespace countersign.keys that loads key sets. Its subpackages are the sources.
package keysource

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/keys"
)

// Namespace is where sources register as Caddy modules.
const Namespace = "countersign.keys"

// Source loads key sets. It must not use the network before the first Load, so that
// "caddy validate" works offline. A source that holds a connection implements
// io.Closer; it must not implement caddy.CleanerUpper, because it outlives the
// configuration that made it where the next one has the same source.
type Source interface {
	caddy.Module
	keys.Source

	// Probe returns an error if the source cannot be reached.
	Probe(ctx context.Context) error

	// Terms returns the name under which handlers find the source ("" for the default
	// one) and how often its sets are refreshed.
	Terms() Terms
}

// Operable is a source with keys that never leave it. It is called for a readiness
// probe, and must return within a second.
type Operable interface {
	// Operable returns why the source can neither sign nor decrypt now, or nil.
	Operable(ctx context.Context) error
}

// Terms are the name of a source and the times of its sets.
type Terms struct {
	Name     string        // "" for the default source
	Kind     string        // such as "file" or "vault", for logs and metrics
	Refresh  time.Duration // how often each set is looked at
	MaxStale time.Duration // how long a set serves unconfirmed; 0 without end
}

// Label returns the name of a source in logs and metrics.
func (t Terms) Label() string {
	if t.Name == "" {
		return "default"
	}
	return t.Name
}
