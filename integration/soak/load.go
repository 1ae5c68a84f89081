package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load has clients post until the context ends.
func (w *world) load(ctx context.Context, clients int) {
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			rng := rand.New(rand.NewSource(w.seed + int64(i))) //nolint:gosec // chaos, not secrets
			for ctx.Err() == nil {
				w.pay(context.WithoutCancel(ctx), w.shops[rng.Intn(len(w.shops))], rng.Intn(20) == 0)
				time.Sleep(time.Duration(rng.Intn(20)) * time.Millisecond)
			}
		})
	}
	group.Wait()
}

// pay posts one order, hangs up in the middle if it is to, and writes down what
// was reported of it.
func (w *world) pay(ctx context.Context, s *shop, hangUp bool) string {
	w.orders.Lock()
	w.next++
	id := fmt.Sprintf("N%08d", w.next)
	w.orders.Unlock()
	if hangUp {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(1+w.next%15)*time.Millisecond)
		defer cancel()
	}
	reported := w.post(ctx, s, id)
	if hangUp && ctx.Err() != nil {
		reported = "hung up"
	}
	w.ledger.report(id, s.scheme, reported)
	return reported
}

func (w *world) post(ctx context.Context, s *shop, id string) string {
	address := "http://127.0.0.1:" + strconv.Itoa(sidecarPort) + s.path + "?order=" + id
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(s.request(id)))
	if err != nil {
		return "broken: " + err.Error()
	}
	// Without GetBody Go's client does not repeat a POST.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		// A server that is being replaced by a reload closes idle connections,
		// and one may have been picked up again at that moment. Without an
		// answer the outcome is unknown to any client.
		return "unknown/no answer"
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "unknown/no answer"
	}
	if res.Header.Get("Countersign-Verified") == "true" {
		if !strings.Contains(string(text), id) {
			return "ok, without the order"
		}
		return "ok"
	}
	var problem struct{ Type, Outcome string }
	if err := json.Unmarshal(text, &problem); err != nil || problem.Outcome != res.Header.Get("Countersign-Outcome") {
		return fmt.Sprintf("broken: status %d without a problem", res.StatusCode)
	}
	return problem.Outcome + "/" + strings.TrimPrefix(problem.Type, "urn:countersign:problem:")
}

// outcomeOf returns the first part of what was reported to a client.
func outcomeOf(reported string) string {
	outcome, _, _ := strings.Cut(reported, "/")
	return outcome
}

// recovered waits until every scheme pays again, without help.
func (w *world) recovered(ctx context.Context) error {
	for _, s := range w.shops {
		var reported string
		for start := time.Now(); reported != "ok"; time.Sleep(200 * time.Millisecond) {
			if time.Since(start) > time.Minute || ctx.Err() != nil {
				return errors.New(s.scheme + " does not recover: " + reported)
			}
			reported = w.pay(ctx, s, false)
		}
	}
	return nil
}
