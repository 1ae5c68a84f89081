// Package stores defines the interface of a store: a Caddy module in the namespace
// countersign.stores that remembers which notifications the application has
// acknowledged, and which ones it is handling now. Its subpackages are the stores.
//
// # Protocol
//
// A handler claims the key of a notification before it calls the application. A key has
// one claim at a time, for all replicas that share the store. The owner of the claim
// calls the application. Then it either finishes the claim with the application's
// answer, which the store keeps and returns to every later claim, or releases it, so
// that the next claim calls the application again. The claim of a process that died
// ends with its lease.
package stores

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Namespace is where stores register as Caddy modules, by their names.
const Namespace = "countersign.stores"

// State is the state of a key in a store.
type State int

// The states.
const (
	Claimed    State = iota + 1 // the caller holds the claim now
	Running                     // somebody else holds it
	Remembered                  // it was finished; its answer is there
)

// Answer is the application's acknowledgement of a notification.
type Answer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type,omitempty"`
	Body        []byte `json:"body,omitempty"`
}

// Store remembers notifications by their keys. It is used by many goroutines at once,
// also while a reload of the configuration calls its Cleanup: a claim that exists then
// must still be finished.
//
// A store must not use the network in Provision. After an error the state of the key is
// not known, and the handler does not call the application. No error may hold a
// password.
type Store interface {
	caddy.Module

	// Claim claims a key for owner, a text that is used for no other claim. It
	// never waits for another claim to end. Claiming again what owner holds
	// already succeeds. The answer is set if the state is Remembered; it must
	// not be changed. One call of Finish or Release ends a claim.
	Claim(ctx context.Context, key, owner string, lease time.Duration) (State, *Answer, error)

	// Finish keeps the answer for the time keep, whatever the state of the key was.
	Finish(ctx context.Context, key, owner string, answer *Answer, keep time.Duration) error

	// Release gives back a claim that owner holds. It does nothing if owner
	// does not hold it any more.
	Release(ctx context.Context, key, owner string) error
}
