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

// driver drives one target, in slices.
type driver struct {
	target      *target
	connections int
	client      *http.Client
	address     string
	body        []byte

	sample    sample
	durations []time.Duration
	counted   int // requests of the slice whose allocations were counted
}

// newDriver makes a driver over so many connections, and has them answered once.
func newDriver(ctx context.Context, t *target, l load) (*driver, error) {
	d := &driver{target: t, connections: l.connections, client: newClient(l.connections), address: t.address(l.kib), body: []byte(t.request(padOf(l.kib)))}
	if err := t.post(ctx, d.client, d.address, d.body); err != nil {
		d.client.CloseIdleConnections()
		return nil, fmt.Errorf("driving %s: %w", t.name, err)
	}
	return d, nil
}

// drive posts for a while: each connection sends the next request when it has
// the answer to the last. Before it counts, it posts for a third of that time: a
// process that was idle has to fetch its memory again.
func (d *driver) drive(ctx context.Context, span time.Duration) error {
	if _, _, err := d.post(ctx, span/3); err != nil {
		return err
	}
	watch, err := startWatch(ctx, d.target.server, d.counted == 0)
	if err != nil {
		return err
	}
	durations, elapsed, err := d.post(ctx, span)
	if err != nil {
		return err
	}
	d.sample.elapsed += elapsed
	d.durations = append(d.durations, durations...)
	if d.counted == 0 {
		d.counted = len(durations)
	}
	return watch.stop(ctx, &d.sample)
}

// post posts over all connections.
func (d *driver) post(ctx context.Context, span time.Duration) ([]time.Duration, time.Duration, error) {
	start := time.Now()
	durations, err := closedLoop(d.connections, func(int) bool { return time.Since(start) < span }, func(int) error {
		return d.target.post(ctx, d.client, d.address, d.body)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("driving %s: %w", d.target.name, err)
	}
	return durations, time.Since(start), nil
}

// end ends the drive and tells what it found.
func (d *driver) end() sample {
	d.client.CloseIdleConnections()
	slices.Sort(d.durations)
	s := d.sample
	s.requests = len(d.durations)
	s.allocs = ratio(s.allocs, float64(d.counted))
	s.p50, s.p99 = percentile(d.durations, 50), percentile(d.durations, 99)
	return s
}

// drive drives one target by itself.
func drive(ctx context.Context, t *target, l load, span time.Duration) (sample, error) {
	d, err := newDriver(ctx, t, l)
	if err != nil {
		return sample{}, err
	}
	err = d.drive(ctx, span)
	return d.end(), err
}

// driveInTurn drives targets for so long each, in so many slices, one after
// another, and calls beside once with each slice: whatever else the machine does
// for a moment falls on all alike.
func driveInTurn(ctx context.Context, targets []*target, l load, span time.Duration, parts int, beside func() error) (map[*target]sample, error) {
	drivers := make([]*driver, 0, len(targets))
	defer func() {
		for _, d := range drivers {
			d.client.CloseIdleConnections()
		}
	}()
	for _, t := range targets {
		d, err := newDriver(ctx, t, l)
		if err != nil {
			return nil, err
		}
		drivers = append(drivers, d)
	}
	for range parts {
		for _, d := range drivers {
			if err := d.drive(ctx, span/time.Duration(parts)); err != nil {
				return nil, err
			}
		}
		if err := beside(); err != nil {
			return nil, err
		}
	}
	samples := make(map[*target]sample)
	for _, d := range drivers {
		samples[d.target] = d.end()
	}
	return samples, nil
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
	counts bool // allocations too
	allocs float64
	scrape float64 // what a look at the allocations allocates
}

func startWatch(ctx context.Context, s *server, counts bool) (*watch, error) {
	w := &watch{server: s, counts: counts}
	if s == nil {
		return w, nil // Vault: its process is none of ours
	}
	if counts {
		first, err := s.mallocs(ctx)
		if err != nil {
			return nil, err
		}
		if w.allocs, err = s.mallocs(ctx); err != nil {
			return nil, err
		}
		w.scrape = w.allocs - first
	}
	var err error
	w.cpu, err = processCPU(s.pid)
	return w, err
}

// stop adds to a sample what the drive has cost.
func (w *watch) stop(ctx context.Context, s *sample) error {
	if w.server == nil {
		return nil
	}
	cpu, err := processCPU(w.server.pid)
	if err != nil {
		return err
	}
	s.cpu += cpu - w.cpu
	if w.counts {
		allocs, err := w.server.mallocs(ctx)
		if err != nil {
			return err
		}
		s.allocs = allocs - w.allocs - w.scrape
	}
	m, err := memoryOf(w.server.pid)
	s.resident = m.Resident
	return err
}
