package redis

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// A budget is a hash: a field for each part of its window, named by the end of
// the part in Unix milliseconds, with the amount that was reserved in it. Beside
// it a key for each reservation that is not settled holds its field and amount,
// so that a call that the client repeats counts once. All times are the server's.
//
// Amounts have 70 digits. Lua's numbers are exact up to 2^53, so that they are
// added in five limbs of 14 digits.
const limbs = `
local function parse(s)
	if #s ~= 70 then error("not an amount") end
	local t = {}
	for i = 1, 5 do t[i] = tonumber(string.sub(s, 14*i-13, 14*i), 10) end
	return t
end
local function text(t)
	local s = {}
	for i = 1, 5 do s[i] = string.format("%014.0f", t[i]) end
	return table.concat(s)
end
local function add(a, b, sign)
	local carry = 0
	for i = 5, 1, -1 do
		local n = a[i] + sign*b[i] + carry
		carry = 0
		if n >= 1e14 then n = n - 1e14; carry = 1 end
		if n < 0 then n = n + 1e14; carry = -1 end
		a[i] = n
	end
	return carry
end
local function greater(a, b)
	for i = 1, 5 do
		if a[i] ~= b[i] then return a[i] > b[i] end
	end
	return false
end
`

// spend: KEYS budget, reservation; ARGV amount, limit, window in ms, parts.
var spend = redis.NewScript(limbs + `
if redis.call("EXISTS", KEYS[2]) == 1 then return 1 end
local time = redis.call("TIME")
local now = tonumber(time[1])*1000 + math.floor(tonumber(time[2])/1000)
local window = tonumber(ARGV[3])
local width = math.ceil(window/tonumber(ARGV[4]))
local total = parse(ARGV[1])
local all = redis.call("HGETALL", KEYS[1])
for i = 1, #all, 2 do
	if tonumber(all[i]) + window <= now then
		redis.call("HDEL", KEYS[1], all[i])
	else
		add(total, parse(all[i+1]), 1)
	end
end
if greater(total, parse(ARGV[2])) then return 0 end
local field = string.format("%.0f", (math.floor(now/width) + 1)*width)
local sum = parse(ARGV[1])
local before = redis.call("HGET", KEYS[1], field)
if before then add(sum, parse(before), 1) end
redis.call("HSET", KEYS[1], field, text(sum))
local ttl = window + 2*width
redis.call("PEXPIRE", KEYS[1], math.max(ttl, redis.call("PTTL", KEYS[1])))
redis.call("SET", KEYS[2], field .. " " .. ARGV[1], "PX", ttl)
return 1`)

// settle: KEYS budget, reservation; ARGV 1 to give back.
var settle = redis.NewScript(limbs + `
local mark = redis.call("GET", KEYS[2])
if not mark then return 0 end
redis.call("DEL", KEYS[2])
if ARGV[1] ~= "1" then return 1 end
local field, amount = string.match(mark, "^(%d+) (%d+)$")
local sum = redis.call("HGET", KEYS[1], field)
if not sum then return 1 end
sum = parse(sum)
if add(sum, parse(amount), -1) < 0 then return 1 end
redis.call("HSET", KEYS[1], field, text(sum))
return 1`)

// enter: KEYS order; ARGV id, time to live in ms, outcome. It returns "" or the
// first one's "outcome id".
var enter = redis.NewScript(`
local first = redis.call("GET", KEYS[1])
if not first then
	redis.call("SET", KEYS[1], ARGV[3] .. " " .. ARGV[1], "PX", ARGV[2])
	return ""
end
if first == ARGV[3] .. " " .. ARGV[1] then return "" end
return first`)

// leave: KEYS order; ARGV "running id", outcome or "", id.
var leave = redis.NewScript(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == "" then return redis.call("DEL", KEYS[1]) end
redis.call("SET", KEYS[1], ARGV[2] .. " " .. ARGV[3], "PX", math.max(1, redis.call("PTTL", KEYS[1])))
return 1`)

// run runs a script on keys, within the timeout.
func (s *Store) run(ctx context.Context, script *redis.Script, what i18n.Text, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	result := script.Run(ctx, s.client, keys, args...)
	if err := result.Err(); err != nil {
		result.SetErr(s.failed(what, err))
	}
	return result
}

func (s *Store) budgetKeys(key, id string) []string {
	return []string{s.Prefix + key, s.Prefix + key + ":" + id}
}

// Spend reserves an amount in one round trip.
func (s *Store) Spend(ctx context.Context, key, id string, amount, limit *decimal.Decimal, window time.Duration) (bool, error) {
	if amount.Cmp(limit) > 0 {
		return false, nil // also what has too many digits for the script
	}
	s.client.hold() // until it is settled
	n, err := s.run(ctx, spend, i18n.T("reserving a budget"), s.budgetKeys(key, id),
		amount.Fixed(), limit.Fixed(), window.Milliseconds(), stores.WindowParts).Int()
	switch {
	case err != nil:
		go func() { _ = s.Settle(context.WithoutCancel(ctx), key, id, true) }()
	case n != 1:
		s.client.letGo()
	}
	return err == nil && n == 1, err
}

// Settle keeps an amount or gives it back.
func (s *Store) Settle(ctx context.Context, key, id string, giveBack bool) error {
	defer s.client.letGo()
	flag := "0"
	if giveBack {
		flag = "1"
	}
	return s.run(ctx, settle, i18n.T("settling a budget"), s.budgetKeys(key, id), flag).Err()
}

// Enter reserves an order in one round trip.
func (s *Store) Enter(ctx context.Context, key, id string, keep time.Duration) (*stores.First, error) {
	s.client.hold() // until it leaves
	value, err := s.run(ctx, enter, i18n.T("reserving an order"), []string{s.Prefix + key}, id, keep.Milliseconds(), stores.OutcomeRunning).Text()
	switch {
	case err != nil:
		go func() { _ = s.Leave(context.WithoutCancel(ctx), key, id, "") }()
		return nil, err
	case value == "":
		return nil, nil
	}
	s.client.letGo()
	outcome, first, ok := strings.Cut(value, " ")
	if !ok {
		return nil, i18n.Errorf("redis holds something under the key of an order that this store has not written; give it a prefix or a database of its own")
	}
	return &stores.First{ID: first, Outcome: outcome}, nil
}

// Leave stores an outcome or frees the order.
func (s *Store) Leave(ctx context.Context, key, id, outcome string) error {
	defer s.client.letGo()
	return s.run(ctx, leave, i18n.T("ending an order"), []string{s.Prefix + key}, stores.OutcomeRunning+" "+id, outcome, id).Err()
}

// Probe checks that the server allows what a Ledger needs: scripts, and the commands in
// them. So a server whose access rules forbid EVAL fails at start, and not at the first
// payment.
func (s *Store) Probe(ctx context.Context) error {
	err := s.probe(ctx)
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "WRONGPASS"), strings.Contains(err.Error(), "NOAUTH"):
		return i18n.Errorf("%w; correct the options username and password", err)
	case strings.Contains(err.Error(), "it answers"):
		return i18n.Errorf("%w; the user needs +eval, +evalsha, the commands get, set, del, exists, pttl, pexpire, hget, hset, hdel, hgetall and time, and keys that begin with %s", err, s.Prefix)
	}
	return err
}

func (s *Store) probe(ctx context.Context) error {
	key, one := "probe", new(decimal.Decimal)
	if _, err := s.Enter(ctx, key+":order", key, time.Second); err != nil {
		return err
	}
	if err := s.Leave(ctx, key+":order", key, ""); err != nil {
		return err
	}
	if _, err := s.Spend(ctx, key+":budget", key, one, one, time.Second); err != nil {
		return err
	}
	return s.Settle(ctx, key+":budget", key, true)
}

// Remote reports whether the server is on another machine.
func (s *Store) Remote() bool {
	o := s.client.Options()
	return o.Network != "unix" && !local(o.Addr)
}

// Forgets returns a warning if, according to INFO, the server loses keys at a restart
// or when its memory is full, or "".
func (s *Store) Forgets(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	info, err := s.client.Info(ctx).Result()
	if err != nil {
		return i18n.Sprintf("the server does not answer INFO, so that it is not known whether it keeps an append-only file and evicts nothing")
	}
	setting := func(name string) string {
		_, rest, _ := strings.Cut(info, "\n"+name+":")
		value, _, _ := strings.Cut(rest, "\r")
		return value
	}
	switch {
	case setting("aof_enabled") != "1":
		return i18n.Sprintf("the server keeps no append-only file (appendonly no): after a restart it has forgotten what was spent and sent")
	case setting("maxmemory") != "0" && setting("maxmemory_policy") != "noeviction":
		return i18n.Sprintf("the server forgets when its memory is full (maxmemory-policy %s): it must be noeviction", setting("maxmemory_policy"))
	}
	return ""
}

var (
	_ stores.Ledger    = (*Store)(nil)
	_ stores.Prober    = (*Store)(nil)
	_ stores.Remote    = (*Store)(nil)
	_ stores.Forgetter = (*Store)(nil)
)
