package proxy

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// turns are as many as there are processors to compute with a private key. Where
// more requests come than can be signed, those that wait do so here and not among
// the goroutines that are ready to run: what is quick, such as a refusal, need not
// queue up behind them.
var turns = sync.OnceValue(func() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) })

// turn waits until it is this request's turn to be sealed, and returns what ends
// the turn. A client that has gone away meanwhile would have nobody wait for the
// payment: its request is not sealed and not sent, and the time goes to those who
// still wait.
func (e *exchange) turn(ctx context.Context, roles []keys.Role) (func(), *problem.Problem) {
	end := func() {}
	if slices.Contains(roles, keys.Sign) && !e.keys.Sign.Remote {
		select {
		case turns() <- struct{}{}:
			end = func() { <-turns() }
		case <-ctx.Done():
			return nil, abandoned()
		}
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
