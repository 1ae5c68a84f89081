package telemetry

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

const (
	// checkpointEvery is the time between two checkpoints of the audit chain.
	checkpointEvery = time.Minute

	// stopWait is how long the audit log takes at most to be written and signed
	// when the configuration stops, each.
	stopWait = 2 * time.Second
)

// Signer signs a message with the key of the audit chain.
type Signer func(ctx context.Context, message []byte) (auditchain.Signature, error)

// Start opens the audit chain, if one is configured, and begins to sign
// checkpoints if there is a signer. Failures to sign are logged to logger.
func (a *Audit) Start(signer Signer, logger *zap.Logger) error {
	if a == nil || a.config.Chain == nil {
		return nil
	}
	state := a.config.Chain.State
	if state == "" {
		state = filepath.Join(caddy.AppDataDir(), "countersign", "audit-chain")
	}
	chain, err := auditchain.Open(state)
	if err != nil {
		return err
	}
	a.chain.Store(chain)
	if signer == nil {
		return nil
	}
	s := &checkpoints{audit: a, chain: chain, sign: signer, logger: logger}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.run(ctx) })
	a.stop = func() {
		cancel()
		done.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		s.checkpoint(ctx)
	}
	return nil
}

// Stop waits until the queue is written, and signs a last checkpoint. It takes at most
// four times stopWait. Exchanges that are still in flight are logged after it.
func (a *Audit) Stop() {
	if a == nil {
		return
	}
	a.queue.drain(stopWait)
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
	a.queue.drain(stopWait / 2)
	if caddy.Exiting() {
		a.queue.abandon()
		losses.flush(stopWait)
	}
}

// checkpoints signs the head of a chain every checkpointEvery.
type checkpoints struct {
	audit  *Audit
	chain  *auditchain.Chain
	sign   Signer
	logger *zap.Logger
	signed uint64 // number of the last entry that is signed, or of the checkpoint itself
}

func (s *checkpoints) run(ctx context.Context) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			limited, cancel := context.WithTimeout(ctx, checkpointEvery/2)
			s.checkpoint(limited)
			cancel()
		}
	}
}

// checkpoint signs the last entry that was written, unless it is a checkpoint
// itself or there is none.
func (s *checkpoints) checkpoint(ctx context.Context) {
	head := s.chain.Head()
	if head.Seq == 0 || head.Seq == s.signed {
		return
	}
	now := time.Now()
	signature, err := s.sign(ctx, auditchain.Signed(head, auditchain.FormatTime(now)))
	if err != nil {
		if ctx.Err() == nil || !errors.Is(context.Cause(ctx), context.Canceled) {
			s.logger.Error("signing a checkpoint of the audit chain failed", zap.Uint64("seq", head.Seq), zap.Error(err))
		}
		return
	}
	r := &record{
		entry:  zapcore.Entry{Level: zapcore.InfoLevel, Time: now, LoggerName: AuditLogger, Message: MessageCheckpoint},
		fields: auditchain.CheckpointFields(head, signature),
	}
	if s.audit.queue.put(r, patience) == nil {
		s.signed = head.Seq + 1 // if nothing came between, the checkpoint's own number
	}
}
