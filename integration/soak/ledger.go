package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// ledger is what was reported to the clients and what reached the providers, by the
// id of the order.
type ledger struct {
	mu     sync.Mutex
	orders map[string]*order
}

// order is one request.
type order struct {
	scheme    string
	reported  string // to the client: "ok", "not_sent/<reason>", "unknown/<reason>", ..., or "hung up"
	arrived   int    // how often its request line reached a provider
	delivered int    // how often it reached a provider whole
	refused   string // why the provider did not take its seal, or ""
}

func newLedger() *ledger { return &ledger{orders: make(map[string]*order)} }

func (l *ledger) of(id string) *order {
	o, ok := l.orders[id]
	if !ok {
		o = new(order)
		l.orders[id] = o
	}
	return o
}

func (l *ledger) report(id, scheme, reported string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.of(id)
	o.scheme, o.reported = scheme, reported
}

func (l *ledger) arrive(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(id).arrived++
}

func (l *ledger) deliver(id, refused string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.of(id)
	o.delivered++
	if refused != "" {
		o.refused = refused
	}
}

// print counts what was reported to the clients, and how much of it had arrived.
func (l *ledger) print(out io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	type count struct{ all, delivered int }
	counts := make(map[string]count)
	for _, o := range l.orders {
		c := counts[o.reported]
		c.all++
		c.delivered += o.delivered
		counts[o.reported] = c
	}
	_, _ = fmt.Fprintf(out, "%d orders:\n", len(l.orders))
	for _, reported := range slices.Sorted(maps.Keys(counts)) {
		_, _ = fmt.Fprintf(out, "  %-42s %7d, of which %d reached a provider whole\n", reported, counts[reported].all, counts[reported].delivered)
	}
}

// judge compares the two sides.
func (l *ledger) judge(before, after vitals) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wrong []error
	complain := func(format string, args ...any) {
		if len(wrong) < 20 {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	oks := 0
	for id, o := range l.orders {
		switch {
		case o.reported == "":
			complain("order %s reached a provider and no client knows of it", id)
		case o.refused != "":
			complain("order %s (%s, %s) was sealed wrongly: %s", id, o.scheme, o.reported, o.refused)
		case o.arrived > 1:
			complain("order %s (%s, %s) reached a provider %d times", id, o.scheme, o.reported, o.arrived)
		case outcomeOf(o.reported) == "not_sent" && o.arrived > 0:
			complain("order %s (%s) was reported as %s and had been sent", id, o.scheme, o.reported)
		case outcomeOf(o.reported) == "ok" && o.delivered != 1:
			complain("order %s (%s) was reported as ok and was delivered %d times", id, o.scheme, o.delivered)
		case !slices.Contains([]string{"ok", "not_sent", "unknown", "unverified", "hung up"}, outcomeOf(o.reported)):
			complain("order %s (%s) was reported as %q", id, o.scheme, o.reported)
		}
		if o.reported == "ok" {
			oks++
		}
	}
	if oks == 0 {
		complain("no order was carried out at all")
	}
	if err := after.comparedTo(before); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) == 0 {
		fmt.Println("the ledgers agree")
	}
	return errors.Join(wrong...)
}
