package vault_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load makes exchanges from several clients at once, total in all, and returns
// those that failed.
func (s *sidecar) load(clients, total int, exchange func() answer) []string {
	s.T.Helper()
	var left atomic.Int64
	left.Store(int64(total))
	return s.run(clients, func() bool { return left.Add(-1) >= 0 }, exchange)
}

// run makes exchanges from several clients as long as more says so, and returns
// those that failed.
func (s *sidecar) run(clients int, more func() bool, exchange func() answer) []string {
	var (
		mu     sync.Mutex
		failed []string
		group  sync.WaitGroup
	)
	for range clients {
		group.Go(func() {
			for more() {
				if a := exchange(); !a.ok() {
					mu.Lock()
					failed = append(failed, fmt.Sprintf("%d %s", a.status, a.body))
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return failed
}

// traffic runs in the background until it is ended.
type traffic struct {
	count  atomic.Int64
	cut    atomic.Int64 // connections that ended without an answer
	ended  atomic.Bool
	done   chan struct{}
	failed []string
}

// traffic makes exchanges from several clients for each reference, in the
// background, for three minutes at most.
func (s *sidecar) traffic(t *testing.T, clients int, references ...string) *traffic {
	t.Helper()
	out := &traffic{done: make(chan struct{})}
	bodies := map[string][]byte{}
	for _, reference := range references {
		bodies[reference] = body(t, reference)
	}
	limit := time.Now().Add(3 * time.Minute)
	var next atomic.Int64
	go func() {
		defer close(out.done)
		out.failed = s.run(clients, func() bool { return !out.ended.Load() && time.Now().Before(limit) }, func() answer {
			reference := references[int(next.Add(1))%len(references)]
			for {
				a, err := s.try("app", "POST", paths[reference], bodies[reference])
				if err == nil {
					out.count.Add(1)
					return a
				}
				if out.cut.Add(1) > 1000 {
					return answer{body: err.Error()}
				}
			}
		})
	}()
	return out
}

// over reports whether the traffic has ended by itself.
func (f *traffic) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// end ends the traffic and returns what failed.
func (f *traffic) end() []string {
	f.ended.Store(true)
	<-f.done
	return f.failed
}
