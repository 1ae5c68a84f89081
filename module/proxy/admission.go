package proxy

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// The bounds of signing with private keys in memory: as many signatures at once as
// there are processors, a number of waiting requests for each, and the longest wait. A
// request beyond them is refused at once: one that waits until its client has given up
// costs a signature that nobody uses.
const (
	waitingPerProcessor = 64
	longestWait         = time.Second
)

// signers limits the signatures that are computed at once, in all handlers of the
// process together.
var signers = newAdmission(runtime.GOMAXPROCS(0))

// admission is a semaphore with a bounded queue, in the order in which requests arrive.
type admission struct {
	places  *semaphore.Weighted
	waiting atomic.Int64
	most    int64
}

func newAdmission(places int) *admission {
	return &admission{places: semaphore.NewWeighted(int64(places)), most: int64(places) * waitingPerProcessor}
}

// acquire acquires the semaphore. The function that it returns releases it.
func (a *admission) acquire(ctx context.Context) (release func(), p *problem.Problem) {
	if !a.places.TryAcquire(1) {
		if a.waiting.Add(1) > a.most {
			a.waiting.Add(-1)
			return nil, tooMany()
		}
		waiting, cancel := context.WithTimeout(ctx, longestWait)
		err := a.places.Acquire(waiting, 1)
		cancel()
		a.waiting.Add(-1)
		if err != nil && ctx.Err() == nil {
			return nil, tooMany()
		}
		if err != nil {
			return nil, left()
		}
	}
	return func() { a.places.Release(1) }, nil
}

func tooMany() *problem.Problem {
	return problem.New(problem.Overloaded, i18n.T("more requests wait to be signed than can be signed; send it again later"), nil)
}

func left() *problem.Problem {
	return problem.New(problem.Overloaded, i18n.T("the client went away before the request was signed; it was not sent"), nil)
}

// acquire waits until the request may be signed. A request that a remote key or a
// shared secret signs does not wait. A request whose client has gone is not signed. A
// client that has closed its sending side may still read: its request is signed.
func (e *exchange) acquire(ctx context.Context, roles []keys.Role) (release func(), p *problem.Problem) {
	release = func() {}
	if slices.Contains(roles, keys.Sign) && (e.keys.Sign == nil || !e.keys.Sign.Remote) {
		if p = e.patiently(ctx, func(ctx context.Context) (p *problem.Problem) {
			release, p = signers.acquire(ctx)
			return p
		}); p != nil {
			return nil, p
		}
	}
	if ctx.Err() != nil && !e.mayRead() {
		release()
		return nil, left()
	}
	return release, nil
}
