package proxy

import (
	"container/list"
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// turn waits until it is this request's turn to be sealed, and returns what ends
// the turn. A client that has gone away meanwhile would have nobody wait for the
// payment: its request is not sealed and not sent, and the time goes to those who
// still wait.
func (e *exchange) turn(ctx context.Context, roles []keys.Role) (func(), *problem.Problem) {
	end := func() {}
	if slices.Contains(roles, keys.Sign) && !e.keys.Sign.Remote {
		if !processors().take(ctx) {
			return nil, abandoned()
		}
		end = processors().give
		// What became ready while another signed comes first.
		runtime.Gosched()
	}
	if ctx.Err() != nil {
		end()
		return nil, abandoned()
	}
	return end, nil
}

func abandoned() *problem.Problem {
	return problem.New(problem.Overloaded, "the client went away before the request was signed; it was not sent", nil)
}

// processors are as many turns as there are processors to compute with private
// keys. Where more requests come than can be signed, those that wait do so here
// and not among the goroutines that are ready to run: what is quick, such as a
// refusal, need not queue up behind them.
var processors = sync.OnceValue(func() *turns { return &turns{free: runtime.GOMAXPROCS(0)} })

// turns are taken and given back. The latest who waits comes first: when there
// are more than can be served, the others' clients give up before it is their
// turn, and who serves those first serves nobody.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting list.List // of chan struct{}, closed when it is one's turn
}

// take waits for a turn. It returns false if ctx ended before.
func (t *turns) take(ctx context.Context) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	place := t.waiting.PushBack(mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-mine: // at the same moment
		t.pass()
	default:
		t.waiting.Remove(place)
	}
	return false
}

// give gives a turn back.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass hands a turn to the latest who waits.
func (t *turns) pass() {
	last := t.waiting.Back()
	if last == nil {
		t.free++
		return
	}
	close(t.waiting.Remove(last).(chan struct{}))
}
