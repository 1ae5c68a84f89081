package guard

import (
	"context"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Allow lists the methods and paths that pass: a request must match one of the entries.
type Allow []AllowEntry

// AllowEntry is a method and its paths.
type AllowEntry struct {
	// The method, in capital letters. Required.
	Method string `json:"method"`

	// The paths as they are sent to the provider, escaped. A trailing * matches any
	// rest. Required.
	Paths []string `json:"paths"`
}

func (Allow) word() string { return "allow" }

// methods are those with which a recipe can send something.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

func (a Allow) provision(caddy.Context) error {
	for _, e := range a {
		if !slices.Contains(methods, e.Method) || len(e.Paths) == 0 {
			return i18n.Errorf("allow takes a method and paths, as in: allow POST /ledger/mpos /ledger/find*")
		}
		for _, path := range e.Paths {
			if prefix, _ := strings.CutSuffix(path, "*"); !strings.HasPrefix(path, "/") || strings.Contains(prefix, "*") {
				return i18n.Errorf("allow takes paths such as /ledger/mpos or /ledger/*, not %q", path)
			}
		}
	}
	return nil
}

func (a Allow) check(_ context.Context, _ *Guard, in *Input) (hold, *Refusal) {
	if in.Cleaned || unclean(in.Path) {
		return nil, &Refusal{Reason: NotAllowed, Detail: i18n.T("the path is not in its clean form; write it without dots, doubled or escaped slashes")}
	}
	for _, e := range a {
		if e.Method == in.Method && slices.ContainsFunc(e.Paths, func(p string) bool { return fits(p, in.Path) }) {
			return nil, nil
		}
	}
	return nil, &Refusal{Reason: NotAllowed, Detail: i18n.T("allow does not name this method and path")}
}

// fits reports whether text matches a pattern, whose trailing * matches any rest.
func fits(pattern, text string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == text
}

// Require lists the values that a member may have.
type Require struct {
	// The path of the member. With * every value that matches is checked. Required.
	Member string `json:"member"`

	// The values, compared as strings. A number is compared by its token. A trailing *
	// matches any rest. Required.
	Values []string `json:"values"`

	path body.Path
}

func (*Require) word() string { return "require" }

func (r *Require) provision(caddy.Context) (err error) {
	if len(r.Values) == 0 {
		return i18n.Errorf("require takes a member and its values, as in: require orgId ORG000000000007 ORG00007*")
	}
	r.path, err = body.ParsePath(r.Member)
	return err
}

func (r *Require) check(_ context.Context, _ *Guard, in *Input) (hold, *Refusal) {
	ok := each(in.Body, r.path, func(m body.Member, found bool) bool {
		if !found || m.Kind() != body.String && m.Kind() != body.Number {
			return false
		}
		text := string(m.Text())
		return slices.ContainsFunc(r.Values, func(v string) bool { return fits(v, text) })
	})
	if !ok {
		return nil, &Refusal{Reason: NotAllowed, Detail: i18n.T("the member %s is missing, occurs twice with other letter case, or has a value that require does not name", r.Member)}
	}
	return nil, nil
}

// Limit sets the largest amount that passes.
type Limit struct {
	// The path of the amount. With * every amount that matches is checked. Required.
	Member string `json:"member"`

	// Whether the sum of the amounts is compared, and not each of them. Default:
	// false.
	Sum bool `json:"sum,omitempty"`

	// The largest amount that passes, a plain decimal. Required.
	Max string `json:"max"`

	path body.Path
	max  *decimal.Decimal
}

func (*Limit) word() string { return "limit" }

func (l *Limit) provision(caddy.Context) (err error) {
	if l.path, err = body.ParsePath(l.Member); err != nil {
		return err
	}
	if l.max, err = decimal.Parse(l.Max); err != nil {
		return i18n.Errorf("limit %s takes a plain decimal such as 50000 or 0.01: %w", l.Member, err)
	}
	return nil
}

func (l *Limit) check(_ context.Context, _ *Guard, in *Input) (hold, *Refusal) {
	sum := new(decimal.Decimal)
	over := false
	ok := each(in.Body, l.path, func(m body.Member, found bool) bool {
		amount, ok := amountOf(m, found)
		if !ok {
			return false
		}
		if l.Sum {
			sum.Add(amount)
			amount = sum
		}
		over = amount.Cmp(l.max) > 0
		return !over
	})
	switch {
	case over:
		return nil, &Refusal{Reason: OverLimit, Detail: i18n.T("the member %s is over its limit", l.Member)}
	case !ok:
		return nil, noAmount(l.Member)
	}
	return nil, nil
}

func noAmount(member string) *Refusal {
	return &Refusal{Reason: OverLimit, Detail: i18n.T("the member %s is missing, occurs twice with other letter case, or is no plain decimal such as 12.50, of 30 digits before and behind the point at most", member)}
}
