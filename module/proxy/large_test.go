package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

// While every turn is taken, a large answer waits until there is one or its time
// is up; a small one, and one that another machine decrypts, does not.
func TestLargeAnswersTakeTurns(t *testing.T) {
	const limit = 400
	opening := func(timer context.Context, size int, set *keys.Set) <-chan *problem.Problem {
		e := &exchange{t: &Transport{MaxResponseBody: limit}, keys: set, reply: reply{status: 302, body: make([]byte, size)}}
		opened := make(chan *problem.Problem, 1)
		go func() {
			_, p := e.openInTurn(timer)
			opened <- p
		}()
		return opened
	}
	is := func(opened <-chan *problem.Problem) {
		t.Helper()
		select {
		case p := <-opened:
			assert.Equal(t, problem.ResponseInvalid, p.Reason)
		case <-time.After(10 * time.Second):
			t.Fatal("it was not opened")
		}
	}
	isNot := func(opened <-chan *problem.Problem) {
		t.Helper()
		select {
		case <-opened:
			t.Fatal("it did not wait")
		case <-time.After(50 * time.Millisecond):
		}
	}
	turns := openings()
	for range cap(turns) {
		turns <- struct{}{}
	}
	own, remote := new(keys.Set), &keys.Set{Decrypt: []*keys.PrivateKey{{Remote: true}}}
	is(opening(t.Context(), limit/4, own))
	is(opening(t.Context(), limit, remote))

	waiting := opening(t.Context(), limit/4+1, own)
	isNot(waiting)
	<-turns
	is(waiting)
	is(opening(t.Context(), limit, own)) // the turn was given back
	turns <- struct{}{}

	timer, cancel := context.WithCancel(t.Context())
	waiting = opening(timer, limit, own)
	isNot(waiting)
	cancel()
	is(waiting)
	for range cap(turns) {
		<-turns
	}
}
