package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/problem"
)

// triesVar holds the tries of a request among its variables.
const triesVar = "countersign.tries"

// tries is what the tries of one request share in the long form, where no
// handler follows the exchange over them.
type tries struct {
	sent atomic.Bool // bytes may have reached the provider: no further try

	mu      sync.Mutex
	began   time.Time
	count   int
	waiting *exchange        // for another try, after a dial that failed
	problem *problem.Problem // with which it ends if there is none
}

// triesOf are the tries of a request. They are put among its variables before
// the first dial: dials that go on in the background read these variables, so
// they must not be written to later.
func triesOf(ctx context.Context) *tries {
	shared, ok := caddyhttp.GetVar(ctx, triesVar).(*tries)
	if !ok {
		shared = &tries{began: time.Now()}
		caddyhttp.SetVar(ctx, triesVar, shared)
	}
	return shared
}

// resume takes the exchange whose dial failed, or returns nil. It has ended if
// the client went away meanwhile.
func (s *tries) resume(t *Transport) *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	e := s.waiting
	if e == nil || e.t != t {
		return nil
	}
	s.waiting = nil
	return e
}

// wait keeps an exchange whose dial failed for another try. If there is none it
// ends when the request does. It returns false where there cannot be another
// one, so that the exchange ends before the failure is released.
func (s *tries) wait(ctx context.Context, e *exchange, p *problem.Problem) bool {
	if s.last(e.t.balancing) || ctx.Done() == nil {
		return false
	}
	s.mu.Lock()
	s.waiting, s.problem = e, p
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting == e && s.problem == p {
			e.end("", p)
		}
	})
	return true
}

// last reports whether reverse_proxy is sure to make no further try after a
// failed dial. It counts from before the first one.
func (s *tries) last(lb *reverseproxy.LoadBalancing) bool {
	if lb == nil || lb.TryDuration == 0 && lb.Retries == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lb.TryDuration > 0 && time.Since(s.began) >= time.Duration(lb.TryDuration) ||
		lb.Retries > 0 && s.count > lb.Retries
}
