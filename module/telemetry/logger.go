package telemetry

import (
	"errors"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxText is the longest text in a field of a log entry, in bytes. Names out of
// a request can be as long as its body.
const maxText = 1024

// NewLogger returns ctx.Logger() with a queue, for modules that log while they handle a
// payment: a goroutine writes the entries, so that a log that stalls delays no payment.
// An entry that is lost is reported on standard error. Texts in fields are cut to 1
// KiB.
func NewLogger(ctx caddy.Context) *zap.Logger { return queued(ctx.Logger(), patience) }

// queued puts a queue in front of a logger's core. A caller waits for its entry
// for at most the given time.
func queued(logger *zap.Logger, wait time.Duration) *zap.Logger {
	q := &queue{size: DefaultQueue, write: writeRecord, lost: reportLost}
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return &queuedCore{Core: core, queue: q, wait: wait}
	}))
}

// queuedCore is a core that a queue writes to.
type queuedCore struct {
	zapcore.Core
	queue *queue
	wait  time.Duration
}

// With returns a core with further fields and the same queue.
func (c *queuedCore) With(fields []zapcore.Field) zapcore.Core {
	return &queuedCore{Core: c.Core.With(snapshot(fields)), queue: c.queue, wait: c.wait}
}

// Check accepts every entry of an enabled level. The inner core, whose decision also
// depends on the logger's name, is asked when the entry is written.
func (c *queuedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write puts the entry into the queue.
func (c *queuedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	_ = c.queue.put(&record{entry: entry, fields: snapshot(fields), core: c.Core}, c.wait)
	return nil // what is lost is reported by the queue
}

// Sync waits for a short time until the queue is empty.
func (c *queuedCore) Sync() error {
	c.queue.drain(patience)
	return nil
}

// snapshot copies fields whose values could change or be large before they are
// written.
func snapshot(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		switch f.Type {
		case zapcore.StringType:
			f.String = cut(f.String)
		case zapcore.ErrorType:
			if err, ok := f.Interface.(error); ok {
				f = zap.String(f.Key, cut(err.Error()))
			}
		}
		out[i] = f
	}
	return out
}

// cut shortens a text that is longer than maxText.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + "…"
}

// writeRecord writes a record to its core.
func writeRecord(r *record) error { return writeTo(r.core, r.entry, r.fields) }

// writeTo writes an entry to the parts of a core whose Check accepts it, and returns
// their error. zapcore.Core.Write alone would write to all parts.
func writeTo(core zapcore.Core, entry zapcore.Entry, fields []zapcore.Field) error {
	checked := core.Check(entry, nil)
	if checked == nil {
		return nil
	}
	var failure failureText
	checked.ErrorOutput = &failure
	checked.Write(fields...)
	if len(failure) > 0 {
		_, text, _ := strings.Cut(string(failure), "write error: ") // a time stands before it
		return errors.New(strings.TrimSpace(text))
	}
	return nil
}

// failureText collects the text that zap reports about a failed write.
type failureText []byte

// Write appends to the text.
func (f *failureText) Write(p []byte) (int, error) {
	*f = append(*f, p...)
	return len(p), nil
}

// Sync does nothing.
func (*failureText) Sync() error { return nil }
