package proxy

import (
	"runtime"
	"slices"
	"sync"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// large is the size in bytes from which on an answer is opened in turn.
const large = 64 << 10

// openings are as many turns as there are processors to open large answers.
// While it is opened, an answer is in memory several times: as it came, as its
// canonical string, decoded, and as it goes back. More at once would be no
// faster.
var openings = sync.OnceValue(func() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) })

// openInTurn is open. Where another machine decrypts, nobody waits for it but
// the exchange itself.
func (e *exchange) openInTurn() (result, *problem.Problem) {
	remote := func(key *keys.PrivateKey) bool { return key.Remote }
	if len(e.reply.body) >= large && !slices.ContainsFunc(e.keys.Decrypt, remote) {
		openings() <- struct{}{}
		defer func() { <-openings() }()
	}
	return e.open()
}
