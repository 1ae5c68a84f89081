package proxy

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// While it is opened, an answer is in memory up to four times: as it came, as its
// canonical string, decoded, and as it goes back. One of up to a quarter of
// max_response_body so takes no more than it may. For the others there are as many
// turns as there are processors; more at once would be no faster.
var openings = sync.OnceValue(func() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) })

// openInTurn is open. It waits no longer than until the try's timer ends: what
// became of a payment matters more than memory. Where another machine decrypts,
// nobody waits for it but the exchange itself.
func (e *exchange) openInTurn(timer context.Context) (result, *problem.Problem) {
	remote := func(key *keys.PrivateKey) bool { return key.Remote }
	if int64(len(e.reply.body)) > e.t.MaxResponseBody/4 && !slices.ContainsFunc(e.keys.Decrypt, remote) {
		select {
		case openings() <- struct{}{}:
			defer func() { <-openings() }()
		case <-timer.Done():
		}
	}
	return e.open()
}
