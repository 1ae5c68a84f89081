package proxy

import (
	"container/list"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

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
		if !processors().take(ctx, time.Duration(e.t.Timeout)) {
			return nil, abandoned(ctx)
		}
		end = processors().give
	}
	if ctx.Err() != nil {
		end()
		return nil, abandoned(ctx)
	}
	return end, nil
}

func abandoned(ctx context.Context) *problem.Problem {
	if ctx.Err() == nil {
		return problem.New(problem.Overloaded, "more requests wait to be signed than there is time for; send it again later", nil)
	}
	return problem.New(problem.Overloaded, "the client went away, or closed its side of the connection, before the request was signed; it was not sent", nil)
}

// processors are as many turns as there are processors to compute with private
// keys. Where more requests come than can be signed, those that wait do so here
// and not among the goroutines that are ready to run: what is quick, such as a
// refusal, need not queue up behind them.
var processors = sync.OnceValue(func() *turns { return newTurns(runtime.GOMAXPROCS(0)) })

// patience is how long the first who waits may have waited for them all to be
// served in the order in which they came.
const patience = time.Second

// turns are taken and given back. Who comes first is served first, as long as
// nobody waits for longer than patience. From then on there are more than can be
// served, and the latest comes first: the others' clients are the first to give
// up, and who served those would serve nobody.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting list.List // of *place
	bell    *bell     // before a turn is passed on
}

func newTurns(free int) *turns {
	t := &turns{free: free}
	t.bell = newBell(t.next)
	return t
}

// place is somebody who waits.
type place struct {
	since time.Time
	turn  chan struct{} // closed when it is one's turn
}

// take waits for a turn. It returns false if ctx ended before, or the time was
// up.
func (t *turns) take(ctx context.Context, timeout time.Duration) bool {
	taken := t.wait(ctx, timeout)
	// What is ready to run comes first, so that who wants a turn stands in line
	// and is not among it.
	runtime.Gosched()
	return taken
}

func (t *turns) wait(ctx context.Context, timeout time.Duration) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	mine := &place{time.Now(), make(chan struct{})}
	where := t.waiting.PushBack(mine)
	t.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-mine.turn:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-mine.turn: // at the same moment
		t.pass()
	default:
		t.waiting.Remove(where)
	}
	return false
}

// give gives a turn back. The next has it when what came from the network
// meanwhile, such as an answer, has been looked at.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.Len() == 0 || !t.bell.ring() {
		t.pass()
	}
}

// next passes on the turn for which the bell was rung.
func (t *turns) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass hands a turn to the next.
func (t *turns) pass() {
	next := t.waiting.Front()
	if next == nil {
		t.free++
		return
	}
	if time.Since(next.Value.(*place).since) > patience {
		next = t.waiting.Back()
	}
	close(t.waiting.Remove(next).(*place).turn)
}
