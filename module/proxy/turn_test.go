package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
)

func TestTurn(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	local := &exchange{keys: &keys.Set{Sign: new(keys.PrivateKey), Secret: new(keys.Secret)}}
	remote := &exchange{keys: &keys.Set{Sign: &keys.PrivateKey{Remote: true}}}
	signs, digests := []keys.Role{keys.Sign, keys.Verify}, []keys.Role{keys.SharedSecret}

	taken := 0
	for range cap(turns()) {
		turns() <- struct{}{}
		taken++
	}
	t.Cleanup(func() {
		for range taken {
			<-turns()
		}
	})
	free := func() {
		<-turns()
		taken--
	}

	for name, c := range map[string]struct {
		e     *exchange
		roles []keys.Role
	}{"a digest": {local, digests}, "a key that is elsewhere": {remote, signs}} {
		end, p := c.e.turn(t.Context(), c.roles)
		require.Nil(t, p, "%s waits for nobody", name)
		end()
		_, p = c.e.turn(gone, c.roles)
		require.NotNil(t, p, name)
		assert.Equal(t, problem.NotSent, p.Outcome(), name)
	}

	waiting, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	_, p := local.turn(waiting, signs)
	require.NotNil(t, p, "it is nobody's turn, and the client goes away")
	assert.Equal(t, problem.Overloaded, p.Code)

	began := make(chan func())
	go func() {
		end, _ := local.turn(context.WithoutCancel(waiting), signs)
		began <- end
	}()
	select {
	case <-began:
		t.Fatal("it was nobody's turn")
	case <-time.After(20 * time.Millisecond):
	}
	free()
	end := <-began
	assert.Len(t, turns(), cap(turns()))
	end()
	assert.Len(t, turns(), cap(turns())-1)

	_, p = local.turn(gone, signs)
	require.NotNil(t, p, "nobody waits for it any more")
	assert.Len(t, turns(), cap(turns())-1, "the turn is given back")
}
