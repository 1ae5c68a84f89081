package telemetry

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// sink is a log that can be made to stall or fail.
type sink struct {
	mu    sync.Mutex
	text  bytes.Buffer
	err   error
	block chan struct{} // nil, or writes wait until it is closed
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	block, err := s.block, s.err
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSpace(s.text.String()), "\n")
}

func (s *sink) core(level zapcore.Level) zapcore.Core {
	return zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}), zapcore.AddSync(s), level)
}

// auditTo returns an audit log that writes to a sink.
func auditTo(t *testing.T, s *sink, config AuditConfig) *Audit {
	t.Helper()
	a, err := OpenAudit(caddy.Context{}, &config)
	require.NoError(t, err)
	a.core = s.core(zapcore.InfoLevel)
	return a
}

func lostBy(t *testing.T, do func()) float64 {
	t.Helper()
	before := value(t, auditLost)
	do()
	return value(t, auditLost) - before
}

func TestEntriesStandBeforeDoneReturns(t *testing.T) {
	s := new(sink)
	a := auditTo(t, s, AuditConfig{})
	for i := range 100 {
		a.Done(&Entry{ID: "I", Outcome: "ok"}, MessageExchange)
		require.Len(t, s.lines(), i+1)
	}
	assert.NoError(t, a.Intent(&Entry{ID: "I"}))
	assert.Len(t, s.lines(), 100, "without the option there is no intent")
}

func TestALogThatStallsHoldsNoPayment(t *testing.T) {
	s := &sink{block: make(chan struct{})}
	a := auditTo(t, s, AuditConfig{Queue: 10})
	start := time.Now()
	lost := lostBy(t, func() {
		for range 100 {
			a.Done(&Entry{ID: "I", Outcome: "ok"}, MessageExchange)
		}
	})
	assert.Less(t, time.Since(start), 10*patience, "only the first ones wait")
	assert.EqualValues(t, 100-1-10, lost, "one is being written, ten wait")

	start = time.Now()
	a.Stop()
	assert.Less(t, time.Since(start), 2*stopWait)
	close(s.block)
	a.queue.drain(time.Second)
	assert.Len(t, s.lines(), 11)

	a.Done(&Entry{ID: "J", Outcome: "ok"}, MessageExchange)
	assert.Len(t, s.lines(), 12, "it goes on when the log does")
}

func TestALogThatFailsIsCounted(t *testing.T) {
	s := &sink{err: errors.New("no space left on device")}
	a := auditTo(t, s, AuditConfig{})
	assert.EqualValues(t, 1, lostBy(t, func() { a.Done(&Entry{ID: "I"}, MessageExchange) }))
}

func TestIntent(t *testing.T) {
	s := new(sink)
	a := auditTo(t, s, AuditConfig{Intent: true})
	e := &Entry{ID: "I", Outcome: ""}
	require.NoError(t, a.Intent(e))
	assert.Contains(t, s.lines()[0], `"outcome":"intent"`)
	assert.Contains(t, s.lines()[0], `"msg":"intent"`)
	assert.Empty(t, e.Outcome)

	s.err = errors.New("full")
	assert.NoError(t, a.Intent(e), "only required refuses")
	s.err, s.block = nil, make(chan struct{})
	defer close(s.block)
	start := time.Now()
	assert.NoError(t, a.Intent(e))
	assert.Less(t, time.Since(start), time.Second)
}

func TestRequired(t *testing.T) {
	s := new(sink)
	a := auditTo(t, s, AuditConfig{Required: true, Queue: 2})
	require.NoError(t, a.Intent(&Entry{ID: "I"}))
	assert.Len(t, s.lines(), 1)

	s.err = errors.New("no space left on device")
	assert.ErrorContains(t, a.Intent(&Entry{ID: "I"}), "no space left on device")

	s.err, s.block = nil, make(chan struct{})
	start := time.Now()
	assert.ErrorIs(t, a.Intent(&Entry{ID: "I"}), errStalled)
	assert.Less(t, time.Since(start), requiredWait+time.Second)
	start = time.Now()
	assert.ErrorIs(t, a.Intent(&Entry{ID: "I"}), errStalled)
	assert.Less(t, time.Since(start), time.Second, "a log that is known to stall is not waited for")
	assert.NoError(t, func() error {
		close(s.block)
		a.queue.drain(time.Second)
		s.block = nil
		return a.Intent(&Entry{ID: "I"})
	}())

	a.core = s.core(zapcore.ErrorLevel)
	assert.ErrorIs(t, a.Intent(&Entry{ID: "I"}), errNoLog)
}

// The entry that is written is the one that was given, whatever becomes of it
// afterwards.
func TestEntriesAreCopied(t *testing.T) {
	s := &sink{block: make(chan struct{})}
	a := auditTo(t, s, AuditConfig{})
	e := &Entry{ID: "I", Outcome: "ok", Reference: strings.Repeat("x", 1<<20)}
	a.Done(e, MessageExchange)
	e.Outcome = "changed"
	close(s.block)
	a.queue.drain(time.Second)
	assert.Contains(t, s.lines()[0], `"outcome":"ok"`)
	assert.Less(t, len(s.lines()[0]), 2048, "texts are cut")
}

func TestQueuedLogger(t *testing.T) {
	s := new(sink)
	errorsOnly := new(sink)
	tee := zapcore.NewTee(s.core(zapcore.InfoLevel), errorsOnly.core(zapcore.ErrorLevel))
	logger := queued(zap.New(tee), patience).With(zap.String("profile", "p"))
	logger.Info("one", zap.Error(errors.New(strings.Repeat("x", 1<<20))))
	logger.Debug("two")
	logger.Error("three", zap.Strings("some", []string{"a"}))
	require.Len(t, s.lines(), 2)
	assert.Less(t, len(s.lines()[0]), 2048)
	assert.Contains(t, s.lines()[0], `"profile":"p"`)
	assert.Equal(t, []string{`{"msg":"three","profile":"p","some":["a"]}`}, errorsOnly.lines(), "each log has its level")

	s.block = make(chan struct{})
	defer close(s.block)
	start := time.Now()
	for range 10 {
		logger.Info("four")
	}
	assert.Less(t, time.Since(start), 10*patience)
	assert.NoError(t, logger.Sync())
}

func TestLossesNameTheirID(t *testing.T) {
	record := &record{audit: &Entry{ID: "I"}}
	assert.Equal(t, "I", recordID(record))
	record.audit, record.fields = nil, []zapcore.Field{zap.Int("n", 1), zap.String("id", "J")}
	assert.Equal(t, "J", recordID(record))
	p := reporter{reports: make(chan report, 1)}
	p.start.Do(func() {}) // nobody writes: standard error has stalled
	for range 3 {
		p.add(report{ID: "I"})
	}
	<-p.reports
	p.add(report{ID: "J"})
	assert.Equal(t, 2, (<-p.reports).More)
}

func BenchmarkDone(b *testing.B) {
	a := &Audit{core: zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}), zapcore.AddSync(discard{}), zapcore.InfoLevel)}
	a.queue = &queue{size: DefaultQueue, write: a.write, lost: reportLost}
	e := &Entry{ID: "I", Profile: "p", Outcome: "ok", Fingerprints: []string{"a", "b"}}
	b.Run("queued", func(b *testing.B) {
		for b.Loop() {
			a.Done(e, MessageExchange)
		}
	})
	b.Run("direct", func(b *testing.B) {
		logger := zap.New(a.core)
		for b.Loop() {
			logger.Info(MessageExchange, zap.Inline(e))
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// What a log has not taken when the process ends is counted and reported, each by its id.
func TestEntriesThatAreGivenUp(t *testing.T) {
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	var lost []string
	q := &queue{size: 10, write: func(*record) error { <-blocked; return nil }, lost: func(r *record, err error) {
		assert.Equal(t, errEnded, err)
		lost = append(lost, recordID(r))
	}}
	for _, id := range []string{"a", "b", "c"} {
		require.True(t, q.add(&record{audit: &Entry{ID: id}}))
	}
	q.drain(10 * time.Millisecond)
	q.abandon()
	assert.Equal(t, []string{"a", "b", "c"}, lost)
}
