// Package stores says what a store is: a Caddy module in the namespace
// countersign.stores that remembers which notifications the application has
// acknowledged, and which ones it is being asked about right now. Its
// subpackages are the stores.
//
// # Protocol
//
// Whoever wants to hand over a notification claims its key first. One claim
// holds at a time, over all replicas that share the store. Who holds it calls
// the application, and then either finishes the claim with the application's
// answer, which the store keeps and gives to every later claim, or releases it,
// so that the next one calls the application again. A claim that its holder
// never gives back, because the process died, ends with its lease.
package stores

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Namespace is where stores register as Caddy modules, by their names.
const Namespace = "countersign.stores"

// State is what a store knows of a key.
type State int

// The states.
const (
	Claimed    State = iota + 1 // the caller holds the claim now
	Running                     // somebody else holds it
	Remembered                  // it was finished; its answer is there
)

// Answer is what the application acknowledged a notification with.
type Answer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	Body        []byte `json:"body,omitempty"`
}

// Store remembers notifications by their keys. It is used by many goroutines
// at once, also while a reload of the configuration cleans it up: a claim that
// is held then must still come to its end.
//
// A store must ask no network while it is provisioned. Every error means that
// nothing is known, and keeps the application from being called. No error may
// hold a password.
type Store interface {
	caddy.Module

	// Claim claims a key for owner, a text that is used for no other claim. It
	// never waits for another claim to end. Claiming again what owner holds
	// already succeeds. The answer is set if the state is Remembered; it must
	// not be changed. One call of Finish or Release ends a claim.
	Claim(ctx context.Context, key, owner string, lease time.Duration) (State, *Answer, error)

	// Finish keeps the answer for so long, whatever the key held before.
	Finish(ctx context.Context, key, owner string, answer *Answer, keep time.Duration) error

	// Release gives back a claim that owner holds. It does nothing if owner
	// does not hold it any more.
	Release(ctx context.Context, key, owner string) error
}
