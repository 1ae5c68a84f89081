package keys

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A set that is dropped while it waits to be loaded ends the refresh that has
// joined its load.
func TestRefreshOfASetThatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.delay = 10 * time.Second
		r := started(f)
		defer r.Close()
		ctx, leave := context.WithCancel(t.Context())
		for i := range firstParallel + 1 { // one more than are loaded at once
			go func() { _, _ = r.Get(ctx, fmt.Sprint("unknown", i)) }()
			synctest.Wait()
		}
		ended := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			within, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_ = r.Refresh(within)
			ended <- time.Since(began)
		}()
		synctest.Wait()
		leave() // nobody waits for the last one any more
		assert.Less(t, <-ended, time.Minute)
	})
}

// A reference that is configured at the moment at which the source has called it
// unknown stays, and is asked for again.
func TestPinWhileItIsForgotten(t *testing.T) {
	r := NewRing(newFake(), Options{Name: "test", Refresh: time.Minute})
	defer r.Close()
	e, err := r.entry("a", false)
	require.NoError(t, err)
	r.Pin("a")
	r.forget(e)
	assert.Same(t, e, r.lookup("a"))
	assert.False(t, r.isUnknown("a", time.Now()))
	r.Unpin("a")
	r.forget(e)
	assert.Nil(t, r.lookup("a"))
	assert.True(t, r.isUnknown("a", time.Now()))
}

// A set for which a request waits is not let go for another.
func TestEvictionSparesThoseThatAreWaitedFor(t *testing.T) {
	r := NewRing(newFake(), Options{Name: "test", Refresh: time.Minute})
	defer r.Close()
	waited, err := r.entry("waited for", false)
	require.NoError(t, err)
	waited.waiters++
	r.known(waited)
	waited.used.Store(0)
	r.count.Store(MaxSets)
	_, err = r.entry("other", false)
	require.NoError(t, err)
	assert.Same(t, waited, r.lookup("waited for"))
}

// An empty secret is none: whatever holds one, no signature is made with it.
func TestAnEmptySecretIsNone(t *testing.T) {
	empty := NewSecret(nil, "a test")
	set := &Set{Secret: empty, VerifySecrets: []*Secret{empty, NewSecret([]byte("x"), "")}, Named: map[string]*Set{"iv": {Secret: empty, VerifySecrets: []*Secret{empty}}}}
	assert.Nil(t, set.NamedSecret(""))
	assert.Nil(t, set.NamedSecret("iv"))
	assert.Nil(t, set.NamedSecret("none"))
	assert.Len(t, set.Secrets(""), 1)
	assert.Empty(t, set.Secrets("iv"))
	assert.False(t, set.Has(SharedSecret))
	require.ErrorIs(t, set.Need(SharedSecret), ErrMissingRole)
	require.ErrorIs(t, set.Need(SharedSecret.With("iv")), ErrMissingRole)
}
