package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

// events counts what the chaos did.
type events struct {
	mu     sync.Mutex
	counts map[string]int
}

func (e *events) add(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = make(map[string]int)
	}
	e.counts[name]++
}

// String lists them.
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var text strings.Builder
	text.WriteString("meanwhile:\n")
	for _, name := range slices.Sorted(maps.Keys(e.counts)) {
		_, _ = fmt.Fprintf(&text, "  %-42s %7d\n", name, e.counts[name])
	}
	return text.String()
}

// chaos does something every few seconds until the context ends.
func (w *world) chaos(ctx context.Context) {
	w.provider.setChaos(true)
	defer w.provider.setChaos(false)
	rng := rand.New(rand.NewSource(w.seed)) //nolint:gosec // chaos, not secrets
	reloads := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(500+rng.Intn(2500)) * time.Millisecond):
		}
		var name string
		var err error
		switch n := rng.Intn(12); {
		case n < 3:
			reloads++
			name, err = "Caddy reloaded", w.reload(ctx, reloads)
		case n < 6:
			s := w.shops[rng.Intn(len(w.shops))]
			name, err = "keys rotated: "+s.scheme, w.rotate(s)
		case n == 6:
			name, err = "Vault sealed and unsealed", w.sealed(ctx)
		case n == 7:
			name, err = "Vault killed and restarted", w.killed(ctx)
		case n == 8:
			name, err = "logins revoked", w.vault.RevokeLogins("approle")
		case n == 9:
			name = "Vault cut off"
			w.fault(ctx, vaulttest.Cut(), 3*time.Second)
		case n == 10:
			name = "Vault slow"
			w.fault(ctx, vaulttest.Slow(700*time.Millisecond), 3*time.Second)
		default:
			code := []int{http.StatusInternalServerError, http.StatusForbidden, http.StatusTooManyRequests}[rng.Intn(3)]
			name = fmt.Sprintf("Vault answers %d", code)
			w.fault(ctx, vaulttest.Status(code), 3*time.Second)
		}
		if err != nil {
			name += " (failed)"
			fmt.Fprintln(os.Stderr, "soak:", name, err)
		}
		w.events.add(name)
	}
}

// rotate rotates a shop's keys, and waits until the sidecar must have taken
// them up before the next rotation can take the old ones away.
func (w *world) rotate(s *shop) error {
	if err := s.rotate(s, w.vault); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	return nil
}

func (w *world) fault(ctx context.Context, f vaulttest.Fault, span time.Duration) {
	w.proxy.Set(f)
	pause(ctx, span)
	w.proxy.Set(nil)
	pause(ctx, 2*time.Second)
}

func (w *world) sealed(ctx context.Context) error {
	if err := w.vault.Seal(); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	err := w.vault.Unseal()
	pause(ctx, 2*time.Second)
	return err
}

func (w *world) killed(ctx context.Context) error {
	if err := w.vault.Kill(); err != nil {
		return err
	}
	pause(ctx, time.Second)
	err := w.vault.Restart()
	pause(ctx, 2*time.Second)
	return err
}

// reload gives Caddy a new configuration over its admin socket.
func (w *world) reload(ctx context.Context, n int) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.dir, "admin.sock"))
	}}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "http://localhost/load", bytes.NewReader([]byte(w.caddyfile(n))))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // its status is all that counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("caddy refuses the configuration with status %d", res.StatusCode)
	}
	return nil
}

// heal ends every disturbance.
func (w *world) heal() { w.proxy.Set(nil) }

func pause(ctx context.Context, span time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(span):
	}
}
