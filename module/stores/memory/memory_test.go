package memory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/guard/decimal"
	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/stores/storetest"
)

// provisioned returns a store as a configuration has it.
func provisioned(t *testing.T, s *Store) *Store {
	t.Helper()
	require.NoError(t, s.Provision(caddy.Context{Context: t.Context()}))
	t.Cleanup(func() { assert.NoError(t, s.Cleanup()) })
	return s
}

func TestProtocol(t *testing.T) {
	storetest.Run(t, func(t *testing.T) stores.Store { return provisioned(t, new(Store)) })
}

func TestLedger(t *testing.T) {
	storetest.RunLedger(t, func(t *testing.T) stores.Ledger { return provisioned(t, new(Store)) })
}

// Where the memory is full nothing is forgotten: it fails.
func TestLedgerIsFull(t *testing.T) {
	s := provisioned(t, &Store{MaxEntries: 3})
	one := new(decimal.Decimal)
	for i := range 3 * reservationsPerEntry {
		if i%2 == 0 {
			first, err := s.Enter(t.Context(), fmt.Sprint("order", i), "a", time.Hour)
			require.NoError(t, err)
			require.Nil(t, first)
			continue
		}
		ok, err := s.Spend(t.Context(), fmt.Sprint("budget", i), "a", one, one, time.Hour)
		require.NoError(t, err)
		require.True(t, ok)
	}
	_, err := s.Enter(t.Context(), "one more", "a", time.Hour)
	require.ErrorIs(t, err, errLedgerFull)
	_, err = s.Spend(t.Context(), "one more", "a", one, one, time.Hour)
	require.ErrorIs(t, err, errLedgerFull)
	first, err := s.Enter(t.Context(), "order0", "b", time.Hour)
	require.NoError(t, err)
	assert.Equal(t, "a", first.ID, "what it holds it still knows")
	require.NoError(t, s.Leave(t.Context(), "order0", "a", ""))
	_, err = s.Enter(t.Context(), "one more", "a", time.Hour)
	require.NoError(t, err)
}

// What is remembered outlives a reload, and only what has other bounds does not
// share it.
func TestReload(t *testing.T) {
	old := new(Store)
	require.NoError(t, old.Provision(caddy.Context{}))
	st, _, err := old.Claim(t.Context(), "running", "a", time.Minute)
	require.NoError(t, err)
	require.Equal(t, stores.Claimed, st)
	require.NoError(t, old.Finish(t.Context(), "done", "a", &stores.Answer{Status: 200}, time.Minute))

	next := provisioned(t, new(Store))
	require.NoError(t, old.Cleanup())
	for key, want := range map[string]stores.State{"running": stores.Running, "done": stores.Remembered} {
		st, _, err := next.Claim(t.Context(), key, "b", time.Minute)
		require.NoError(t, err)
		assert.Equal(t, want, st, key)
	}
	// The request that was under way ends with the old configuration's store.
	require.NoError(t, old.Finish(t.Context(), "running", "a", &stores.Answer{Status: 200}, time.Minute))
	st, _, err = next.Claim(t.Context(), "running", "b", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Remembered, st)

	other := provisioned(t, &Store{MaxEntries: 7})
	st, _, err = other.Claim(t.Context(), "done", "b", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Claimed, st)
}

func TestCleanupAfterFailure(t *testing.T) {
	require.NoError(t, new(Store).Cleanup(), "Caddy cleans up after a failed Provision")
}

func TestBounds(t *testing.T) {
	finish := func(tb *table, key string, size int) {
		tb.finish(key, &stores.Answer{Status: 200, Body: make([]byte, size)}, time.Minute)
	}
	state := func(tb *table, key string) stores.State {
		st, _, err := tb.claim(key, "probe", time.Minute)
		require.NoError(t, err)
		tb.release(key, "probe")
		return st
	}
	t.Run("entries", func(t *testing.T) {
		tb := newTable(3, 1<<20)
		for i := range 100 {
			finish(tb, fmt.Sprint(i), 10)
			assert.LessOrEqual(t, len(tb.entries), 3)
		}
		assert.Equal(t, 3, tb.order.Len())
		assert.Equal(t, stores.Remembered, state(tb, "99"))
		assert.Equal(t, stores.Claimed, state(tb, "0"), "the oldest is forgotten first")
	})
	t.Run("bytes", func(t *testing.T) {
		tb := newTable(1000, 10_000)
		for i := range 100 {
			finish(tb, fmt.Sprint(i), 1000)
			assert.LessOrEqual(t, tb.bytes, int64(10_000))
		}
		assert.Equal(t, stores.Remembered, state(tb, "99"))
		for key, e := range tb.entries {
			tb.drop(e)
			assert.NotContains(t, tb.entries, key)
		}
		assert.Zero(t, tb.bytes, "what was taken is given back")
		assert.Zero(t, tb.order.Len())
	})
	t.Run("an answer that never fits", func(t *testing.T) {
		tb := newTable(10, 1000)
		finish(tb, "large", 5000)
		assert.Equal(t, stores.Claimed, state(tb, "large"))
		assert.Zero(t, tb.bytes)
	})
	t.Run("claims are not forgotten", func(t *testing.T) {
		tb := newTable(3, 1<<20)
		for i := range 3 {
			_, _, err := tb.claim(fmt.Sprint(i), "a", time.Minute)
			require.NoError(t, err)
		}
		_, _, err := tb.claim("one more", "a", time.Minute)
		require.ErrorIs(t, err, errFull)
		tb.release("1", "a")
		_, _, err = tb.claim("one more", "a", time.Minute)
		require.NoError(t, err)
		st, _, err := tb.claim("0", "b", time.Minute)
		require.NoError(t, err)
		assert.Equal(t, stores.Running, st)
	})
	t.Run("what has expired is removed first", func(t *testing.T) {
		tb := newTable(2, 1<<20)
		tb.finish("short", &stores.Answer{Status: 200}, time.Millisecond)
		finish(tb, "long", 1)
		time.Sleep(5 * time.Millisecond)
		finish(tb, "new", 1)
		assert.Len(t, tb.entries, 2)
		assert.Equal(t, stores.Remembered, state(tb, "long"))
	})
}

func TestCaddyfile(t *testing.T) {
	for input, want := range map[string]*Store{
		"memory":                       {},
		"memory {\n}":                  {},
		"memory {\n max_entries 5\n}":  {MaxEntries: 5},
		"memory {\n max_bytes 2MiB\n}": {MaxBytes: 2 << 20},
		"memory {\n max_entries 5\n max_bytes 1KiB\n}": {MaxEntries: 5, MaxBytes: 1 << 10},
	} {
		s := new(Store)
		require.NoError(t, s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)), input)
		assert.Equal(t, want, s, input)
	}
	for input, want := range map[string]string{
		"memory 5":                      "takes no arguments",
		"memory {\n max_entries 0\n}":   "Testfile:2",
		"memory {\n max_entries\n}":     "exactly one value",
		"memory {\n max_bytes many\n}":  "must be a size",
		"memory {\n\n size 5\n}":        "Testfile:3",
		"memory {\n max_entries -1\n}":  "a number from 1",
		"memory {\n max_entries 1 2\n}": "exactly one value",
	} {
		err := new(Store).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		require.Error(t, err, input)
		assert.Contains(t, err.Error(), want, input)
		assert.True(t, strings.Contains(err.Error(), "Testfile:"), err.Error())
	}
	for _, s := range []*Store{{MaxEntries: -1}, {MaxBytes: -1}} {
		require.ErrorContains(t, s.Provision(caddy.Context{}), "must be positive")
	}
}
