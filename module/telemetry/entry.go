package telemetry

import (
	"encoding/hex"
	"time"

	"go.uber.org/zap/zapcore"
)

// Entry is an audit entry: which key signed what, for whom, and the outcome. It
// identifies a message by the digest of its canonical string. No field of it
// takes a value of the body.
type Entry struct {
	ID             string        // the same as in the problem and the access log
	Profile        string        // the handler's name in logs
	Scheme         string        // name of the scheme
	Reference      string        // of the key set
	Fingerprints   []string      // of the keys that were used, as keys.Fingerprint makes them
	CanonicalSHA   [32]byte      // SHA-256 of the canonical string; zero if nothing was signed or verified
	RequestBytes   int           // of the body as the client sent it
	ResponseBytes  int           // of the provider's answer, after a content coding was undone
	Seal           time.Duration // zero for a stage that was not reached
	Upstream       time.Duration
	Open           time.Duration
	UpstreamStatus int    // 0 if no answer came
	Outcome        string // "ok" or the reason
	Verdict        string // with client_gone: what became of the exchange
	Guard          string // what the guardrails decided; "" if there are none
	Caller         string // the client as it has authenticated itself; "" if it has not
}

// copy returns a copy that stays as it is when e changes.
func (e *Entry) copy() *Entry {
	c := *e
	for _, text := range []*string{&c.Reference, &c.Verdict, &c.Guard, &c.Caller} {
		*text = cut(*text)
	}
	return &c
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
	enc.AddString("canonical_sha256", sum) // Caddy's log filters change strings only
	enc.AddInt("request_bytes", e.RequestBytes)
	enc.AddInt("response_bytes", e.ResponseBytes)
	enc.AddFloat64("seal_ms", ms(e.Seal))
	enc.AddFloat64("upstream_ms", ms(e.Upstream))
	enc.AddFloat64("open_ms", ms(e.Open))
	enc.AddInt("upstream_status", e.UpstreamStatus)
	enc.AddString("outcome", e.Outcome)
	for _, optional := range []struct{ name, text string }{
		{"verdict", e.Verdict}, {"guard", e.Guard}, {"caller", e.Caller},
	} {
		if optional.text != "" {
			enc.AddString(optional.name, optional.text)
		}
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
