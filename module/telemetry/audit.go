package telemetry

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

// AuditLogger is the name of the audit logger.
const AuditLogger = "http.countersign.audit"

// The messages of audit entries.
const (
	MessageIntent       = "intent"       // written before the first byte leaves
	MessageExchange     = "exchange"     // an exchange has ended
	MessageNotification = "notification" // a notification has ended
	MessageCheckpoint   = "checkpoint"   // a signature over the chain so far
)

// OutcomeIntent is the outcome of an entry that is written before the first byte
// leaves.
const OutcomeIntent = "intent"

// requiredWait is how long a payment waits for its entry with the option
// required.
const requiredWait = 2 * time.Second

// errNoLog says that no log of the configuration takes audit entries.
var errNoLog = i18n.Errorf("no log takes entries of %s at level info", AuditLogger)

// audit is the module whose ID becomes the name of the audit logger. It is not
// registered.
type audit struct{}

// CaddyModule returns the ID that names the logger.
func (audit) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: AuditLogger} }

// Audit is the audit log of a configuration. Its entries wait in a queue of
// bounded size and are written by a goroutine, so that a log that stalls or
// fails holds no payment. Entries that are lost are counted in
// caddy_countersign_audit_lost_total and reported on standard error.
//
// A handler takes it from AuditOf, calls Intent before the first byte of a
// request leaves, and Done when the exchange has ended and before its answer is
// released.
type Audit struct {
	config AuditConfig
	core   zapcore.Core // of Caddy's logger, which writes
	queue  *queue
	chain  atomic.Pointer[auditchain.Chain] // nil without the option chain, and before Start
	stop   func()                           // ends the checkpoints; nil if there are none
}

// OpenAudit makes the audit log of a configuration. The app calls it when it is
// provisioned; a nil config has the defaults.
func OpenAudit(ctx caddy.Context, config *AuditConfig) (*Audit, error) {
	a := new(Audit)
	if config != nil {
		a.config = *config
	}
	if a.config.Queue < 0 {
		return nil, i18n.Errorf("audit: queue must be positive")
	}
	if a.config.Queue == 0 {
		a.config.Queue = DefaultQueue
	}
	a.core = ctx.Logger(audit{}).Core()
	a.queue = &queue{size: a.config.Queue, write: a.write, lost: reportLost}
	return a, nil
}

// AuditOf returns the audit log of the configuration that a handler belongs to:
// that of the app countersign if it is configured, and otherwise one with the
// defaults.
func AuditOf(ctx caddy.Context) (*Audit, error) {
	app, err := ctx.AppIfConfigured("countersign")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return OpenAudit(ctx, nil)
	}
	if err != nil {
		return nil, err
	}
	if holder, ok := app.(interface{ AuditLog() *Audit }); ok && holder.AuditLog() != nil {
		return holder.AuditLog(), nil
	}
	return OpenAudit(ctx, nil)
}

// Enabled reports whether any log takes audit entries.
func (a *Audit) Enabled() bool { return a.core.Enabled(zapcore.InfoLevel) }

// Intent writes an entry that says that a request is about to be sent, with the
// outcome "intent". It does nothing unless the option intent or required is set.
//
// An error says that the entry was not written and the option required is set:
// nothing may be sent, and the request is answered with audit_unavailable. It
// waits for at most 2 s then, and without required for at most 50 ms.
func (a *Audit) Intent(e *Entry) error {
	if !a.config.Intent && !a.config.Required {
		return nil
	}
	intent := *e
	intent.Outcome = OutcomeIntent
	if !a.config.Required {
		_ = a.put(&intent, MessageIntent, patience) // losses are reported by the queue
		return nil
	}
	if err := a.put(&intent, MessageIntent, requiredWait); err != nil {
		return i18n.Errorf("writing the audit entry: %w", err)
	}
	return nil
}

// Done writes the entry of an exchange or notification that has ended. It waits
// for at most 50 ms until it is written, and not at all for a log that has
// stalled; an entry that is lost is counted and reported. The message is
// MessageExchange or MessageNotification.
func (a *Audit) Done(e *Entry, message string) { _ = a.put(e, message, patience) }

func (a *Audit) put(e *Entry, message string, wait time.Duration) error {
	if !a.Enabled() && !a.config.Required {
		return nil
	}
	entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: time.Now(), LoggerName: AuditLogger, Message: message}
	return a.queue.put(auditRecord(entry, e), wait)
}

func auditRecord(entry zapcore.Entry, e *Entry) *record {
	c := e.copy()
	return &record{entry: entry, audit: c, fields: []zapcore.Field{zap.Inline(c)}}
}

// write writes a record, as the next entry of the chain if there is one.
func (a *Audit) write(r *record) error {
	write := func(fields []zapcore.Field) error {
		if a.config.Required && a.core.Check(r.entry, nil) == nil {
			return errNoLog
		}
		return writeTo(a.core, r.entry, fields)
	}
	if chain := a.chain.Load(); chain != nil {
		return chain.Append(r.entry, r.fields, write)
	}
	return write(r.fields)
}
