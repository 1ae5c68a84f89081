package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is one drive of one target.
type sample struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration
	allocs   float64
	p50, p99 time.Duration
}

// drive posts to a target over so many connections for a while.
func (b *bench) drive(ctx context.Context, f *flavour, t *target, connections, kib int, span time.Duration) (sample, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	address := fmt.Sprintf("http://127.0.0.1:%d%s?kib=%d", t.port, t.path, kib)
	body := []byte(t.request(padOf(kib)))
	if err := post(ctx, client, address, body); err != nil {
		return sample{}, fmt.Errorf("%s: %w", t.name, err)
	}
	before, err := mallocs(ctx, t)
	if err != nil {
		return sample{}, err
	}
	var (
		group     sync.WaitGroup
		mu        sync.Mutex
		durations []time.Duration
		failed    error
	)
	cpu, start := processCPU(f.of(t)), time.Now()
	for range connections {
		group.Go(func() {
			var mine []time.Duration
			var err error
			for err == nil && time.Since(start) < span {
				began := time.Now()
				if err = post(ctx, client, address, body); err == nil {
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
	s := sample{requests: len(durations), elapsed: time.Since(start), cpu: processCPU(f.of(t)) - cpu}
	if failed != nil {
		return s, fmt.Errorf("%s: %w", t.name, failed)
	}
	after, err := mallocs(ctx, t)
	if err != nil {
		return s, err
	}
	s.allocs = (after - before) / float64(s.requests)
	slices.Sort(durations)
	s.p50, s.p99 = durations[len(durations)/2], durations[len(durations)*99/100]
	return s, nil
}

// post posts a body and demands a verified answer, or the plain proxy's.
func post(ctx context.Context, client *http.Client, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// metric reads one metric without labels.
func metric(r io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", name)
}
