package stores

import (
	"context"
	"time"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
)

// Ledger is a store that also counts what was spent and remembers which orders
// were sent, for the guardrails budget and unique. Replicas that share it never
// exceed a budget together.
//
// A reservation whose process died stays until it expires. Every error means
// that nothing was reserved as far as the caller is concerned: the store itself
// tries to undo what may have been done. No error may hold a password.
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

// Prober is a store that can be asked whether it will do what is asked of it.
// The error says what is missing.
type Prober interface {
	Probe(ctx context.Context) error
}

// Remote is a store that says whether it lies beyond this machine.
type Remote interface {
	Remote() bool
}

// Forgetter is a store that can say what would make it forget, in the words of a
// warning; "" where nothing does. It may use the network.
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

// WindowParts is in how many parts a window is counted: a reservation expires
// with the part that it was made in.
const WindowParts = 64
