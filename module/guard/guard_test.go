package guard_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/guard"
	_ "github.com/countersign/caddy-countersign/module/stores/memory"
	_ "github.com/countersign/caddy-countersign/module/stores/redis"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

func parse(lines string) (*guard.Guard, error) {
	g := new(guard.Guard)
	d := caddyfile.NewTestDispenser("x {\n" + lines + "\n}")
	d.Next()
	for d.NextBlock(0) {
		if ok, err := g.UnmarshalLine(d); err != nil || !ok {
			return g, err
		}
	}
	return g, nil
}

func load(t *testing.T, lines, profile string) *guard.Guard {
	t.Helper()
	g, err := parse(lines)
	require.NoError(t, err)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	require.NoError(t, g.Provision(ctx, profile))
	return g
}

func input(t testing.TB, text string) guard.Input {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	return guard.Input{Method: "POST", Path: "/ledger/mpos", Body: o, ID: "first"}
}

func TestRules(t *testing.T) {
	for i, test := range []struct{ lines, body, path, want string }{
		{"allow POST /ledger/mpos /x", `{}`, "", ""},
		{"allow GET /a\nallow POST /ledger/*", `{}`, "", ""},
		{"allow POST /ledger", `{}`, "", "not_allowed"},
		{"allow POST /ledger/*", `{}`, "/ledger/../admin", "not_allowed"},
		{"allow POST /ledger/*", `{}`, "/ledger/%2e%2e/admin", "not_allowed"},
		{"allow POST /ledger/*", `{}`, "/ledger//x", "not_allowed"},
		{"allow POST /ledger/*", `{}`, "/ledger/a%2Fb", "not_allowed"},
		{"allow POST /ledger/*", `{}`, "/ledger/..;/b", "not_allowed"},
		{"require a x y*", `{"a":"x"}`, "", ""},
		{"require a x y*", `{"a":"yz"}`, "", ""},
		{"require a x y*", `{"a":"xz"}`, "", "not_allowed"},
		{"require a x", `{}`, "", "not_allowed"},
		{"require a 10", `{"a":10}`, "", ""},
		{"require a true", `{"a":true}`, "", "not_allowed"},
		{"limit a 50", `{"a":50.00}`, "", ""},
		{"limit a 50", `{"a":"50.000000000000000000000000000001"}`, "", "over_limit"},
		{"limit a 50", `{"a":-1}`, "", "over_limit"},
		{"limit a 50", `{"a":1e1}`, "", "over_limit"},
		{"limit a 50", `{"a":null}`, "", "over_limit"},
		{"limit a 50", `{"a":" 1"}`, "", "over_limit"},
		{"limit a 50", `{"a":{"b":1}}`, "", "over_limit"},
		{"limit a 50", `{}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":[{"a":1},{"a":"50"}]}`, "", ""},
		{"limit l.*.a 50", `{"l":[{"a":1},{"b":"50"}]}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":[]}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":"[{\"a\":51}]"}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":"[{\"a\":50}]"}`, "", ""},
		{"limit l.*.a 50", `{"l":"[{\"a\":50,\"a\":1}]"}`, "", "over_limit"},
		{"limit l.1.a 50", `{"l":[{"a":99},{"a":1}]}`, "", ""},
		{`limit x\.y 5`, `{"x.y":5}`, "", ""},
		{"limit sum l.*.a 0.3", `{"l":[{"a":0.1},{"a":0.2}]}`, "", ""},
		{"limit sum l.*.a 0.3", `{"l":[{"a":0.1},{"a":0.2000001}]}`, "", "over_limit"},
		{"limit a 50", `{"a":1,"A":99}`, "", "over_limit"},
		{"limit amount 50", `{"AMOUNT":"99","amount":1}`, "", "over_limit"},
		{"limit k 50", `{"k":1,"K":99}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":[{"a":1,"A":99}]}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":[{"a":1}],"L":[]}`, "", "over_limit"},
		{"limit l.*.a 50", `{"l":"[{\"a\":1,\"A\":99}]"}`, "", "over_limit"},
		{"limit a 50", `{"a":1,"b":{"A":99}}`, "", ""},
		{"require a x", `{"a":"x","A":"y"}`, "", "not_allowed"},
		{"require a.b x", `{"a":{"b":"x"},"A":{"b":"y"}}`, "", "not_allowed"},
		{"budget d sum a 5 per 1h", `{"a":5,"A":99}`, "", "over_limit"},
		{"budget d sum a 5 per 1h by b", `{"a":5,"b":"m","B":"n"}`, "", "over_limit"},
		{"unique id for 1h", `{"id":"1","ID":"2"}`, "", "not_allowed"},
		{"budget d sum a 5 per 1h by b", `{"a":5}`, "", "over_limit"},
		{"budget d sum a 5 per 1h", `{"a":6}`, "", "over_budget"},
		{"budget d sum a 5 per 1h by {caller}", `{"a":5}`, "", "over_limit"},
		{"unique id for 1h", `{}`, "", "not_allowed"},
	} {
		t.Run(test.lines+" "+test.body+test.path, func(t *testing.T) {
			g := load(t, test.lines, fmt.Sprint("rules", i))
			in := input(t, test.body)
			if test.path != "" {
				in.Path = test.path
			}
			grant, refusal := g.Check(t.Context(), in)
			if test.want == "" {
				require.Nil(t, refusal)
				require.NotNil(t, grant)
				return
			}
			require.NotNil(t, refusal)
			assert.Nil(t, grant)
			assert.Equal(t, test.want, string(refusal.Reason))
			g.Report = true
			grant, refusal = g.Check(t.Context(), in)
			require.NotNil(t, grant, "report lets it pass")
			assert.NotNil(t, refusal)
		})
	}
}

func TestMistakes(t *testing.T) {
	for lines, want := range map[string]string{
		"allow":                           "method and paths",
		"allow /a /b":                     "method and paths",
		"allow PSOT /a":                   "method and paths",
		"allow POST a":                    "/ledger/*",
		"require a":                       "its values",
		"limit a 1e5":                     "plain decimal",
		"limit a -1":                      "plain decimal",
		"limit a..b 1":                    "empty name",
		"budget d sum a 5":                "as in",
		"budget d sum a 5 per soon":       "duration",
		"budget d sum a 5 per 1h nowhere": "unknown store",
		"budget d sum a 5 per 1h\nbudget d sum a 5 per 1h": "two budgets",
		"unique for 1h":     "unique takes",
		"unique a.* for 1h": "several members",
		"unique a":          "unique takes",
		"guard":             "guard report",
	} {
		_, err := parse(lines)
		require.ErrorContains(t, err, want, lines)
		assert.Contains(t, err.Error(), "Testfile:", lines)
	}
}

func stores(t *testing.T) map[string]string {
	server := redistest.Start(t)
	return map[string]string{"memory": "memory", "redis": server.URL()}
}

func TestReservations(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			g := load(t, "budget d sum a 0.3 per 1h by b "+store+"\nunique id for 1h "+store, "reservations "+name)
			require.NoError(t, g.Probe(t.Context()))
			check := func(text string) (*guard.Grant, *guard.Refusal) { return g.Check(t.Context(), input(t, text)) }
			one, refusal := check(`{"a":0.1,"b":"m","id":1}`)
			require.Nil(t, refusal)
			_, refusal = check(`{"a":0.1,"b":"m","id":1}`)
			require.NotNil(t, refusal)
			assert.Equal(t, guard.DuplicateRequest, refusal.Reason)
			assert.Equal(t, "first", refusal.FirstID)
			assert.Equal(t, "running", refusal.FirstOutcome)
			one.Done("ok")
			one.Done(guard.NotSent) // too late
			_, refusal = check(`{"a":0.1,"b":"m","id":1}`)
			require.NotNil(t, refusal)
			assert.Equal(t, "ok", refusal.FirstOutcome)
			two, refusal := check(`{"a":0.2,"b":"m","id":2}`)
			require.Nil(t, refusal, "what the duplicates reserved was given back")
			_, refusal = check(`{"a":0.1,"b":"m","id":3}`)
			require.NotNil(t, refusal)
			assert.Equal(t, guard.OverBudget, refusal.Reason)
			_, refusal = check(`{"a":0.1,"b":"n","id":3}`)
			require.Nil(t, refusal, "another member has a budget of its own")
			two.Done(guard.NotSent)
			_, refusal = check(`{"a":0.2,"b":"m","id":2}`)
			require.Nil(t, refusal, "not_sent gives both back")
		})
	}
}

// The sum of what passes never exceeds the budget, and one of many duplicates
// passes.
func TestLoad(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			replicas := []*guard.Guard{
				load(t, "budget d sum a 10 per 1h "+store, "load "+name),
				load(t, "budget d sum a 10 per 1h "+store, "load "+name),
			}
			once := load(t, "unique id for 1h "+store, "load "+name)
			var passed, sent atomic.Int64
			var all sync.WaitGroup
			for i := range 60 {
				all.Go(func() {
					in := input(t, `{"a":0.5,"id":"x"}`)
					in.ID = fmt.Sprint("request", i)
					if grant, refusal := replicas[i%2].Check(t.Context(), in); refusal == nil {
						passed.Add(1)
						grant.Done("ok")
					}
					if _, refusal := once.Check(t.Context(), in); refusal == nil {
						sent.Add(1)
					}
				})
			}
			all.Wait()
			assert.Equal(t, int64(20), passed.Load())
			assert.Equal(t, int64(1), sent.Load())
		})
	}
}

func TestStoreAway(t *testing.T) {
	server := redistest.Start(t)
	g := load(t, "unique id for 1h "+server.URL(), "away")
	server.Stop()
	_, refusal := g.Check(t.Context(), input(t, `{"id":"x"}`))
	require.NotNil(t, refusal)
	assert.Equal(t, guard.StoreUnavailable, refusal.Reason)
	require.Error(t, g.Probe(t.Context()))
}

func FuzzPath(f *testing.F) {
	f.Add("a.*.b", `{"a":[{"b":1}]}`)
	f.Fuzz(func(t *testing.T, path, text string) {
		o, err := body.Parse([]byte(text))
		if err != nil || strings.ContainsAny(path, "\n\"{} `\\") {
			return
		}
		g, err := parse("limit " + path + " 5")
		if err != nil || len(g.Rules) == 0 {
			return
		}
		_, _ = g.Check(t.Context(), guard.Input{Body: o})
	})
}
