package vault

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issuer is a Vault that gives tokens to whoever logs in by AppRole, and knows
// which of them live.
type issuer struct {
	mu      sync.Mutex
	lease   int  // seconds
	broken  bool // it answers 500
	given   int
	renewed int
	asked   int // logins, whatever became of them
	live    map[string]bool
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	token := r.Header.Get("X-Vault-Token")
	if r.URL.Path == "/v1/auth/approle/login" {
		i.asked++
	}
	switch {
	case i.broken:
		w.WriteHeader(http.StatusInternalServerError)
	case r.URL.Path == "/v1/auth/approle/login":
		i.given++
		token = fmt.Sprintf("token-%d", i.given)
		i.live[token] = true
		i.grant(w, token)
	case !i.live[token]:
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Path == "/v1/auth/token/renew-self":
		i.renewed++
		i.grant(w, token)
	case r.URL.Path == "/v1/auth/token/revoke-self":
		delete(i.live, token)
		w.WriteHeader(http.StatusNoContent)
	default:
		_, _ = w.Write([]byte(self))
	}
}

func (i *issuer) grant(w http.ResponseWriter, token string) {
	_, _ = fmt.Fprintf(w, `{"auth":{"client_token":%q,"renewable":true,"lease_duration":%d}}`, token, i.lease)
}

// set changes the issuer, or looks at it.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// logsIn makes a source that logs in to an issuer.
func logsIn(t *testing.T, i *issuer) *Source {
	t.Helper()
	i.live = make(map[string]bool)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for _, name := range []string{"role-id", "secret-id"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("id\n"), 0o600))
	}
	s, err := parse("vault " + server.URL + " {\nauth approle " + dir + "/role-id " + dir + "/secret-id\n}")
	require.NoError(t, err)
	require.NoError(t, provision(t, s))
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func TestTokenOutlivesCloseForAGrace(t *testing.T) {
	t.Parallel()
	i := &issuer{lease: 3600}
	s := logsIn(t, i)
	require.NoError(t, s.Probe(t.Context()))
	s.client.session.close(200 * time.Millisecond)

	require.NoError(t, s.Probe(t.Context()), "within the grace")
	i.set(func() { assert.Equal(t, 1, i.given) })
	require.Eventually(t, func() (gone bool) {
		i.set(func() { gone = len(i.live) == 0 })
		return gone
	}, 5*time.Second, 10*time.Millisecond)

	// An exchange that takes longer still is not left alone.
	require.NoError(t, s.Probe(t.Context()))
	i.set(func() { assert.Equal(t, 2, i.given) })
}

func TestManyWhoNeedATokenLogInOnce(t *testing.T) {
	t.Parallel()
	i := &issuer{lease: 3600}
	s := logsIn(t, i)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { assert.NoError(t, s.Probe(t.Context())) })
	}
	group.Wait()
	i.set(func() { assert.Equal(t, 1, i.given) })
}

// A login that has just failed is not tried for everyone who asks, and a token
// that lives is not thrown away for it.
func TestFailedLoginsBackOff(t *testing.T) {
	t.Parallel()
	i := &issuer{lease: 3600, broken: true}
	s := logsIn(t, i)
	end := time.Now().Add(time.Second)
	for time.Now().Before(end) {
		require.ErrorContains(t, s.Probe(t.Context()), "logging in to vault by approle: vault answers 500")
		time.Sleep(time.Millisecond)
	}
	i.set(func() {
		assert.Greater(t, i.asked, 2)
		assert.Less(t, i.asked, 8)
		i.broken = false
	})
	require.Eventually(t, func() bool { return s.Probe(t.Context()) == nil }, maxRetry+time.Second, 10*time.Millisecond)
}

func TestRenewalIsByItselfAndFailuresOfItAreTriedAgain(t *testing.T) {
	t.Parallel()
	i := &issuer{lease: 1}
	s := logsIn(t, i)
	require.NoError(t, s.Probe(t.Context()))
	time.Sleep(1500 * time.Millisecond)
	i.set(func() {
		assert.GreaterOrEqual(t, i.renewed, 1)
		assert.Equal(t, 1, i.given)
		i.lease = 2
	})
	time.Sleep(time.Second)
	i.set(func() { i.broken = true })
	time.Sleep(500 * time.Millisecond)
	i.set(func() { i.broken = false })
	time.Sleep(1500 * time.Millisecond)
	require.NoError(t, s.Probe(t.Context()))
	i.set(func() { assert.LessOrEqual(t, i.given, 2) })
}

// One policy mistake must not become a login for every request.
func TestTokenThatIsDeniedAtOnceIsNotReplacedAtOnce(t *testing.T) {
	t.Parallel()
	i := &issuer{lease: 3600}
	s := logsIn(t, i)
	require.NoError(t, s.Probe(t.Context()))
	i.set(func() { clear(i.live) })
	require.ErrorContains(t, s.Probe(t.Context()), "vault does not take a token that it has just given")
	i.set(func() { assert.Equal(t, 1, i.given) })
	time.Sleep(minLogin)
	require.NoError(t, s.Probe(t.Context()))
	i.set(func() { assert.Equal(t, 2, i.given) })
}
