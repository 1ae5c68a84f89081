package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a target is driven with.
type load struct {
	connections int
	kib         int // size of a body
}

func newClient(connections int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true},
		Timeout:   30 * time.Second,
	}
}

// refusal is an answer that does not count.
type refusal struct {
	status int
	body   string // how it begins
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

// overloaded reports whether the sidecar said that it had too much to do and
// sent nothing.
func (r *refusal) overloaded() bool {
	return r.status == http.StatusServiceUnavailable &&
		strings.Contains(r.body, `urn:countersign:problem:overloaded"`) && strings.Contains(r.body, `"not_sent"`)
}

// post posts a body. An answer counts if its status is 200 and, where the target
// signs, it says that it was verified.
func (t *target) post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	if res.StatusCode != http.StatusOK || t.kind != plain && res.Header.Get("Countersign-Verified") != "true" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return &refusal{res.StatusCode, string(text)}
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// drive drives a target in a closed loop: each connection sends its next request
// when it has the answer to the last. It returns how long each exchange took.
func (t *target) drive(ctx context.Context, client *http.Client, l load, query string, span time.Duration) ([]time.Duration, error) {
	path := fmt.Sprintf("%s?kib=%d%s", t.provider.path, l.kib, query)
	if t.inProcess {
		return t.ask(path, l, span)
	}
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		all    []time.Duration
		failed error
		n      atomic.Int64
		bodies = t.bodies(l.kib)
		start  = time.Now()
	)
	for range l.connections {
		group.Go(func() {
			var took []time.Duration
			var err error
			for first := true; err == nil && (first || time.Since(start) < span); first = false {
				began := time.Now()
				body := bodies[int(n.Add(1))%len(bodies)]
				err = t.post(ctx, client, t.url+path, body)
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, took...), errors.Join(failed, err)
		})
	}
	group.Wait()
	if failed != nil {
		return nil, fmt.Errorf("driving %s: %w", t.name, failed)
	}
	return all, nil
}

// ask makes a program drive the provider directly.
func (t *target) ask(path string, l load, span time.Duration) ([]time.Duration, error) {
	job := map[string]any{"path": path, "body": string(t.bodies(l.kib)[0]), "connections": l.connections, "ms": span.Milliseconds()}
	if err := json.NewEncoder(t.in).Encode(job); err != nil {
		return nil, fmt.Errorf("asking %s: %w", t.name, err)
	}
	var reply struct {
		Took  []int64 `json:"took"` // µs
		Error string  `json:"error"`
	}
	if err := t.replies.Decode(&reply); err != nil {
		return nil, fmt.Errorf("reading the reply of %s: %w", t.name, err)
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("driving %s: %s", t.name, reply.Error)
	}
	all := make([]time.Duration, len(reply.Took))
	for i, us := range reply.Took {
		all[i] = time.Duration(us) * time.Microsecond
	}
	return all, nil
}

// shot is one request of an open loop.
type shot struct {
	took time.Duration // since it was due
	err  error
}

// openLoop sends requests at a rate, whether those before were answered or not,
// each with a client that waits for patience. It returns what became of each.
func (t *target) openLoop(ctx context.Context, l load, rate float64, span time.Duration) []shot {
	const most = 8000 // requests that wait at once; beyond it the load generator itself refuses
	var (
		group   sync.WaitGroup
		client  = newClient(most)
		url     = fmt.Sprintf("%s%s?kib=%d", t.url, t.provider.path, l.kib)
		bodies  = t.bodies(l.kib)
		shots   = make([]shot, int(rate*span.Seconds()))
		waiting atomic.Int64
		start   = time.Now()
	)
	defer client.CloseIdleConnections()
	for i := range shots {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		if waiting.Load() >= most {
			shots[i] = shot{err: errors.New("the load generator has too many requests waiting")}
			continue
		}
		waiting.Add(1)
		group.Go(func() {
			defer waiting.Add(-1)
			ctx, cancel := context.WithDeadline(ctx, due.Add(patience))
			defer cancel()
			err := t.post(ctx, client, url, bodies[i%len(bodies)])
			shots[i] = shot{time.Since(due), err}
		})
	}
	group.Wait()
	return shots
}
