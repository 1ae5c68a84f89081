// Package problem defines every failure that a user of the sidecar can see: its reason,
// its status, its outcome for the payment, and its body (RFC 9457).
package problem

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Outcome is what a failure means for the payment.
type Outcome string

// The outcomes.
const (
	// NotSent says that no byte reached the provider: correct the request or
	// send it again.
	NotSent Outcome = "not_sent"
	// Unknown says that the request may have been carried out: ask the provider
	// before sending it again.
	Unknown Outcome = "unknown"
	// Unverified says that an answer came and cannot be trusted: likewise.
	Unverified Outcome = "unverified"
)

// Reason names a kind of failure. Its text is part of the product's surface.
type Reason string

// The reasons of exchanges.
const (
	InvalidRequest           Reason = "invalid_request"
	ForbiddenOrigin          Reason = "forbidden_origin"
	NotAllowed               Reason = "not_allowed"
	OverLimit                Reason = "over_limit"
	OverBudget               Reason = "over_budget"
	DuplicateRequest         Reason = "duplicate_request"
	UnknownRoute             Reason = "unknown_route"
	UnknownKeySet            Reason = "unknown_key_set"
	MethodNotAllowed         Reason = "method_not_allowed"
	RequestTooLarge          Reason = "request_too_large"
	UnsupportedMediaType     Reason = "unsupported_media_type"
	UnprocessableRequest     Reason = "unprocessable_request"
	KeysUnavailable          Reason = "keys_unavailable"
	SigningFailed            Reason = "signing_failed"
	StoreUnavailable         Reason = "store_unavailable"
	AuditUnavailable         Reason = "audit_unavailable"
	Overloaded               Reason = "overloaded"
	UpstreamUnreachable      Reason = "upstream_unreachable"
	UpstreamTimeout          Reason = "upstream_timeout"
	UpstreamFailed           Reason = "upstream_failed"
	ClientGone               Reason = "client_gone"
	ResponseTooLarge         Reason = "response_too_large"
	ResponseInvalid          Reason = "response_invalid"
	ResponseUnsigned         Reason = "response_unsigned"
	ResponseSignatureInvalid Reason = "response_signature_invalid"
	ResponseDecryptionFailed Reason = "response_decryption_failed"
	ResponseMismatch         Reason = "response_mismatch"
)

// The reasons of notifications, besides KeysUnavailable, StoreUnavailable and those for a
// request that is not a notification at all.
const (
	NotificationSignatureInvalid Reason = "notification_signature_invalid"
	NotificationStale            Reason = "notification_stale"
	NotificationNotOurs          Reason = "notification_not_ours"
	NotificationInvalid          Reason = "notification_invalid"
	NotificationInProgress       Reason = "notification_in_progress"
	ApplicationFailed            Reason = "application_failed"
	ApplicationTimeout           Reason = "application_timeout"
)

// StatusClientGone is the status for a client that hung up. It appears only in the
// access log.
const StatusClientGone = 499

type entry struct {
	status  int
	outcome Outcome
	title   i18n.Text
}

var table = map[Reason]entry{
	InvalidRequest:           {http.StatusBadRequest, NotSent, i18n.T("The request is not a JSON object that can be signed")},
	ForbiddenOrigin:          {http.StatusForbidden, NotSent, i18n.T("Requests from web pages are refused")},
	NotAllowed:               {http.StatusForbidden, NotSent, i18n.T("The guardrails do not allow the request")},
	OverLimit:                {http.StatusForbidden, NotSent, i18n.T("An amount of the request is over its limit")},
	OverBudget:               {http.StatusForbidden, NotSent, i18n.T("The request would exceed its budget")},
	DuplicateRequest:         {http.StatusConflict, NotSent, i18n.T("The same request was there before")},
	UnknownRoute:             {http.StatusNotFound, NotSent, i18n.T("No handler takes this path")},
	UnknownKeySet:            {http.StatusNotFound, NotSent, i18n.T("There is no such key set")},
	MethodNotAllowed:         {http.StatusMethodNotAllowed, NotSent, i18n.T("The method is not allowed")},
	RequestTooLarge:          {http.StatusRequestEntityTooLarge, NotSent, i18n.T("The request is too large")},
	UnsupportedMediaType:     {http.StatusUnsupportedMediaType, NotSent, i18n.T("The request must be plain JSON")},
	UnprocessableRequest:     {http.StatusUnprocessableEntity, NotSent, i18n.T("The request lacks what the scheme needs")},
	KeysUnavailable:          {http.StatusServiceUnavailable, NotSent, i18n.T("The keys are not available")},
	SigningFailed:            {http.StatusServiceUnavailable, NotSent, i18n.T("The request could not be signed")},
	StoreUnavailable:         {http.StatusServiceUnavailable, NotSent, i18n.T("The store of seen messages is not available")},
	AuditUnavailable:         {http.StatusServiceUnavailable, NotSent, i18n.T("The audit entry could not be written")},
	Overloaded:               {http.StatusServiceUnavailable, NotSent, i18n.T("Too many exchanges are in flight")},
	UpstreamUnreachable:      {http.StatusBadGateway, NotSent, i18n.T("The provider cannot be reached")},
	UpstreamTimeout:          {http.StatusGatewayTimeout, Unknown, i18n.T("The provider did not answer in time")},
	UpstreamFailed:           {http.StatusBadGateway, Unknown, i18n.T("The connection to the provider failed")},
	ClientGone:               {StatusClientGone, Unknown, i18n.T("The client went away")},
	ResponseTooLarge:         {http.StatusBadGateway, Unverified, i18n.T("The provider's answer is too large")},
	ResponseInvalid:          {http.StatusBadGateway, Unverified, i18n.T("The provider's answer is not usable")},
	ResponseUnsigned:         {http.StatusBadGateway, Unverified, i18n.T("The provider's answer is not signed")},
	ResponseSignatureInvalid: {http.StatusBadGateway, Unverified, i18n.T("The signature of the provider's answer does not verify")},
	ResponseDecryptionFailed: {http.StatusBadGateway, Unverified, i18n.T("The provider's answer cannot be decrypted")},
	ResponseMismatch:         {http.StatusBadGateway, Unverified, i18n.T("The provider's answer belongs to another request")},

	NotificationSignatureInvalid: {http.StatusUnauthorized, "", i18n.T("The notification does not verify")},
	NotificationStale:            {http.StatusUnauthorized, "", i18n.T("The notification is too old")},
	NotificationNotOurs:          {http.StatusForbidden, "", i18n.T("The notification is for somebody else")},
	NotificationInvalid:          {http.StatusBadRequest, "", i18n.T("The notification is not usable")},
	NotificationInProgress:       {http.StatusServiceUnavailable, "", i18n.T("The same notification is being handled")},
	ApplicationFailed:            {http.StatusBadGateway, "", i18n.T("The application failed")},
	ApplicationTimeout:           {http.StatusGatewayTimeout, "", i18n.T("The application did not answer in time")},
}

// Reasons returns all reasons, in no order.
func Reasons() []Reason {
	return slices.Collect(maps.Keys(table))
}

// Status returns the HTTP status that belongs to a reason.
func (r Reason) Status() int { return table[r].status }

// Outcome returns what a reason means for the payment; "" for
// those that only notifications have.
func (r Reason) Outcome() Outcome { return table[r].outcome }

// Title returns what the reason means, as a short sentence in a language.
func (r Reason) Title(l i18n.Language) string { return table[r].title.In(l) }

// Problem is one failure. It is an error, and the body of the answer.
type Problem struct {
	Reason Reason
	Detail string // what failed and what to change, in English; never a value of the body
	ID     string // the same in the answer, the audit entry and the access log

	// Language is that of the title and the detail in the answer. Default: English.
	Language i18n.Language

	// Notification says that the failure is of what a provider sent in, for
	// which no reason has an outcome.
	Notification bool

	// Allow are the methods that the answer to another one names. Default: POST.
	Allow string

	// Of an answer that was not verified.
	UpstreamStatus      int
	UpstreamContentType string
	UpstreamCode        string // the provider's result code

	// The exchange of the first request with the same order, for DuplicateRequest.
	FirstID      string
	FirstOutcome string // "running" while it runs

	text  i18n.Text // of the detail
	cause error
}

// New describes a failure. The cause is for the log; it may be nil. errors.Is and
// errors.As do not find it: Caddy and reverse_proxy would handle a problem differently
// whose cause is a context error or an HTTP handler's error.
func New(reason Reason, detail i18n.Text, cause error) *Problem {
	return &Problem{Reason: reason, Detail: detail.In(i18n.English), text: detail, cause: cause}
}

// Repeats reports whether the cause lies outside of the request and nothing was sent,
// so that the problem repeats for every request while the cause lasts.
func (p *Problem) Repeats() bool {
	return p.Reason.Status() == http.StatusServiceUnavailable && (p.Notification || p.Outcome() == NotSent)
}

// Text returns the detail in every language.
func (p *Problem) Text() i18n.Text { return p.text }

// Error returns the reason and the detail.
func (p *Problem) Error() string { return string(p.Reason) + ": " + p.Detail }

// Cause returns what led to the failure, or nil.
func (p *Problem) Cause() error { return p.cause }

// Outcome returns what the failure means for the payment, or "" for a notification.
func (p *Problem) Outcome() Outcome {
	if p.Notification {
		return ""
	}
	return p.Reason.Outcome()
}

// MarshalJSON makes the body of the answer, application/problem+json. A member
// without a value is left out. No member has a name that a provider uses for
// its result (code, msg, data, return_code): a client that looks for success
// there would compare a reason with 0, which PHP 5 to 7 call equal.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type                string  `json:"type"`
		Title               string  `json:"title"`
		Status              int     `json:"status"`
		Detail              string  `json:"detail,omitempty"`
		Reason              Reason  `json:"reason"`
		Outcome             Outcome `json:"outcome,omitempty"`
		ID                  string  `json:"id,omitempty"`
		UpstreamStatus      int     `json:"upstream_status,omitempty"`
		UpstreamContentType string  `json:"upstream_content_type,omitempty"`
		UpstreamCode        string  `json:"upstream_code,omitempty"`
		FirstID             string  `json:"first_id,omitempty"`
		FirstOutcome        string  `json:"first_outcome,omitempty"`
	}{
		"urn:countersign:problem:" + string(p.Reason), p.Reason.Title(p.Language), p.Reason.Status(), p.text.In(p.Language), p.Reason, p.Outcome(), p.ID,
		p.UpstreamStatus, p.UpstreamContentType, failureCode(p.UpstreamCode), p.FirstID, p.FirstOutcome,
	})
}

// failureCode returns a provider's result code, or "" for one that reads as a success: no
// member of a problem equals 0, "0" or "SUCCESS". The code of an answer that is not
// trusted says nothing unless it is a failure.
func failureCode(code string) string {
	n, err := strconv.ParseFloat(code, 64)
	if err == nil && n == 0 || strings.EqualFold(code, "success") {
		return ""
	}
	return code
}

// ContentType is the media type of a problem's body.
const ContentType = "application/problem+json"

// HeaderOutcome is the header that repeats the outcome.
const HeaderOutcome = "Countersign-Outcome"

// retryAfter is the Retry-After of every 503, in seconds.
const retryAfter = "1"

// Speak sets the language of the answer: the one that the request's Accept-Language
// prefers, or byDefault.
func (p *Problem) Speak(header http.Header, byDefault i18n.Language) {
	p.Language = i18n.Accepted(strings.Join(header["Accept-Language"], ","), byDefault)
}

// SetHeader sets the header of an answer with the problem: its media type, the
// outcome, the language where one was chosen, Retry-After with 503, Allow with 405.
func (p *Problem) SetHeader(h http.Header) {
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	if p.Language != "" {
		h.Set("Content-Language", string(p.Language))
	}
	if p.Outcome() != "" {
		h.Set(HeaderOutcome, string(p.Outcome()))
	}
	if p.Reason == MethodNotAllowed {
		h.Set("Allow", cmp.Or(p.Allow, http.MethodPost))
	}
	if p.Reason.Status() == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
}

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	p.SetHeader(w.Header())
	w.WriteHeader(p.Reason.Status())
	_, err = w.Write(append(text, '\n'))
	return err
}

// NewID makes an id: 128 random bits as 26 characters.
func NewID() string { return rand.Text() }

// As finds the problem in an error.
func As(err error) (*Problem, bool) { return errors.AsType[*Problem](err) }
