package redis

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
	"github.com/countersign/caddy-countersign/module/stores/storetest"
)

// Two replicas share a server; each has a client of its own.
func TestLedger(t *testing.T) {
	server := redistest.Start(t)
	timeout := caddy.Duration(10 * time.Second)
	storetest.RunLedger(t, func(t *testing.T) stores.Ledger {
		timeout += caddy.Duration(time.Millisecond)
		return provisioned(t, &Store{Address: server.URL(), Timeout: timeout})
	})
}

func number(t *testing.T, text string) *decimal.Decimal {
	t.Helper()
	d, err := decimal.Parse(text)
	require.NoError(t, err)
	return d
}

// whole is whether a budget of 1 can be spent, and an order entered.
func whole(t *testing.T, s *Store, id string) (spent, entered bool) {
	t.Helper()
	spent, err := s.Spend(t.Context(), "budget", id, number(t, "1"), number(t, "1"), time.Hour)
	require.NoError(t, err)
	first, err := s.Enter(t.Context(), "order", id, time.Hour)
	require.NoError(t, err)
	return spent, first == nil
}

// A server that writes each command down before it answers has forgotten nothing
// when it is killed. One that does not has forgotten all, and says so when asked.
func TestRestart(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		forgets bool
	}{
		"append-only file": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, false},
		"memory only":      {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, test.args...)
			s := provisioned(t, &Store{Address: server.URL(), Timeout: caddy.Duration(5 * time.Second)})
			spent, entered := whole(t, s, "a")
			require.True(t, spent)
			require.True(t, entered)
			assert.Equal(t, test.forgets, s.Forgets(t.Context()) != "")
			server.Restart(t)
			require.Eventually(t, func() bool { return s.Probe(t.Context()) == nil }, 20*time.Second, 50*time.Millisecond)
			spent, entered = whole(t, s, "b")
			assert.Equal(t, test.forgets, spent)
			assert.Equal(t, test.forgets, entered)
		})
	}
}

func TestForgets(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"it evicts":          {[]string{"--appendonly", "yes", "--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"}, "maxmemory-policy"},
		"it evicts volatile": {[]string{"--appendonly", "yes", "--maxmemory", "10mb", "--maxmemory-policy", "volatile-ttl"}, "maxmemory-policy"},
		"it fails instead":   {[]string{"--appendonly", "yes", "--maxmemory", "10mb", "--maxmemory-policy", "noeviction"}, ""},
		"it may not say":     {[]string{"--appendonly", "no", "--rename-command", "INFO", ""}, "INFO"},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, test.args...)
			s := provisioned(t, &Store{Address: server.URL()})
			require.NoError(t, s.Probe(t.Context()))
			if test.want == "" {
				assert.Empty(t, s.Forgets(t.Context()))
				return
			}
			assert.Contains(t, s.Forgets(t.Context()), test.want)
		})
	}
}

// A server that is silent refuses. What it did afterwards is given back.
func TestSilentWhileSpending(t *testing.T) {
	server := redistest.Start(t)
	s := provisioned(t, &Store{Address: server.URL(), Timeout: caddy.Duration(2 * time.Second)})
	require.NoError(t, s.Probe(t.Context()))
	resume := server.Pause(t)
	time.AfterFunc(3*time.Second, resume)
	ok, err := s.Spend(t.Context(), "budget", "a", number(t, "1"), number(t, "1"), time.Hour)
	require.Error(t, err)
	assert.False(t, ok)
	require.Eventually(t, func() bool {
		ok, err := s.Spend(t.Context(), "budget", "b", number(t, "1"), number(t, "1"), time.Hour)
		return err == nil && ok
	}, 20*time.Second, 100*time.Millisecond)
}

// What is under a key and was not written by this store refuses.
func TestForeignBudget(t *testing.T) {
	server := redistest.Start(t)
	s := provisioned(t, &Store{Address: server.URL()})
	far := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	for _, value := range []any{"5", []any{far, "5"}, []any{far, "-1"}, []any{"x", "y"}} {
		require.NoError(t, s.client.Del(t.Context(), s.Prefix+"budget").Err())
		if fields, ok := value.([]any); ok {
			require.NoError(t, s.client.HSet(t.Context(), s.Prefix+"budget", fields...).Err())
		} else {
			require.NoError(t, s.client.Set(t.Context(), s.Prefix+"budget", value, 0).Err())
		}
		ok, err := s.Spend(t.Context(), "budget", "a", number(t, "1"), number(t, "1"), time.Hour)
		require.Error(t, err, "%v", value)
		assert.False(t, ok)
	}
	require.NoError(t, s.client.Set(t.Context(), s.Prefix+"order", "nonsense", 0).Err())
	_, err := s.Enter(t.Context(), "order", "a", time.Hour)
	require.ErrorContains(t, err, "has not written")
}

// A server whose rules forbid what the store needs fails when it is first asked, and
// says what the user needs.
func TestProbeUnderAccessRules(t *testing.T) {
	server := redistest.Start(t)
	admin := provisioned(t, &Store{Address: server.URL(), Timeout: caddy.Duration(5 * time.Second)})
	for user, test := range map[string]struct{ rules, err string }{
		"all":       {"~* +@all", ""},
		"least":     {"~countersign:* +eval +evalsha +get +set +del +exists +pttl +pexpire +hget +hset +hdel +hgetall +time", ""},
		"noeval":    {"~* +@all -eval -evalsha", "the user needs +eval, +evalsha"},
		"noscripts": {"~* +@all -@scripting", "the user needs +eval, +evalsha"},
		"nohashes":  {"~* +@all -hset -hget -hgetall", "hget, hset"},
		"nowrites":  {"~* +@read +eval +evalsha", "the user needs +eval, +evalsha"},
		"nokeys":    {"~other:* +@all", "keys that begin with countersign:"},
		"nobody":    {"", "correct the options username and password"},
	} {
		t.Run(user, func(t *testing.T) {
			if test.rules != "" {
				command := []any{"ACL", "SETUSER", user, "on", ">password"}
				for _, rule := range strings.Fields(test.rules) {
					command = append(command, rule)
				}
				require.NoError(t, admin.client.Do(t.Context(), command...).Err())
			}
			s := provisioned(t, &Store{Address: server.URL(), Username: user, Password: "password", Timeout: caddy.Duration(5 * time.Second)})
			err := s.Probe(t.Context())
			if test.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.err)
			assert.NotContains(t, err.Error(), "password\"")
		})
	}
}
