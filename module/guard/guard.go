// Package guard decides what may be signed, before a key is used: which paths,
// for whom, how much, and no order twice. It reads the message as the application
// sent it, so that what a scheme encrypts or wraps is seen in plain.
//
// Rules are decided in the order of the lines. A rule refuses what it cannot decide: a
// missing member, an amount that is not a plain decimal, a store that does not answer.
//
// A budget is a sliding window, counted in 64 parts: an amount counts for at least the
// window, and for at most a 32nd of it longer. So no window of that length, wherever it
// begins, has more than the sum.
package guard

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// Guard is the guardrails of one handler.
type Guard struct {
	// The rules, decided in their order. Default: none, everything passes.
	Rules []Rule `json:"rules,omitempty"`

	// Lets everything pass and logs what would have been refused. Default: false.
	Report bool `json:"report,omitempty"`

	profile string
	logger  *zap.Logger
}

// Rule is one rule. Exactly one of its members allow, require, limit, budget and
// unique is set.
type Rule struct {
	// The methods and paths that pass. Default: no rule of this kind.
	Allow Allow `json:"allow,omitempty"`

	// The values that a member may have. Default: no rule of this kind.
	Require *Require `json:"require,omitempty"`

	// The largest amount that passes. Default: no rule of this kind.
	Limit *Limit `json:"limit,omitempty"`

	// The largest sum of amounts in a sliding window. Default: no rule of this kind.
	Budget *Budget `json:"budget,omitempty"`

	// The members that identify an order; each order passes once. Default: no rule of
	// this kind.
	Unique *Unique `json:"unique,omitempty"`

	// The place of the rule in the Caddyfile, as file:line, for errors. Default: none.
	Line string `json:"line,omitempty"`
}

// Input is the request that the rules decide on.
type Input struct {
	Method  string
	Path    string       // as it will leave, escaped, without the query
	Cleaned bool         // whether cleaning changes the path, or has changed it
	Body    *body.Object // as the application sent it
	Caller  string       // the authenticated caller; empty: unknown
	ID      string       // of the exchange, which first_id names later
}

// Reason is why a rule refuses: the reason of the problem that the client gets.
type Reason string

// The reasons.
const (
	NotAllowed       Reason = "not_allowed"
	OverLimit        Reason = "over_limit"
	OverBudget       Reason = "over_budget"
	DuplicateRequest Reason = "duplicate_request"
	StoreUnavailable Reason = "store_unavailable"
)

// Refusal is the refusal of a request by a rule. It holds no value of the message.
type Refusal struct {
	Reason       Reason
	Rule         string // allow, require, limit, budget or unique
	Line         string // file:line of the rule, if known
	Detail       i18n.Text
	FirstID      string // of the first request, with DuplicateRequest
	FirstOutcome string // running, or what Done was given
	Err          error  // of the store, with StoreUnavailable
}

// NotSent is the outcome with which Done gives a reservation back.
const NotSent = "not_sent"

// Grant holds what the rules have reserved for a request that passes.
type Grant struct {
	// Refusals are the refusals that were only logged because of Report, in the order
	// of the rules.
	Refusals []*Refusal

	guard *Guard
	holds []hold
	done  atomic.Bool
}

// hold ends one reservation.
type hold func(ctx context.Context, outcome string) error

// rule is the kind of a Rule.
type rule interface {
	word() string
	provision(ctx caddy.Context) error
	check(ctx context.Context, g *Guard, in *Input) (hold, *Refusal)
}

func (r *Rule) rule() (rule, error) {
	var found []rule
	if len(r.Allow) > 0 {
		found = append(found, r.Allow)
	}
	if r.Require != nil {
		found = append(found, r.Require)
	}
	if r.Limit != nil {
		found = append(found, r.Limit)
	}
	if r.Budget != nil {
		found = append(found, r.Budget)
	}
	if r.Unique != nil {
		found = append(found, r.Unique)
	}
	if len(found) != 1 {
		return nil, i18n.Errorf("a rule has exactly one of allow, require, limit, budget and unique")
	}
	return found[0], nil
}

// Provision prepares the rules and loads their stores, without using the
// network. The profile is the handler's name in logs and metrics; budgets and
// orders of one profile are counted together.
func (g *Guard) Provision(ctx caddy.Context, profile string) error {
	g.profile, g.logger = profile, ctx.Logger()
	names := make(map[string]bool)
	for i := range g.Rules {
		r, err := g.Rules[i].rule()
		if err == nil {
			err = r.provision(ctx)
		}
		if b := g.Rules[i].Budget; err == nil && b != nil {
			if names[b.Name] {
				err = i18n.Errorf("there are two budgets called %s; give each a name of its own", b.Name)
			}
			names[b.Name] = true
		}
		if err != nil {
			return g.Rules[i].at(err)
		}
		telemetry.GuardRule(profile, r.word())
	}
	return nil
}

func (r *Rule) at(err error) error {
	if r.Line == "" {
		return i18n.Errorf("guardrails: %w", err)
	}
	return i18n.Errorf("guardrails: %w, at %s", err, r.Line)
}

// Cleanup releases nothing: Caddy cleans up the stores, which are modules.
func (*Guard) Cleanup() error { return nil }

// StoreUse is a rule with the store that it uses.
type StoreUse struct {
	Rule  string // such as "budget daily" or "unique"
	Line  string // file:line of the rule, if known
	Store stores.Ledger
}

// Stores returns the rules that use a store, with their stores.
func (g *Guard) Stores() []StoreUse {
	var uses []StoreUse
	for _, r := range g.Rules {
		switch {
		case r.Budget != nil:
			uses = append(uses, StoreUse{"budget " + r.Budget.Name, r.Line, r.Budget.ledger})
		case r.Unique != nil:
			uses = append(uses, StoreUse{"unique", r.Line, r.Unique.ledger})
		}
	}
	return uses
}

// Probe checks that the stores can do what the rules need. It uses the network.
func (g *Guard) Probe(ctx context.Context) error {
	var all []error
	for _, use := range g.Stores() {
		if p, ok := use.Store.(stores.Prober); ok {
			if err := p.Probe(ctx); err != nil {
				all = append(all, i18n.Errorf("%s: %w", use.Rule, err))
			}
		}
	}
	return errors.Join(all...)
}

// Members returns the paths of the amounts that limit and budget read. Each must be
// signed by the scheme.
func (g *Guard) Members() []string {
	var members []string
	for _, r := range g.Rules {
		switch {
		case r.Limit != nil:
			members = append(members, r.Limit.Member)
		case r.Budget != nil:
			members = append(members, r.Budget.Member)
		}
	}
	return members
}

// Check decides whether a request may be signed. Without a refusal the grant is set,
// and the caller must call its Done when the outcome is known. With Report both may be
// set: the request passes, the refusal is the one that would have stopped it, and the
// grant has all refusals for the log.
func (g *Guard) Check(ctx context.Context, in Input) (*Grant, *Refusal) {
	grant := &Grant{guard: g}
	if in.ID == "" {
		in.ID = rand.Text()
	}
	for i := range g.Rules {
		r, err := g.Rules[i].rule()
		if err != nil { // Provision has refused it
			return nil, &Refusal{Reason: NotAllowed, Detail: i18n.Of(err)}
		}
		hold, refusal := r.check(context.WithoutCancel(ctx), g, &in)
		if hold != nil {
			grant.holds = append(grant.holds, hold)
		}
		if refusal == nil {
			continue
		}
		refusal.Rule, refusal.Line = r.word(), g.Rules[i].Line
		if !g.Report {
			grant.Done(NotSent)
			telemetry.GuardRefused(g.profile, refusal.Rule)
			return nil, refusal
		}
		grant.Refusals = append(grant.Refusals, refusal)
	}
	if len(grant.Refusals) > 0 {
		return grant, grant.Refusals[0]
	}
	return grant, nil
}

// Done ends the reservations. The outcome not_sent gives budgets back and frees
// the order; every other one keeps them, and first_outcome names it later. Only
// the first call counts. A process that dies before it keeps the reservations.
//
// It calls the stores, which take at most their timeout. A reservation that cannot be
// ended is logged and stays until it expires.
func (gr *Grant) Done(outcome string) {
	if gr == nil || gr.done.Swap(true) {
		return
	}
	for _, end := range gr.holds {
		if err := end(context.Background(), outcome); err != nil && gr.guard.logger != nil {
			gr.guard.logger.Error("a reservation stays until it expires", zap.String("profile", gr.guard.profile), zap.Error(err))
		}
	}
}

// reservation makes an id for one reservation of an exchange.
func reservation() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}
