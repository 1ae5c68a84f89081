// Package keysource says what a key source is: a Caddy module in the namespace
// countersign.keys that loads key sets. Its subpackages are the sources.
package keysource

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/keys"
)

// Namespace is where sources register as Caddy modules.
const Namespace = "countersign.keys"

// Source is a place where key sets are kept. It must ask no network before the
// first Load, so that "caddy validate" works offline. A source that holds a
// connection implements io.Closer; it must not implement caddy.CleanerUpper,
// because it outlives the configuration that made it where the next one has
// the same source.
type Source interface {
	caddy.Module
	keys.Source

	// Probe reports whether the source can be asked at all.
	Probe(ctx context.Context) error

	// Terms are the name under which handlers find the source ("" for the
	// default one) and how its sets are kept fresh.
	Terms() Terms
}

// Operable is a source with keys that never leave it. It is asked for a
// readiness probe, and answers within a second.
type Operable interface {
	// Operable reports why the source can neither sign nor decrypt now, or nil.
	Operable(ctx context.Context) error
}

// Terms are how a source is named and how its sets are kept.
type Terms struct {
	Name     string        // "" for the default source
	Kind     string        // such as "file" or "vault", for logs and metrics
	Refresh  time.Duration // how often each set is looked at
	MaxStale time.Duration // how long a set serves unconfirmed; 0 without end
}

// Label is the name of a source in logs and metrics.
func (t Terms) Label() string {
	if t.Name == "" {
		return "default"
	}
	return t.Name
}
