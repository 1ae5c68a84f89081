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

// The bounds of signing with private keys that are held in memory: as many at
// once as there are processors, so many waiting for each of them, and each no
// longer than this. What is beyond is refused at once: a request that waits until
// its client has given up costs a signature that nobody uses.
const (
	waitingPerProcessor = 64
	longestWait         = time.Second
)

// signers are the places where private keys compute. They are shared by all
// handlers of the process.
var signers = newAdmission(runtime.GOMAXPROCS(0))

// admission lets a bounded number of requests compute at once, in the order in
// which they come.
type admission struct {
	places  *semaphore.Weighted
	waiting atomic.Int64
	most    int64
}

func newAdmission(places int) *admission {
	return &admission{places: semaphore.NewWeighted(int64(places)), most: int64(places) * waitingPerProcessor}
}

// acquire waits for a place. The function that it returns gives it back.
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

// acquire waits until the request may be signed. What another machine signs, or a
// shared secret, does not wait. A client that is gone is not signed for; one that has
// closed its side for writing may still read, and is, but does not wait.
func (e *exchange) acquire(ctx context.Context, roles []keys.Role) (release func(), p *problem.Problem) {
	release = func() {}
	if slices.Contains(roles, keys.Sign) && (e.keys.Sign == nil || !e.keys.Sign.Remote) {
		if release, p = signers.acquire(ctx); p != nil {
			return nil, p
		}
	}
	if ctx.Err() != nil && !e.mayRead() {
		release()
		return nil, left()
	}
	return release, nil
}
