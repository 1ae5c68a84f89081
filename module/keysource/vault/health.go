package vault

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

const (
	healthFor     = 2 * time.Second // how long an answer about Vault's health is used
	healthTimeout = time.Second     // how long a readiness probe waits for one
)

// health is the last answer about Vault's health.
type health struct {
	mu   sync.Mutex
	when time.Time
	err  error
}

// Operable reports why Vault can neither sign nor decrypt now: it is sealed, does
// not answer, or the last use of a key has shown that the policy or the key is
// no longer there. It asks Vault at most once in two seconds.
func (s *Source) Operable(ctx context.Context) error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.when) < healthFor {
		return h.err
	}
	// The client of one probe may disconnect; the answer is for all of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	_, err := s.client.version(ctx)
	if err == nil {
		err = s.mended(ctx)
	}
	if err != nil {
		err = i18n.Errorf("keys that stay in vault cannot be used: %w", err)
	}
	h.when, h.err = time.Now(), err
	return err
}

// failedUse is the last use of a Transit key, if Vault has refused it.
type failedUse struct {
	key   *transitKey
	needs need
}

// used records the result of a use of a Transit key.
func (s *Source) used(key *transitKey, needs need, err error) {
	last := s.failed.Load()
	_, answered := errors.AsType[*statusError](err)
	switch {
	case answered:
		s.failed.Store(&failedUse{key, needs})
	case err == nil && last != nil && last.needs == needs:
		s.failed.CompareAndSwap(last, nil)
	}
}

// mended returns why a use that Vault has refused would fail again. The readiness probe
// calls it, because a sidecar that is not ready gets no payment that would show it.
func (s *Source) mended(ctx context.Context) error {
	last := s.failed.Load()
	if last == nil {
		return nil
	}
	lacking, err := s.client.lacking(ctx, []need{last.needs})
	if err != nil {
		return err
	}
	if len(lacking) > 0 {
		return i18n.Errorf("%s", lacking[0].text())
	}
	if _, err := s.client.read(ctx, last.key.path()); isNothing(err) {
		return err
	}
	s.failed.CompareAndSwap(last, nil)
	return nil
}
