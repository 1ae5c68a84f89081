package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// version is the version of Vault, or "". Vault shows it without a token.
func (c *client) version(ctx context.Context) (string, error) {
	text, err := c.raw(ctx, request{path: "sys/health", root: true, query: url.Values{
		"standbyok": {"true"}, "perfstandbyok": {"true"},
	}}, "")
	if err != nil {
		return "", err
	}
	var health struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(text, &health) != nil {
		return "", errors.New("vault's answer for sys/health is not what vault sends; check the address")
	}
	return health.Version, nil
}

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

// Operable reports why Vault can neither sign nor decrypt now: it is sealed, or
// does not answer. It asks Vault at most once in two seconds.
func (s *Source) Operable(ctx context.Context) error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.when) < healthFor {
		return h.err
	}
	// The client of one probe may leave; the answer is for all of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	_, err := s.client.version(ctx)
	if err != nil {
		err = fmt.Errorf("keys that stay in vault cannot be used: %w", err)
	}
	h.when, h.err = time.Now(), err
	return err
}
