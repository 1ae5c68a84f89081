package notify

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// The outcomes that are not reasons of problems.
const (
	outcomeOK       = "ok"
	outcomeRepeated = "repeated"
)

// notAcknowledged is the verdict on an answer that does not count as an
// acknowledgement.
const notAcknowledged = "not_acknowledged"

// notification is the state of one notification while it is handled.
type notification struct {
	h    *Handler
	text []byte // the body for the application

	verified *scheme.Verified
	keys     *keys.Set
	ended    bool // the entry is written
	entry    telemetry.Entry

	detail    i18n.Text // of the problem
	diagnosis i18n.Text // why the signature does not verify, for the log

	inspection   *inspection // nil unless the inspector keeps messages
	method, path string      // for the inspector
}

// begin starts a notification and makes its id known to the access log.
func (h *Handler) begin(r *http.Request) *notification {
	n := &notification{h: h}
	n.entry = telemetry.Entry{ID: problem.NewID(), Profile: h.Profile, Scheme: h.Scheme.Name, Reference: h.Reference}
	n.inspect(r)
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("countersign_id", n.entry.ID))
	}
	return n
}

// open finds the keys, verifies and decrypts the notification, and checks its age and
// the expected values.
func (n *notification) open(ctx context.Context, m *message.Message) (*scheme.Verified, *problem.Problem) {
	reference, ok := n.h.reference.Resolve(func(member string) (string, bool) {
		if m.Payload == nil {
			return "", false
		}
		found, ok := m.Payload.Get(body.Path{member})
		if !ok || found.Kind() != body.String {
			return "", false
		}
		return string(found.Text()), true
	})
	if !ok {
		return nil, problem.New(problem.UnknownKeySet, i18n.T("the notification names no key set: a member that stands in the key reference is missing or is no plain name"), nil)
	}
	n.entry.Reference = reference
	set, p := inbound.FindKeys(ctx, n.h.meter, n.h.ring, reference, n.h.rules.Notification.Roles...)
	if p != nil {
		return nil, p
	}
	n.keys = set
	if err := n.h.checkKinds(set); err != nil {
		return nil, problem.New(problem.KeysUnavailable, i18n.Of(err), nil)
	}

	end := n.h.meter.Span(ctx, telemetry.SpanOpen)
	start := time.Now()
	in := scheme.Incoming{Message: m, Keys: set, Now: start}
	verified, err := scheme.Open(n.h.scheme, in)
	n.entry.Open = max(time.Since(start), 1)
	if err != nil {
		n.diagnosis = n.h.diagnoses.Sentence(n.h.scheme, in, err)
		p = openProblem(err)
	} else {
		n.entry.Fingerprints = verified.Fingerprints()
		n.entry.CanonicalSHA = sha256.Sum256(verified.Canonical())
		p = n.h.admit(verified)
	}
	if p != nil {
		end(string(p.Reason))
		return nil, p
	}
	end("")
	return verified, nil
}

func openProblem(err error) *problem.Problem {
	code := problem.NotificationInvalid
	switch scheme.ReasonOf(err) {
	case scheme.Unsigned, scheme.BadSignature, scheme.Ambiguous:
		code = problem.NotificationSignatureInvalid
	case scheme.Stale:
		code = problem.NotificationStale
	case scheme.NeedsKeys:
		code = problem.KeysUnavailable
	}
	return problem.New(code, i18n.Of(err), errors.Unwrap(err))
}

// admit checks the age and the expected values of a verified notification.
func (h *Handler) admit(v *scheme.Verified) *problem.Problem {
	if p := h.checkExpected(v); p != nil {
		return p
	}
	if h.Window == 0 {
		return nil
	}
	stamp, ok := h.rules.Notify.Time(v)
	if !ok {
		return problem.New(problem.NotificationStale, i18n.T("the notification has no time stamp that can be read, so that its age is not known"), nil)
	}
	age := time.Since(stamp)
	switch window := time.Duration(h.Window); {
	case age > window:
		return problem.New(problem.NotificationStale, i18n.T("the notification's time stamp is older than window allows"), nil)
	case age < -window:
		return problem.New(problem.NotificationStale, i18n.T("the notification's time stamp is further in the future than window allows; compare the clocks"), nil)
	}
	return nil
}

// refuse ends the notification with a problem and answers with it.
func (n *notification) refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) error {
	n.fail(p)
	return inbound.Answer(w, r, p, n.h.language)
}

// fail ends the notification with a problem.
func (n *notification) fail(p *problem.Problem) {
	if n.ended {
		return
	}
	p.ID, p.Notification = n.entry.ID, true
	n.detail = p.Text()
	n.end(string(p.Reason), "")
	if p.Reason == problem.NotificationSignatureInvalid {
		telemetry.Emit(telemetry.EventVerificationFailed, map[string]any{
			"id": p.ID, "profile": n.h.Profile, "scheme": n.entry.Scheme, "reference": n.entry.Reference, "reason": string(p.Reason),
		})
	}
	level := zap.WarnLevel
	if p.Reason.Status() >= http.StatusInternalServerError {
		level = zap.ErrorLevel
	}
	held := zap.Skip()
	if p.Repeats() {
		var ok bool
		if held, ok = n.h.held.Admit(telemetry.Alike(string(p.Reason), p.Detail, p.Cause()), time.Now()); !ok {
			return
		}
	}
	if c := n.h.logger.Check(level, "notification failed"); c != nil {
		c.Write(held, zap.String("id", p.ID), zap.String("profile", n.h.Profile), zap.String("reference", n.entry.Reference),
			zap.String("reason", string(p.Reason)), zap.String("detail", p.Detail), zap.NamedError("cause", p.Cause()), diagnosis.Field(n.diagnosis))
	}
}

// end writes the audit entry and counts, once. It is called before an answer is
// released.
func (n *notification) end(outcome, verdict string) {
	if n.ended {
		return
	}
	n.ended = true
	n.entry.Outcome, n.entry.Verdict = outcome, verdict
	n.h.audit.Done(&n.entry, telemetry.MessageNotification)
	n.inspected()
	n.h.meter.Count(outcome)
}

// abandoned ends a notification after a panic in a later handler.
func (n *notification) abandoned() {
	if !n.ended {
		n.fail(problem.New(problem.ApplicationFailed, i18n.T("the application broke off"), nil))
	}
}
