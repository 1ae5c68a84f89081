// Package storetest checks that a store keeps to the protocol. A new store
// calls Run in its tests.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/stores"
)

// short is a time to live that a test waits for.
const short = 60 * time.Millisecond

// answer is one with every byte in it.
func answer() *stores.Answer {
	text := make([]byte, 256)
	for i := range text {
		text[i] = byte(i)
	}
	return &stores.Answer{Status: 202, ContentType: "text/plain; charset=utf-8", Body: text}
}

// Run runs the tests against the store that open opens. Two stores that are
// opened in one test must share their memory.
func Run(t *testing.T, open func(t *testing.T) stores.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, a, b stores.Store){
		"a key is claimed once":                    claimedOnce,
		"claiming again what is held succeeds":     claimedAgain,
		"an answer is remembered":                  remembered,
		"an answer without a body is remembered":   rememberedEmpty,
		"an answer is forgotten in time":           forgotten,
		"a released key can be claimed":            released,
		"another's claim is not released":          releasedByAnother,
		"an answer is not released":                releasedTooLate,
		"a claim ends with its lease":              leaseEnds,
		"an answer counts after the lease":         finishedLate,
		"keys do not touch each other":             keysApart,
		"one of many claims a key":                 race,
		"keys hold whatever a reference may hold":  oddKeys,
		"a call that is given up fails or is done": givenUp,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), open(t)) })
	}
}

var number atomic.Int64

// key returns a new key for each test, because the memory may have the keys of earlier
// tests.
func key() string {
	return fmt.Sprintf("profile:reference:%d-%d", time.Now().UnixNano(), number.Add(1))
}

func claim(t *testing.T, s stores.Store, key, owner string, lease time.Duration) (stores.State, *stores.Answer) {
	t.Helper()
	state, answer, err := s.Claim(t.Context(), key, owner, lease)
	require.NoError(t, err)
	return state, answer
}

func state(t *testing.T, s stores.Store, key, owner string) stores.State {
	t.Helper()
	st, _ := claim(t, s, key, owner, time.Minute)
	return st
}

func claimedOnce(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	assert.Equal(t, stores.Claimed, state(t, a, k, "a"))
	assert.Equal(t, stores.Running, state(t, b, k, "b"))
	require.NoError(t, a.Release(t.Context(), k, "a"))
}

func claimedAgain(t *testing.T, a, _ stores.Store) {
	t.Helper()
	k := key()
	assert.Equal(t, stores.Claimed, state(t, a, k, "a"))
	assert.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.NoError(t, a.Release(t.Context(), k, "a"))
}

func remembered(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	require.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.NoError(t, a.Finish(t.Context(), k, "a", answer(), time.Minute))
	for _, s := range []stores.Store{a, b} {
		st, kept := claim(t, s, k, "c", time.Minute)
		require.Equal(t, stores.Remembered, st)
		assert.Equal(t, answer(), kept)
	}
}

func rememberedEmpty(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	require.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.NoError(t, a.Finish(t.Context(), k, "a", &stores.Answer{Status: 204}, time.Minute))
	st, kept := claim(t, b, k, "b", time.Minute)
	require.Equal(t, stores.Remembered, st)
	assert.Equal(t, &stores.Answer{Status: 204}, kept)
}

func forgotten(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	require.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.NoError(t, a.Finish(t.Context(), k, "a", answer(), short))
	require.Equal(t, stores.Remembered, state(t, b, k, "b"))
	require.Eventually(t, func() bool { return state(t, b, k, "b") == stores.Claimed }, 5*time.Second, short/4)
	require.NoError(t, b.Release(t.Context(), k, "b"))
}

func released(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	require.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.NoError(t, a.Release(t.Context(), k, "a"))
	assert.Equal(t, stores.Claimed, state(t, b, k, "b"))
	require.NoError(t, b.Release(t.Context(), k, "b"))
}

func releasedByAnother(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	require.Equal(t, stores.Claimed, state(t, a, k, "a"))
	require.Equal(t, stores.Claimed, state(t, b, key(), "b"))
	require.NoError(t, b.Release(t.Context(), k, "b"), "a claim that is not held is no mistake")
	assert.Equal(t, stores.Running, state(t, b, k, "b"))
	require.NoError(t, a.Release(t.Context(), k, "a"))
}

func releasedTooLate(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	_, _ = claim(t, a, k, "a", short)
	require.Eventually(t, func() bool { return state(t, b, k, "b") == stores.Claimed }, 5*time.Second, short/4)
	require.NoError(t, b.Finish(t.Context(), k, "b", answer(), time.Minute))
	require.NoError(t, a.Release(t.Context(), k, "a"))
	assert.Equal(t, stores.Remembered, state(t, a, k, "c"))
}

func leaseEnds(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	st, _ := claim(t, a, k, "a", short)
	require.Equal(t, stores.Claimed, st)
	require.Equal(t, stores.Running, state(t, b, k, "b"))
	require.Eventually(t, func() bool { return state(t, b, k, "b") == stores.Claimed }, 5*time.Second, short/4)
	require.NoError(t, a.Release(t.Context(), k, "a"))
	assert.Equal(t, stores.Running, state(t, a, k, "a"), "a holder whose lease has ended takes nothing away")
	require.NoError(t, b.Release(t.Context(), k, "b"))
}

func finishedLate(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	_, _ = claim(t, a, k, "a", short)
	require.Eventually(t, func() bool { return state(t, b, k, "b") == stores.Claimed }, 5*time.Second, short/4)
	require.NoError(t, a.Finish(t.Context(), k, "a", answer(), time.Minute))
	assert.Equal(t, stores.Remembered, state(t, b, k, "b"), "the application has acknowledged")
	require.NoError(t, b.Release(t.Context(), k, "b"))
	assert.Equal(t, stores.Remembered, state(t, b, k, "b"))
}

func keysApart(t *testing.T, a, b stores.Store) {
	t.Helper()
	one, two := key(), key()
	require.Equal(t, stores.Claimed, state(t, a, one, "a"))
	require.NoError(t, a.Finish(t.Context(), one, "a", answer(), time.Minute))
	assert.Equal(t, stores.Claimed, state(t, b, two, "b"))
	require.NoError(t, b.Release(t.Context(), two, "b"))
}

func race(t *testing.T, a, b stores.Store) {
	t.Helper()
	k := key()
	var claimed, running atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		s := a
		if i%2 == 1 {
			s = b
		}
		all.Go(func() {
			switch st, _, err := s.Claim(t.Context(), k, fmt.Sprint("owner ", i), time.Minute); {
			case !assert.NoError(t, err):
			case st == stores.Claimed:
				claimed.Add(1)
			case st == stores.Running:
				running.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(1), claimed.Load())
	assert.Equal(t, int64(39), running.Load())
}

func oddKeys(t *testing.T, a, b stores.Store) {
	t.Helper()
	seen := make(map[string]bool)
	for _, odd := range []string{"", " ", "\n", "\x00", "a:b", "a\\:b", "易生", "*", "{}", string(bytes.Repeat([]byte("k"), 300))} {
		k := key() + odd
		require.False(t, seen[k])
		seen[k] = true
		require.Equal(t, stores.Claimed, state(t, a, k, "a"), "%q", odd)
		require.NoError(t, a.Finish(t.Context(), k, "a", answer(), time.Minute))
		assert.Equal(t, stores.Remembered, state(t, b, k, "b"), "%q", odd)
	}
}

func givenUp(t *testing.T, a, b stores.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := key()
	st, _, err := a.Claim(ctx, k, "a", time.Minute)
	if err != nil {
		assert.NotEqual(t, stores.Claimed, st)
		return
	}
	assert.Equal(t, stores.Claimed, st)
	require.NoError(t, a.Release(t.Context(), k, "a"))
	assert.Equal(t, stores.Claimed, state(t, b, k, "b"))
	require.NoError(t, b.Release(t.Context(), k, "b"))
}
