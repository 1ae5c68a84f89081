package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const refusal = `{"type":"urn:countersign:problem:overloaded","code":"overloaded","outcome":"not_sent"}`

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want kind
	}{
		{nil, answered},
		{&failure{503, "not_sent", refusal}, overloaded},
		{fmt.Errorf("posting: %w", &failure{503, "not_sent", refusal}), overloaded},
		{&failure{503, "unknown", refusal}, failed},
		{&failure{503, "", refusal}, failed},
		{&failure{502, "not_sent", refusal}, failed},
		{&failure{503, "not_sent", `{"code":"keys_unavailable"}`}, failed},
		{&failure{200, "", "not verified"}, failed},
		{context.DeadlineExceeded, gaveUp},
		{fmt.Errorf("posting: %w", context.DeadlineExceeded), gaveUp},
		{io.ErrUnexpectedEOF, failed},
	} {
		assert.Equal(t, tc.want, kindOf(tc.err), "%v", tc.err)
	}
}

func TestOpenLoopSendsOnTime(t *testing.T) {
	phases := []phase{{100, 300 * time.Millisecond}, {400, 200 * time.Millisecond}}
	start := time.Now()
	var edges []time.Duration
	edge := func(i int) {
		assert.Len(t, edges, i)
		edges = append(edges, time.Since(start))
	}
	shots := openLoop(t.Context(), phases, edge, func(ctx context.Context) error {
		time.Sleep(100 * time.Millisecond) // much slower than they are sent
		return nil
	})
	first, second := newPhaseReport(shots, 0, phases[0].span), newPhaseReport(shots, 1, phases[1].span)
	assert.InDelta(t, 100, first.Offered, 0.01)
	assert.InDelta(t, 400, second.Offered, 0.01)
	assert.InDelta(t, 400, second.Answered, 0.01)
	assert.GreaterOrEqual(t, first.P50, 100_000.0, "µs")
	assert.Zero(t, first.Failed+first.Unsent)
	require.Len(t, edges, 3)
	for i, at := range []time.Duration{0, 300 * time.Millisecond, 500 * time.Millisecond} {
		assert.InDelta(t, at.Seconds(), edges[i].Seconds(), 0.1, "edge %d", i)
	}
}

func TestOpenLoopHasPatienceAndNoMore(t *testing.T) {
	start := time.Now()
	shots := openLoop(t.Context(), []phase{{100, 50 * time.Millisecond}}, func(int) {}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	r := newPhaseReport(shots, 0, 50*time.Millisecond)
	assert.InDelta(t, 1, r.GaveUp, 1e-9)
	assert.InDelta(t, patience.Seconds(), time.Since(start).Seconds(), 1)
}

func TestPhaseReport(t *testing.T) {
	shots := []shot{{phase: 1, kind: failed, latency: time.Hour}}
	for i := range 60 {
		shots = append(shots, shot{kind: answered, latency: time.Duration(60-i) * time.Millisecond})
	}
	for i := range 30 {
		shots = append(shots, shot{kind: overloaded, latency: time.Duration(i+1) * time.Microsecond})
	}
	for _, k := range []kind{gaveUp, gaveUp, gaveUp, gaveUp, gaveUp, unsent, unsent, failed, failed, failed} {
		shots = append(shots, shot{kind: k, latency: time.Minute})
	}
	r := newPhaseReport(shots, 0, 10*time.Second)
	assert.Equal(t, phaseReport{
		Offered: 10, Answered: 6, P50: 30_000, P99: 60_000, Share: 0.3, RejectP50: 15, RejectP99: 30, GaveUp: 0.05, Unsent: 2, Failed: 3,
	}, r)
}

func TestRecovered(t *testing.T) {
	// Ten windows of 50 requests, each with the latency that is given.
	phaseOf := func(latencies ...time.Duration) (shots []shot) {
		for w, latency := range latencies {
			for i := range 50 {
				shots = append(shots, shot{phase: 2, due: time.Duration(w)*window + time.Duration(i)*window/50, latency: latency})
			}
		}
		return shots
	}
	const good, bad = 9 * time.Millisecond, 20 * time.Millisecond
	for _, tc := range []struct {
		latencies []time.Duration
		want      float64
	}{
		{[]time.Duration{good, good, good}, 0},
		{[]time.Duration{bad, bad, good, good}, 1},
		{[]time.Duration{bad, good, bad, good, good}, 1.5},
		{[]time.Duration{bad, bad, good}, -1},
		{[]time.Duration{bad, bad, bad}, -1},
		{nil, -1},
	} {
		shots := phaseOf(tc.latencies...)
		slices.Reverse(shots) // they come as they are answered
		assert.InDelta(t, tc.want, recovered(shots, 2, 5000), 1e-9, "%v", tc.latencies)
	}
	shots := phaseOf(good, good, good, good)
	shots[70].kind = gaveUp
	assert.InDelta(t, 1, recovered(shots, 2, 5000), 1e-9, "one that was not answered is not fine")
}

// What the sidecar says counts, and what only looks like it does not.
func TestOpenLoopCountsRefusals(t *testing.T) {
	for outcome, want := range map[string]kind{"not_sent": overloaded, "unknown": failed} {
		headers := map[string]string{"Countersign-Outcome": outcome}
		target := serving(t, answering(http.StatusServiceUnavailable, headers, refusal))
		client := newClient(4)
		t.Cleanup(client.CloseIdleConnections)
		shots := openLoop(t.Context(), []phase{{100, 100 * time.Millisecond}}, func(int) {}, func(ctx context.Context) error {
			return target.post(ctx, client, target.address(1), []byte("{}"))
		})
		require.Len(t, shots, 10)
		for _, s := range shots {
			assert.Equal(t, want, s.kind, outcome)
		}
	}
	assert.Equal(t, failed, kindOf(errors.New("anything else")))
}
