package memory

import (
	"context"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// reservationsPerEntry is how many reservations a ledger holds for each entry of
// MaxEntries.
const reservationsPerEntry = 10

var errLedgerFull = i18n.Errorf("the memory of budgets and orders is full; raise max_entries")

// ledger holds budgets and orders. Nothing in it is forgotten before its time:
// where it is full it fails.
type ledger struct {
	max int

	mu       sync.Mutex
	accounts map[string]*account
	spends   map[spendID]spend // that are not settled
	orders   map[string]*order
	swept    time.Time
}

// started is what the parts of windows are counted from. With it they do not depend
// on the clock of the machine, which may be set.
var started = time.Now()

type account struct {
	parts map[int64]*decimal.Decimal // by the end of the part, in ms since started
	until time.Time
}

type spendID struct{ key, id string }

type spend struct {
	part   int64
	amount *decimal.Decimal
}

type order struct {
	stores.First
	until time.Time
}

func newLedger(entries int) *ledger {
	return &ledger{
		max: entries * reservationsPerEntry, accounts: make(map[string]*account),
		spends: make(map[spendID]spend), orders: make(map[string]*order),
	}
}

// admit reports whether there is space for one more, after it has dropped what
// has expired. It looks through all of them once a second at most.
func (l *ledger) admit(now time.Time) bool {
	if len(l.accounts)+len(l.orders) < l.max && now.Sub(l.swept) < time.Minute {
		return true
	}
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for key, a := range l.accounts {
			if now.After(a.until) {
				delete(l.accounts, key)
			}
		}
		for key, o := range l.orders {
			if now.After(o.until) {
				delete(l.orders, key)
			}
		}
	}
	return len(l.accounts)+len(l.orders) < l.max
}

func (l *ledger) spend(key, id string, amount, limit *decimal.Decimal, window time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.spends[spendID{key, id}]; again {
		return true, nil
	}
	now := time.Now()
	a := l.accounts[key]
	if a == nil {
		if !l.admit(now) {
			return false, errLedgerFull
		}
		a = &account{parts: make(map[int64]*decimal.Decimal)}
		l.accounts[key] = a
	}
	ms := now.Sub(started).Milliseconds()
	width := max(1, (window.Milliseconds()+stores.WindowParts-1)/stores.WindowParts)
	total := new(decimal.Decimal)
	total.Add(amount)
	for end, sum := range a.parts {
		if end+window.Milliseconds() <= ms {
			delete(a.parts, end)
		} else {
			total.Add(sum)
		}
	}
	if until := now.Add(window + 2*time.Duration(width)*time.Millisecond); until.After(a.until) {
		a.until = until
	}
	if total.Cmp(limit) > 0 {
		return false, nil
	}
	part := (ms/width + 1) * width
	if a.parts[part] == nil {
		a.parts[part] = new(decimal.Decimal)
	}
	a.parts[part].Add(amount)
	l.spends[spendID{key, id}] = spend{part, amount}
	return true, nil
}

func (l *ledger) settle(key, id string, giveBack bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spent, ok := l.spends[spendID{key, id}]
	delete(l.spends, spendID{key, id})
	a := l.accounts[key]
	if !ok || !giveBack || a == nil || a.parts[spent.part] == nil {
		return
	}
	a.parts[spent.part].Sub(spent.amount)
}

func (l *ledger) enter(key, id string, keep time.Duration) (*stores.First, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if o := l.orders[key]; o != nil && now.Before(o.until) {
		if o.ID == id {
			return nil, nil
		}
		first := o.First
		return &first, nil
	}
	if !l.admit(now) {
		return nil, errLedgerFull
	}
	l.orders[key] = &order{stores.First{ID: id, Outcome: stores.OutcomeRunning}, now.Add(keep)}
	return nil, nil
}

func (l *ledger) leave(key, id, outcome string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o := l.orders[key]; {
	case o == nil || o.ID != id || o.Outcome != stores.OutcomeRunning:
	case outcome == "":
		delete(l.orders, key)
	default:
		o.Outcome = outcome
	}
}

// Spend reserves an amount. It fails only when the memory is full.
func (s *Store) Spend(_ context.Context, key, id string, amount, limit *decimal.Decimal, window time.Duration) (bool, error) {
	return s.table.ledger.spend(key, id, amount, limit, window)
}

// Settle keeps an amount or gives it back.
func (s *Store) Settle(_ context.Context, key, id string, giveBack bool) error {
	s.table.ledger.settle(key, id, giveBack)
	return nil
}

// Enter reserves an order. It fails only when the memory is full.
func (s *Store) Enter(_ context.Context, key, id string, keep time.Duration) (*stores.First, error) {
	return s.table.ledger.enter(key, id, keep)
}

// Leave stores an outcome or frees the order.
func (s *Store) Leave(_ context.Context, key, id, outcome string) error {
	s.table.ledger.leave(key, id, outcome)
	return nil
}

// Forgets says that nothing outlives the process.
func (*Store) Forgets(context.Context) string {
	return i18n.Sprintf("what was spent and sent is in the memory of the process: a restart forgets it, and each replica counts for itself")
}

var (
	_ stores.Ledger    = (*Store)(nil)
	_ stores.Forgetter = (*Store)(nil)
)
