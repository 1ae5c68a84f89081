package guard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// Caller stands among the members of by for the authenticated caller.
const Caller = "{caller}"

// Budget limits the sum of the amounts in a sliding window. An amount is reserved
// before its request is sealed.
type Budget struct {
	// The name under which the amounts of the profile are counted. Required.
	Name string `json:"name"`

	// The path of the amounts, whose sum is counted. Required.
	Member string `json:"member"`

	// The largest sum in any window, a plain decimal such as "200000" or "0.50".
	// Required.
	Max string `json:"max"`

	// The length of the window, at least a second. Required.
	Per caddy.Duration `json:"per"`

	// The members, or {caller}, for each of whose values amounts are counted
	// separately. Values that differ only in case, width or white space at the ends are
	// one. Default: all together.
	By []string `json:"by,omitempty"`

	// The store. Default: memory, which serves one replica.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=countersign.stores inline_key=name"`

	path   body.Path
	by     []body.Path
	max    *decimal.Decimal
	ledger stores.Ledger
}

func (*Budget) word() string { return "budget" }

func (b *Budget) provision(ctx caddy.Context) (err error) {
	if err := b.validate(); err != nil {
		return err
	}
	b.ledger, err = loadLedger(ctx, b, &b.StoreRaw)
	return err
}

func (b *Budget) validate() (err error) {
	if b.Name == "" {
		return i18n.Errorf("a budget needs a name, as in: budget daily sum amount 1000000 per 24h")
	}
	if time.Duration(b.Per) < time.Second {
		return i18n.Errorf("budget %s: per takes a duration of a second or more, such as 24h", b.Name)
	}
	if b.path, err = body.ParsePath(b.Member); err != nil {
		return err
	}
	if b.max, err = decimal.Parse(b.Max); err != nil {
		return i18n.Errorf("budget %s takes a plain decimal such as 1000000: %w", b.Name, err)
	}
	if b.by, err = identity(b.By); err != nil {
		return i18n.Errorf("budget %s: %w", b.Name, err)
	}
	return nil
}

func (b *Budget) check(ctx context.Context, g *Guard, in *Input) (hold, *Refusal) {
	sum := new(decimal.Decimal)
	over := false
	ok := each(in.Body, b.path, func(m body.Member, found bool) bool {
		amount, ok := amountOf(m, found)
		if !ok {
			return false
		}
		sum.Add(amount)
		over = sum.Cmp(b.max) > 0
		return !over
	})
	if !ok && !over {
		return nil, noAmount(b.Member)
	}
	key, missing := reservationKey(g.profile, "budget:"+b.Name, b.By, b.by, in, sameValue)
	if missing != "" {
		return nil, &Refusal{Reason: OverLimit, Detail: i18n.T("budget %s counts by %s, which is missing, twice there in other letters, or neither string nor number", b.Name, missing)}
	}
	refusal := &Refusal{Reason: OverBudget, Detail: i18n.T("budget %s does not have that much left", b.Name)}
	if over {
		return nil, refusal
	}
	id := reservation()
	switch spent, err := b.ledger.Spend(ctx, key, id, sum, b.max, time.Duration(b.Per)); {
	case err != nil:
		return nil, storeAway("budget "+b.Name, err)
	case !spent:
		return nil, refusal
	}
	return func(ctx context.Context, outcome string) error {
		return b.ledger.Settle(ctx, key, id, outcome == NotSent)
	}, nil
}

// Unique refuses an order that was sent before, within a time.
type Unique struct {
	// The members whose values together identify the order. White space at the ends of
	// a value is ignored. Required.
	Members []string `json:"members"`

	// How long an order is remembered, at least a second. Required.
	For caddy.Duration `json:"for"`

	// The store. Default: memory, which serves one replica.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=countersign.stores inline_key=name"`

	paths  []body.Path
	ledger stores.Ledger
}

func (*Unique) word() string { return "unique" }

func (u *Unique) provision(ctx caddy.Context) (err error) {
	if err := u.validate(); err != nil {
		return err
	}
	u.ledger, err = loadLedger(ctx, u, &u.StoreRaw)
	return err
}

func (u *Unique) validate() (err error) {
	if len(u.Members) == 0 || time.Duration(u.For) < time.Second {
		return i18n.Errorf("unique takes members and a duration of a second or more, as in: unique orgTrace for 24h")
	}
	if u.paths, err = identity(u.Members); err != nil {
		return i18n.Errorf("unique: %w", err)
	}
	return nil
}

// outcomeForm and idForm match an outcome and an exchange's id that may be stored, of at
// most maxOutcome and maxID bytes: codes, and not values. The lengths are not in the
// patterns, which would take milliseconds to compile at each start.
var (
	outcomeForm = regexp.MustCompile(`^[a-z0-9_]+$`)
	idForm      = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)
)

const (
	maxOutcome = 64
	maxID      = 128
)

func (u *Unique) check(ctx context.Context, g *Guard, in *Input) (hold, *Refusal) {
	key, missing := reservationKey(g.profile, "unique", u.Members, u.paths, in, sameEnds)
	if missing != "" {
		return nil, &Refusal{Reason: NotAllowed, Detail: i18n.T("unique needs %s, which is missing, twice there in other letters, or neither string nor number", missing)}
	}
	// Two exchanges with one id are still two: the store takes the same id for
	// the same call.
	id := reservation()
	if len(in.ID) <= maxID && idForm.MatchString(in.ID) {
		id = in.ID + "/" + id
	}
	switch first, err := u.ledger.Enter(ctx, key, id, time.Duration(u.For)); {
	case err != nil:
		return nil, storeAway("unique", err)
	case first != nil:
		firstID, _, _ := strings.Cut(first.ID, "/")
		return nil, &Refusal{
			Reason: DuplicateRequest, FirstID: firstID, FirstOutcome: first.Outcome,
			Detail: i18n.T("the same order was there before; first_id and first_outcome say what became of it"),
		}
	}
	return func(ctx context.Context, outcome string) error {
		switch {
		case outcome == NotSent:
			outcome = ""
		case len(outcome) > maxOutcome || !outcomeForm.MatchString(outcome):
			outcome = "unknown"
		}
		return u.ledger.Leave(ctx, key, id, outcome)
	}, nil
}

func storeAway(rule string, err error) *Refusal {
	return &Refusal{Reason: StoreUnavailable, Detail: i18n.T("the store of %s does not answer; the log says why", rule), Err: err}
}

// identity reads members whose values name something together.
func identity(members []string) ([]body.Path, error) {
	paths := make([]body.Path, len(members))
	for i, member := range members {
		if member == Caller {
			continue
		}
		path, err := body.ParsePath(member)
		if err != nil {
			return nil, err
		}
		if path.HasAny() {
			return nil, i18n.Errorf("%s stands for several members; name one, as in list.0.id", member)
		}
		paths[i] = path
	}
	return paths, nil
}

// reservationKey names a reservation by profile, rule and the digest of the
// members and their values, each in the form that same makes of it. It returns the
// member that is missing, if one is.
func reservationKey(profile, rule string, members []string, paths []body.Path, in *Input, same func(string) string) (key, missing string) {
	digest := sha256.New()
	add := func(text string) {
		_ = binary.Write(digest, binary.BigEndian, uint64(len(text))) // a digest never fails
		digest.Write([]byte(text))
	}
	for i, member := range members {
		value := in.Caller
		if paths[i] != nil {
			value = ""
			each(in.Body, paths[i], func(m body.Member, found bool) bool {
				if found && (m.Kind() == body.String || m.Kind() == body.Number) {
					value = same(string(m.Text()))
				}
				return true
			})
		}
		if value == "" {
			return "", member
		}
		add(member)
		add(value)
	}
	return "guard:" + url.QueryEscape(profile) + ":" + url.QueryEscape(rule) + ":" + hex.EncodeToString(digest.Sum(nil)), ""
}

func loadLedger(ctx caddy.Context, owner any, raw *json.RawMessage) (stores.Ledger, error) {
	if len(*raw) == 0 {
		*raw = json.RawMessage(`{"name":"memory"}`)
	}
	loaded, err := ctx.LoadModule(owner, "StoreRaw")
	if err != nil {
		return nil, i18n.Errorf("setting up the store: %w", err)
	}
	ledger, ok := loaded.(stores.Ledger)
	if !ok {
		return nil, i18n.Errorf("the store %T keeps no budgets and orders; use memory or redis", loaded)
	}
	return ledger, nil
}
