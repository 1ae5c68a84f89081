package vault

import (
	"context"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// The times of logins and renewals.
const (
	minRenewal = 500 * time.Millisecond // between two renewals, however short the lease
	minLogin   = time.Second            // between two logins that denials have caused
	minRetry   = 100 * time.Millisecond // after a login that failed; it doubles each time
	maxRetry   = 2 * time.Second        // the longest
)

// session has a token that Vault accepts: it logs in when a token is first needed,
// renews it when two thirds of its lease are over, and logs in again when a renewal
// extends the lease too little or Vault no longer accepts the token. Only one login or
// renewal runs at a time, and all callers wait for it.
type session struct {
	client *client
	auth   Auth

	mu       sync.Mutex
	grant    grant   // the one in use
	flight   *flight // the login or renewal that runs, or nil
	timer    *time.Timer
	failures int
	retryAt  time.Time // not before that is Vault asked again
	err      error     // of the last login
	closed   bool

	ctx  context.Context
	stop context.CancelFunc
}

// grant is a token and how long it lives.
type grant struct {
	token     string
	renewable bool
	lease     time.Duration // as it was at login; 0 for a token without end
	since     time.Time     // of the login
	expires   time.Time
}

func (g grant) serves(now time.Time) bool {
	return g.token != "" && (g.lease == 0 || now.Before(g.expires))
}

// flight is a login or renewal under way.
type flight struct {
	done  chan struct{}
	token string
	err   error
}

func newSession(c *client, auth Auth) *session {
	ctx, stop := context.WithCancel(context.Background())
	return &session{client: c, auth: auth, ctx: ctx, stop: stop}
}

// token returns a token that Vault is expected to accept.
func (s *session) token(ctx context.Context) (string, error) {
	changed := s.auth.rotated() // the file is read before the lock is taken
	s.mu.Lock()
	current := s.grant
	if current.serves(time.Now()) && !changed(current.token) {
		s.mu.Unlock()
		return current.token, nil
	}
	f := s.begin(false)
	s.mu.Unlock()
	token, err := f.wait(ctx)
	if err != nil && current.serves(time.Now()) {
		return current.token, nil // the new file cannot be used, and the old token is still valid
	}
	return token, err
}

// replace returns a token other than one that Vault no longer accepts.
func (s *session) replace(ctx context.Context, dead string) (string, error) {
	s.mu.Lock()
	if s.grant.token != dead && s.grant.serves(time.Now()) {
		defer s.mu.Unlock()
		return s.grant.token, nil
	}
	if time.Since(s.grant.since) < minLogin {
		s.mu.Unlock()
		return "", i18n.Errorf("vault does not take a token that it has just given; it must have the policy default, and the sidecar will log in again")
	}
	f := s.begin(true)
	s.mu.Unlock()
	token, err := f.wait(ctx)
	if err == nil && token == dead {
		return "", i18n.Errorf("vault denied the token and then renewed it; the next request will tell")
	}
	return token, err
}

// begin returns the login or renewal that runs, or starts one. After a failed login it
// returns that failure until retryAt. It is called with s.mu locked.
func (s *session) begin(denied bool) *flight {
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	if s.err != nil && time.Now().Before(s.retryAt) {
		f.err = s.err
		close(f.done)
		return f
	}
	s.flight = f
	ctx := s.ctx
	if s.closed { // an exchange in flight may still sign
		ctx = context.Background()
	}
	go s.fly(ctx, f, s.grant, denied)
	return f
}

// fly renews the token or logs in, and wakes those who wait.
func (s *session) fly(ctx context.Context, f *flight, current grant, denied bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	next, err := s.obtain(ctx, current, denied)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.grant, s.failures, s.err = next, 0, nil
		s.arm(max(time.Until(next.expires)*2/3, minRenewal))
	} else {
		pause := min(minRetry<<min(s.failures, 10), maxRetry)
		s.failures++
		s.err, s.retryAt = err, time.Now().Add(keys.Jitter(pause))
		if s.grant.serves(time.Now()) {
			s.arm(pause)
		}
	}
	f.token, f.err, s.flight = next.token, err, nil
	close(f.done)
}

// obtain renews a token that serves, and otherwise logs in.
func (s *session) obtain(ctx context.Context, current grant, denied bool) (grant, error) {
	if denied || !current.renewable || !current.serves(time.Now()) || s.auth.rotated()(current.token) {
		return s.login(ctx)
	}
	renewed, err := s.renew(ctx, current)
	if err == nil && time.Until(renewed.expires) >= renewed.lease/2 {
		return renewed, nil
	}
	// The renewal failed, or extended the lease too little because the token is near
	// the maximum lease of its role.
	next, loginErr := s.login(ctx)
	if loginErr != nil && err == nil {
		return renewed, nil
	}
	return next, loginErr
}

// arm starts the timer of the next renewal. It is called with s.mu locked.
func (s *session) arm(pause time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.closed || s.grant.lease == 0 {
		return
	}
	s.timer = time.AfterFunc(keys.Jitter(pause), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed && s.grant.token != "" {
			s.begin(false)
		}
	})
}

// close ends the renewals of the token. For exchanges in flight the token stays valid,
// and logins stay possible, until the grace is over. Then a token of a login is
// revoked.
func (s *session) close(grace time.Duration) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	f := s.flight
	s.mu.Unlock()
	s.stop()
	if f != nil {
		<-f.done
	}
	if grace == 0 {
		s.revoke()
		return
	}
	time.AfterFunc(grace, s.revoke)
}

// revoke revokes the token of a login. A token of a file is not revoked, because others
// may use it.
func (s *session) revoke() {
	s.mu.Lock()
	token := s.grant.token
	s.grant = grant{}
	s.mu.Unlock()
	if token != "" && s.auth.Method != methodTokenFile {
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		defer cancel()
		// If that fails the token ends with its lease.
		_, _ = s.client.do(ctx, request{path: "auth/token/revoke-self", body: map[string]any{}}, token)
	}
	s.client.transport.CloseIdleConnections()
}

// wait waits for the end of a flight.
func (f *flight) wait(ctx context.Context) (string, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return "", i18n.Errorf("logging in to vault: %w", describe(ctx.Err()))
	}
}
