package stores

import (
	"context"
	"time"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
)

// Ledger is a store that also counts amounts and remembers orders, for the guardrails
// budget and unique. Replicas that share it do not exceed a budget together.
//
// A reservation whose process died stays until it expires. After an error the caller
// has no reservation: the store itself tries to undo what may have been done. No error
// may hold a password.
type Ledger interface {
	Store

	// Spend reserves an amount under key, if then no more than limit was
	// reserved in the last window, and reports whether it did. An amount counts
	// for window at least, and for a 32nd of it more at most. The id is used for
	// no other reservation; the same call again changes nothing.
	Spend(ctx context.Context, key, id string, amount, limit *decimal.Decimal, window time.Duration) (bool, error)

	// Settle ends a successful Spend: it keeps the amount, or gives it back. It
	// is called once.
	Settle(ctx context.Context, key, id string, giveBack bool) error

	// Enter reserves key for id, with the outcome running, if nobody holds it.
	// Otherwise it returns the first one.
	Enter(ctx context.Context, key, id string, keep time.Duration) (*First, error)

	// Leave ends a successful Enter: it stores the outcome and keeps the key for
	// the rest of its time, or frees the key where the outcome is empty. It is
	// called once.
	Leave(ctx context.Context, key, id, outcome string) error
}

// Prober is a store that can check whether it supports all methods of its interface.
// The error says what is missing.
type Prober interface {
	Probe(ctx context.Context) error
}

// Remote is a store that may be on another machine.
type Remote interface {
	Remote() bool
}

// Forgetter is a store that may lose entries. Forgets returns a warning that says when,
// or "" if it does not. It may use the network.
type Forgetter interface {
	Forgets(ctx context.Context) string
}

// First is the request that holds a key of Enter.
type First struct {
	ID      string
	Outcome string // Running, or what Leave has stored
}

// OutcomeRunning is the outcome of a request that has not ended, or whose process
// has died.
const OutcomeRunning = "running"

// WindowParts is the number of parts in which a window is counted: a reservation
// expires together with the part in which it was made.
const WindowParts = 64
