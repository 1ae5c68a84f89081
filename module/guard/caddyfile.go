package guard

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// Words returns the options that UnmarshalLine reads.
func Words() []string { return []string{"allow", "require", "limit", "budget", "unique", "guard"} }

// UnmarshalLine reads the option that the dispenser stands on and reports whether
// it is one of the guardrails. Syntax:
//
//	allow   <METHOD> <path>...
//	require <member> <value>...
//	limit   [sum] <member> <decimal>
//	budget  <name> sum <member> <decimal> per <duration> [by <member>...] [<store>]
//	unique  <member>... for <duration> [<store>]
//	guard   report
//
// A store is memory, redis <address> or an address such as redis://…, with the
// store's options in a block behind it. All lines allow are one rule, at the
// place of the first.
func (g *Guard) UnmarshalLine(d *caddyfile.Dispenser) (bool, error) {
	word := d.Val()
	if !slices.Contains(Words(), word) {
		return false, nil
	}
	at := directive.At(d)
	r := Rule{Line: directive.Where(d)}
	var err error
	switch word {
	case "allow":
		r.Allow, err = parseAllow(d)
	case "require":
		args := d.RemainingArgs()
		if len(args) < 2 {
			return true, d.WrapErr(i18n.Errorf("require takes a member and its values, as in: require orgId ORG000000000007 ORG00007*"))
		}
		r.Require = &Require{Member: args[0], Values: args[1:]}
		err = r.Require.provision(caddy.Context{})
	case "limit":
		r.Limit, err = parseLimit(d)
	case "budget":
		r.Budget, err = parseBudget(d)
	case "unique":
		r.Unique, err = parseUnique(d)
	case "guard":
		if args := d.RemainingArgs(); len(args) != 1 || args[0] != "report" {
			return true, d.WrapErr(i18n.Errorf("guard takes one word: guard report"))
		}
		g.Report = true
		return true, nil
	}
	if err != nil {
		if !strings.Contains(err.Error(), d.File()+":") {
			err = at(err)
		}
		return true, err
	}
	return true, g.add(r, at)
}

func (g *Guard) add(r Rule, at func(error) error) error {
	for i := range g.Rules {
		switch other := &g.Rules[i]; {
		case r.Allow != nil && other.Allow != nil:
			other.Allow = append(other.Allow, r.Allow...)
			return nil
		case r.Budget != nil && other.Budget != nil && r.Budget.Name == other.Budget.Name:
			return at(i18n.Errorf("there are two budgets called %s; give each a name of its own", r.Budget.Name))
		}
	}
	g.Rules = append(g.Rules, r)
	return nil
}

func parseAllow(d *caddyfile.Dispenser) (Allow, error) {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, d.WrapErr(i18n.Errorf("allow takes a method and paths, as in: allow POST /ledger/mpos /ledger/find*"))
	}
	a := Allow{{Method: args[0], Paths: args[1:]}}
	return a, a.provision(caddy.Context{})
}

func parseLimit(d *caddyfile.Dispenser) (*Limit, error) {
	args := d.RemainingArgs()
	l := new(Limit)
	if len(args) == 3 && args[0] == "sum" {
		l.Sum, args = true, args[1:]
	}
	if len(args) != 2 {
		return nil, d.WrapErr(i18n.Errorf("limit takes a member and a decimal, as in: limit amount 50000, or: limit sum list.*.amount 200000"))
	}
	l.Member, l.Max = args[0], args[1]
	return l, l.provision(caddy.Context{})
}

func parseBudget(d *caddyfile.Dispenser) (*Budget, error) {
	b := new(Budget)
	var sum, per, duration string
	if !d.Args(&b.Name, &sum, &b.Member, &b.Max, &per, &duration) || sum != "sum" || per != "per" {
		return nil, d.WrapErr(i18n.Errorf("budget takes a name, a sum and a window, as in: budget daily sum amount 1000000 per 24h by orgMercode"))
	}
	var err error
	if b.Per, err = directive.ParseDuration(duration); err != nil {
		return nil, d.WrapErr(i18n.Errorf("budget: per takes a duration such as 24h, not %q", duration))
	}
	if !d.NextArg() {
		return b, b.validate()
	}
	if d.Val() == "by" {
		for d.NextArg() {
			if len(b.By) > 0 && stores.IsCaddyfile(d.Val()) {
				b.StoreRaw, err = stores.UnmarshalCaddyfile(d)
				return b, firstOf(err, b)
			}
			b.By = append(b.By, d.Val())
		}
		if len(b.By) == 0 {
			return nil, d.WrapErr(i18n.Errorf("by takes members, as in: by orgMercode {caller}"))
		}
		return b, b.validate()
	}
	b.StoreRaw, err = stores.UnmarshalCaddyfile(d)
	return b, firstOf(err, b)
}

func parseUnique(d *caddyfile.Dispenser) (*Unique, error) {
	u := new(Unique)
	for d.NextArg() && (d.Val() != "for" || len(u.Members) == 0) {
		u.Members = append(u.Members, d.Val())
	}
	var duration string
	if len(u.Members) == 0 || d.Val() != "for" || !d.Args(&duration) {
		return nil, d.WrapErr(i18n.Errorf("unique takes members and a duration, as in: unique orgTrace for 24h"))
	}
	var err error
	if u.For, err = directive.ParseDuration(duration); err != nil {
		return nil, d.WrapErr(i18n.Errorf("unique: for takes a duration such as 24h, not %q", duration))
	}
	if d.NextArg() {
		if u.StoreRaw, err = stores.UnmarshalCaddyfile(d); err != nil {
			return nil, err
		}
	}
	return u, u.validate()
}

func firstOf(err error, b *Budget) error {
	if err != nil {
		return err
	}
	return b.validate()
}
