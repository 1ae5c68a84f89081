package telemetry

import (
	"encoding/hex"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// AuditLogger is the name of the audit logger.
const AuditLogger = "http.countersign.audit"

// audit lends its ID to the name of the audit logger; it is no module.
type audit struct{}

// CaddyModule returns what names the logger.
func (audit) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: AuditLogger} }

// NewAudit makes the audit logger of a configuration.
func NewAudit(ctx caddy.Context) *zap.Logger { return ctx.Logger(audit{}) }

// Entry is an audit entry: which key signed what, for whom, and what became of
// it. It identifies a message by the digest of its canonical string and has no
// room for a value of the body.
type Entry struct {
	ID             string
	Profile        string
	Scheme         string
	Reference      string
	Fingerprints   []string
	CanonicalSHA   [32]byte // zero if nothing was signed or verified
	RequestBytes   int
	ResponseBytes  int
	Seal           time.Duration
	Upstream       time.Duration
	Open           time.Duration
	UpstreamStatus int
	Outcome        string
	Verdict        string // with client_gone: what became of the exchange
}

// Log writes the entry.
func (e *Entry) Log(logger *zap.Logger, message string) {
	if c := logger.Check(zapcore.InfoLevel, message); c != nil {
		c.Write(zap.Inline(e))
	}
}

// MarshalLogObject writes the fields of the entry.
func (e *Entry) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("id", e.ID)
	enc.AddString("profile", e.Profile)
	enc.AddString("scheme", e.Scheme)
	enc.AddString("reference", e.Reference)
	if err := enc.AddArray("key_fingerprints", (*texts)(&e.Fingerprints)); err != nil {
		return err
	}
	sum := ""
	if e.CanonicalSHA != [32]byte{} {
		sum = hex.EncodeToString(e.CanonicalSHA[:])
	}
	enc.AddString("canonical_sha256", sum) // what Caddy's filters change are strings only
	enc.AddInt("request_bytes", e.RequestBytes)
	enc.AddInt("response_bytes", e.ResponseBytes)
	enc.AddFloat64("seal_ms", ms(e.Seal))
	enc.AddFloat64("upstream_ms", ms(e.Upstream))
	enc.AddFloat64("open_ms", ms(e.Open))
	enc.AddInt("upstream_status", e.UpstreamStatus)
	enc.AddString("outcome", e.Outcome)
	if e.Verdict != "" {
		enc.AddString("verdict", e.Verdict)
	}
	return nil
}

// ms is milliseconds to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

type texts []string

// MarshalLogArray writes the texts.
func (t *texts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for _, s := range *t {
		enc.AppendString(s)
	}
	return nil
}
