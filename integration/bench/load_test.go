package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serving is a target that answers as it is told.
func serving(t *testing.T, handler http.HandlerFunc) *target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return &target{name: "jeepay", port: n, sealed: true, provider: providers()[0]}
}

func answering(status int, headers map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var verified = map[string]string{"Countersign-Verified": "true"}

func TestOnlyAVerifiedAnswerCounts(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		headers map[string]string
		sealed  bool
		counts  bool
	}{
		{"verified", 200, verified, true, true},
		{"not verified", 200, map[string]string{"Countersign-Verified": "false"}, true, false},
		{"without the header", 200, nil, true, false},
		{"verified, but no success", 500, verified, true, false},
		{"a problem", 502, map[string]string{"Countersign-Outcome": "unverified"}, true, false},
		{"the plain proxy's", 200, nil, false, true},
		{"the plain proxy's error", 502, nil, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target := serving(t, answering(tc.status, tc.headers, `{"code":"x"}`))
			target.sealed = tc.sealed
			client := newClient(1)
			defer client.CloseIdleConnections()
			err := target.post(t.Context(), client, target.address(1), []byte("{}"))
			if tc.counts {
				require.NoError(t, err)
				return
			}
			var f *failure
			require.ErrorAs(t, err, &f)
			assert.Equal(t, tc.status, f.status)
			assert.ErrorContains(t, err, `{"code":"x"}`)
		})
	}
}

func TestADriveFailsWithItsFirstUnverifiedAnswer(t *testing.T) {
	var count atomic.Int64
	target := serving(t, func(w http.ResponseWriter, r *http.Request) {
		headers := verified
		if count.Add(1) == 50 {
			headers = nil
		}
		answering(200, headers, "{}")(w, r)
	})
	_, err := drive(t.Context(), target, load{4, 1}, 10*time.Second)
	require.ErrorContains(t, err, "driving jeepay")
	assert.Less(t, count.Load(), int64(1e6), "it does not go on")

	count.Store(100)
	s, err := drive(t.Context(), target, load{4, 1}, 200*time.Millisecond)
	require.NoError(t, err)
	answered := int(count.Load() - 101) // without that of the first look
	assert.Less(t, s.requests, answered, "what warms up does not count")
	assert.Greater(t, s.requests, answered/2)
	assert.LessOrEqual(t, s.p50, s.p99)
	assert.Positive(t, s.p50)
}

func TestClosedLoop(t *testing.T) {
	var calls [100]atomic.Int64
	durations, err := closedLoop(7, func(n int) bool { return n < len(calls) }, func(n int) error {
		calls[n].Add(1)
		return nil
	})
	require.NoError(t, err)
	assert.Len(t, durations, len(calls))
	for n := range calls {
		assert.Equal(t, int64(1), calls[n].Load(), "call %d", n)
	}
	assert.IsNonDecreasing(t, durations)

	_, err = closedLoop(2, func(int) bool { return true }, func(n int) error {
		if n > 10 {
			return fmt.Errorf("call %d", n)
		}
		return nil
	})
	require.ErrorContains(t, err, "call 11")
	_, err = closedLoop(2, func(int) bool { return false }, func(int) error { return errors.New("never") })
	require.ErrorContains(t, err, "no request was answered")
}

func TestMetric(t *testing.T) {
	target := serving(t, answering(200, nil, "# HELP go_x\ngo_xy 1\ngo_x 12345\n"))
	s := &server{metrics: target.port}
	_, err := s.mallocs(t.Context())
	require.ErrorContains(t, err, "go_memstats_mallocs_total")
	target = serving(t, answering(200, nil, "go_memstats_mallocs_total_other 7\ngo_memstats_mallocs_total 1.25e+06\n"))
	s.metrics = target.port
	n, err := s.mallocs(t.Context())
	require.NoError(t, err)
	assert.InDelta(t, 1.25e6, n, 0)
}
