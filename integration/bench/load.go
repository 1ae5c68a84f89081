package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// sample is one drive of one target.
type sample struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration // of the process that serves the target
	allocs   float64       // a request
	p50, p99 time.Duration
	resident int // KiB
}

// drive posts to a target over so many connections for a while: each sends the
// next request when it has the answer to the last.
func drive(ctx context.Context, t *target, connections, kib int, span time.Duration) (sample, error) {
	client := newClient(connections)
	defer client.CloseIdleConnections()
	address, body := t.address(kib), []byte(t.request(padOf(kib)))
	if err := t.post(ctx, client, address, body); err != nil {
		return sample{}, fmt.Errorf("driving %s: %w", t.name, err)
	}
	watch, err := startWatch(ctx, t.server)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	durations, err := closedLoop(connections, func(n int) bool { return time.Since(start) < span }, func(int) error {
		return t.post(ctx, client, address, body)
	})
	s := sample{requests: len(durations), elapsed: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("driving %s: %w", t.name, err)
	}
	if err := watch.stop(ctx, &s); err != nil {
		return s, err
	}
	s.p50, s.p99 = percentile(durations, 50), percentile(durations, 99)
	return s, nil
}

// closedLoop calls post from so many goroutines for as long as more, which gets
// the number of the call, says so. It returns how long each call took, sorted,
// and ends at the first error.
func closedLoop(connections int, more func(n int) bool, post func(n int) error) ([]time.Duration, error) {
	var (
		group     sync.WaitGroup
		mu        sync.Mutex
		durations []time.Duration
		failed    error
	)
	for c := range connections {
		group.Go(func() {
			var mine []time.Duration
			var err error
			for n := c; err == nil && more(n); n += connections {
				began := time.Now()
				if err = post(n); err == nil {
					mine = append(mine, time.Since(began))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			durations = append(durations, mine...)
			failed = errors.Join(failed, err)
		})
	}
	group.Wait()
	slices.Sort(durations)
	if failed == nil && len(durations) == 0 {
		failed = errors.New("no request was answered")
	}
	return durations, failed
}

func newClient(connections int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true},
		Timeout:   30 * time.Second,
	}
}

// failure is an answer that does not count.
type failure struct {
	status  int
	outcome string // the header Countersign-Outcome
	text    string // how the body begins
}

func (f *failure) Error() string {
	return fmt.Sprintf("status %d, outcome %q: %s", f.status, f.outcome, f.text)
}

// post posts a body. An answer counts if its status is 200 and, from the
// sidecar, it is verified; any other is a *failure.
func (t *target) post(ctx context.Context, client *http.Client, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if t.token != "" {
		req.Header.Set("X-Vault-Token", t.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	if res.StatusCode != http.StatusOK || t.sealed && res.Header.Get("Countersign-Verified") != "true" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return &failure{res.StatusCode, res.Header.Get("Countersign-Outcome"), string(text)}
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// watch looks at what a drive costs the process that serves it.
type watch struct {
	server *server
	cpu    time.Duration
	allocs float64
	scrape float64 // what a look at the allocations allocates
}

func startWatch(ctx context.Context, s *server) (*watch, error) {
	w := &watch{server: s}
	if s == nil {
		return w, nil // Vault: its process is none of ours
	}
	first, err := s.mallocs(ctx)
	if err != nil {
		return nil, err
	}
	if w.allocs, err = s.mallocs(ctx); err != nil {
		return nil, err
	}
	w.scrape = w.allocs - first
	w.cpu, err = processCPU(s.pid)
	return w, err
}

// stop fills in what the drive has cost.
func (w *watch) stop(ctx context.Context, s *sample) error {
	if w.server == nil {
		return nil
	}
	cpu, err := processCPU(w.server.pid)
	if err != nil {
		return err
	}
	allocs, err := w.server.mallocs(ctx)
	if err != nil {
		return err
	}
	m, err := memoryOf(w.server.pid)
	s.cpu, s.allocs, s.resident = cpu-w.cpu, (allocs-w.allocs-w.scrape)/float64(s.requests), m.Resident
	return err
}
