package app

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// The time limit of one try of a probe, and the pause between two tries.
const (
	probeTimeout = 5 * time.Second
	probePause   = time.Second
	longestProbe = 30 * time.Second
)

// probe checks once, when the configuration starts, that a store can do what handlers
// need of it.
type probe struct {
	what string
	ask  func(context.Context) error
	ok   atomic.Bool
}

// ProbeAtStart registers a check of a store that runs when the configuration starts,
// and again until it succeeds. Until then its error is in the log, and
// countersign_ready does not match. Handlers call it in Provision.
func (a *App) ProbeAtStart(what string, ask func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.probes = append(a.probes, &probe{what: what, ask: ask})
}

// probed reports whether every store has answered.
func (a *App) probed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.probes {
		if !p.ok.Load() {
			return false
		}
	}
	return true
}

// run repeats the check until it succeeds.
func (p *probe) run(ctx context.Context, logger *zap.Logger) {
	said := ""
	for pause := probePause; ; pause = min(2*pause, longestProbe) {
		try, cancel := context.WithTimeout(ctx, probeTimeout)
		err := p.ask(try)
		cancel()
		if err == nil {
			p.ok.Store(true)
			if said != "" {
				logger.Info("a store answers now", zap.String("store", p.what))
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said {
			said = text
			logger.Error("a store does not answer as it must; until it does, what needs it is refused", zap.String("store", p.what), zap.Error(err))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
