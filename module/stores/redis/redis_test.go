package redis

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
	"github.com/countersign/caddy-countersign/module/stores/storetest"
)

const password = "hunter2-and-more"

func provisioned(t *testing.T, s *Store) *Store {
	t.Helper()
	require.NoError(t, s.Provision(caddy.Context{Context: t.Context()}))
	t.Cleanup(func() { assert.NoError(t, s.Cleanup()) })
	return s
}

func TestProtocol(t *testing.T) {
	server := redistest.Start(t)
	t.Run("one process", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) stores.Store { return provisioned(t, &Store{Address: server.URL()}) })
	})
	t.Run("two replicas", func(t *testing.T) {
		timeout := caddy.Duration(2 * time.Second)
		storetest.Run(t, func(t *testing.T) stores.Store {
			timeout += caddy.Duration(time.Millisecond) // a client of its own
			return provisioned(t, &Store{Address: server.URL(), Timeout: timeout})
		})
	})
}

func TestPrefixAndDatabaseKeepApart(t *testing.T) {
	server := redistest.Start(t)
	for name, s := range map[string]*Store{
		"default":  {Address: server.URL()},
		"prefix":   {Address: server.URL(), Prefix: "another:"},
		"database": {Address: "redis://" + server.Address + "/3"},
	} {
		st, _, err := provisioned(t, s).Claim(t.Context(), "key", name, time.Minute)
		require.NoError(t, err)
		assert.Equal(t, stores.Claimed, st, name)
		assert.NotEmpty(t, s.client.TTL(t.Context(), s.Prefix+"key").Val(), "a claim never stays for ever")
		require.NoError(t, s.Release(t.Context(), "key", name))
	}
}

// A reload must not keep an acknowledgement from being remembered, and the
// client must go when nothing needs it any more.
func TestReload(t *testing.T) {
	server := redistest.Start(t)
	old := &Store{Address: server.URL()}
	require.NoError(t, old.Provision(caddy.Context{}))
	st, _, err := old.Claim(t.Context(), "running", "a", time.Minute)
	require.NoError(t, err)
	require.Equal(t, stores.Claimed, st)

	same := provisioned(t, &Store{Address: server.URL()})
	assert.Same(t, old.client, same.client, "connections are kept where the store did not change")
	other := provisioned(t, &Store{Address: server.URL(), Timeout: caddy.Duration(7 * time.Second)})
	assert.NotSame(t, old.client, other.client)

	require.NoError(t, old.Cleanup())
	require.NoError(t, old.Finish(t.Context(), "running", "a", &stores.Answer{Status: 200}, time.Minute))
	st, _, err = other.Claim(t.Context(), "running", "b", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Remembered, st)

	gone := &Store{Address: server.URL(), Timeout: caddy.Duration(8 * time.Second)}
	require.NoError(t, gone.Provision(caddy.Context{}))
	for _, key := range []string{"one", "two"} {
		st, _, err := gone.Claim(t.Context(), key, "a", time.Minute)
		require.NoError(t, err)
		require.Equal(t, stores.Claimed, st)
	}
	require.NoError(t, gone.Cleanup())
	require.NoError(t, gone.Finish(t.Context(), "one", "a", &stores.Answer{Status: 200}, time.Minute))
	require.NoError(t, gone.client.Ping(t.Context()).Err(), "a claim is still held")
	require.NoError(t, gone.Release(t.Context(), "two", "a"))
	require.ErrorContains(t, gone.client.Ping(t.Context()).Err(), "closed")
}

func TestCleanupAfterFailure(t *testing.T) {
	s := &Store{Address: "nowhere"}
	require.Error(t, s.Provision(caddy.Context{}))
	require.NoError(t, s.Cleanup())
}

// Whatever Redis does, Claim grants no notification, and no error names a password.
func TestFailures(t *testing.T) {
	fails := func(t *testing.T, s *Store, want string) {
		t.Helper()
		start := time.Now()
		st, answer, err := s.Claim(t.Context(), "key", "a", time.Minute)
		require.ErrorContains(t, err, want)
		assert.Zero(t, st)
		assert.Nil(t, answer)
		assert.NotContains(t, err.Error(), password)
		assert.Less(t, time.Since(start), 8*time.Second)
	}
	t.Run("down, and back", func(t *testing.T) {
		server := redistest.Start(t)
		s := provisioned(t, &Store{Address: server.URL()})
		server.Stop()
		fails(t, s, "claiming a notification: redis at "+server.Address)
		server.Restart(t)
		require.Eventually(t, func() bool {
			st, _, err := s.Claim(t.Context(), "key", "a", time.Minute)
			return err == nil && st == stores.Claimed
		}, 10*time.Second, 50*time.Millisecond)
		server.Stop()
		require.Error(t, s.Finish(t.Context(), "key", "a", &stores.Answer{Status: 200}, time.Minute))
		require.Error(t, s.Release(t.Context(), "key", "a"))
	})
	t.Run("silent", func(t *testing.T) {
		server := redistest.Start(t)
		s := provisioned(t, &Store{Address: server.URL(), Timeout: caddy.Duration(300 * time.Millisecond)})
		resume := server.Pause(t)
		defer resume()
		fails(t, s, "claiming a notification")
	})
	t.Run("not redis", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.Close()
			}
		}()
		fails(t, provisioned(t, &Store{Address: "redis://" + ln.Addr().String()}), "claiming a notification")
	})
	t.Run("wrong password", func(t *testing.T) {
		server := redistest.Start(t, "--requirepass", "another")
		fails(t, provisioned(t, &Store{Address: server.URL(), Password: password}), "WRONGPASS")
		fails(t, provisioned(t, &Store{Address: "redis://:" + password + "@" + server.Address}), "WRONGPASS")
		fails(t, provisioned(t, &Store{Address: server.URL()}), "NOAUTH")
	})
	t.Run("something else under the key", func(t *testing.T) {
		server := redistest.Start(t)
		s := provisioned(t, &Store{Address: server.URL()})
		for _, value := range []string{"", "1", "answer", "answer ", "answer {", `answer {"status":500}`, `answer {"status":101}`, `answer null`} {
			require.NoError(t, s.client.Set(t.Context(), s.Prefix+"key", value, 0).Err())
			fails(t, s, "has not written")
		}
		require.NoError(t, s.client.Del(t.Context(), s.Prefix+"key").Err())
		require.NoError(t, s.client.LPush(t.Context(), s.Prefix+"key", "x").Err())
		fails(t, s, "WRONGTYPE")
	})
	t.Run("read only", func(t *testing.T) {
		server := redistest.Start(t, "--replicaof", "127.0.0.1 1", "--replica-read-only", "yes")
		fails(t, provisioned(t, &Store{Address: server.URL()}), "claiming a notification")
	})
}

// A SET that came through while its reply was lost is sent again by the client:
// the claim is the caller's own.
func TestOwnClaimIsFound(t *testing.T) {
	server := redistest.Start(t)
	s := provisioned(t, &Store{Address: server.URL()})
	require.NoError(t, s.client.Set(t.Context(), s.Prefix+"key", "claim a", time.Minute).Err())
	st, _, err := s.Claim(t.Context(), "key", "a", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Claimed, st)
	st, _, err = s.Claim(t.Context(), "key", "ab", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Running, st)
}

func TestPasswords(t *testing.T) {
	server := redistest.Start(t, "--requirepass", password)
	t.Setenv("COUNTERSIGN_TEST_PASSWORD", password)
	t.Setenv("COUNTERSIGN_TEST_ADDRESS", server.Address)
	for _, s := range []*Store{
		{Address: server.URL(), Password: password},
		{Address: server.URL(), Password: "{env.COUNTERSIGN_TEST_PASSWORD}"},
		{Address: server.URL(), Username: "default", Password: "{env.COUNTERSIGN_TEST_PASSWORD}"},
		{Address: "redis://:{env.COUNTERSIGN_TEST_PASSWORD}@{env.COUNTERSIGN_TEST_ADDRESS}/0"},
		{Address: "redis://default:" + password + "@" + server.Address},
		{Address: "redis://default:wrong@" + server.Address, Password: password},
	} {
		st, _, err := provisioned(t, s).Claim(t.Context(), "key", "a", time.Minute)
		require.NoError(t, err)
		assert.Equal(t, stores.Claimed, st)
		require.NoError(t, s.Release(t.Context(), "key", "a"))
	}
	// What was filled in does not come back into the configuration.
	assert.Equal(t, "{env.COUNTERSIGN_TEST_PASSWORD}", (&Store{Password: "{env.COUNTERSIGN_TEST_PASSWORD}"}).Password)
}

func TestRefusedAtLoad(t *testing.T) {
	for _, test := range []struct {
		store *Store
		want  string
	}{
		{&Store{}, "needs an address"},
		{&Store{Address: "{env.COUNTERSIGN_TEST_MISSING}"}, "the address of redis"},
		{&Store{Address: "redis://127.0.0.1", Password: "{env.COUNTERSIGN_TEST_MISSING}"}, "the password of redis"},
		{&Store{Address: "redis://:" + password + "%zz@127.0.0.1"}, "must be like redis://"},
		{&Store{Address: "127.0.0.1:6379"}, "must be like redis://"},
		{&Store{Address: "http://:" + password + "@127.0.0.1"}, "must be like redis://"},
		{&Store{Address: "redis://127.0.0.1/zero"}, "must be like redis://"},
		{&Store{Address: "rediss://127.0.0.1?skip_verify=true"}, "parameters behind ?"},
		{&Store{Address: "unix:///run/redis.sock?db=1&skip_verify=true"}, "parameters behind ?"},
		{&Store{Address: "redis://redis.example:6379"}, "another machine and not TLS"},
		{&Store{Address: "redis://10.0.0.1:6379"}, "another machine and not TLS"},
		{&Store{Address: "redis://127.0.0.1.example:6379"}, "another machine and not TLS"},
		{&Store{Address: "redis://127.0.0.1", CA: "testdata/ca.pem"}, "only for rediss://"},
		{&Store{Address: "rediss://redis.example", CA: "nowhere.pem"}, "reading the ca of redis"},
		{&Store{Address: "rediss://redis.example", CA: "redis.go"}, "no certificate"},
		{&Store{Address: "redis://127.0.0.1", Timeout: -1}, "must be positive"},
	} {
		err := test.store.Provision(caddy.Context{})
		require.ErrorContains(t, err, test.want)
		assert.NotContains(t, err.Error(), password)
		require.NoError(t, test.store.Cleanup())
	}
	for _, address := range []string{
		"redis://127.0.0.1", "redis://localhost:1/2", "redis://[::1]:6379", "unix:///run/redis.sock", "unix:///run/redis.sock?db=2",
		"rediss://redis.example:6380/1",
	} {
		provisioned(t, &Store{Address: address})
	}
	provisioned(t, &Store{Address: "redis://redis.example", AllowPlaintext: true})
}

// The messages of the client go to Caddy's log and nowhere else.
func TestClientIsQuiet(t *testing.T) {
	assert.NotPanics(t, func() { clientLog{}.Printf(t.Context(), "%s", strings.Repeat("x", 10)) })
}
