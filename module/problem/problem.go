// Package problem has every failure that a user of the sidecar can see: its
// code, its status, what it means for the payment, and its body (RFC 9457).
package problem

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
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

// Code names a kind of failure. Its text is part of the product's surface.
type Code string

// The codes of exchanges.
const (
	InvalidRequest           Code = "invalid_request"
	ForbiddenOrigin          Code = "forbidden_origin"
	UnknownKeySet            Code = "unknown_key_set"
	MethodNotAllowed         Code = "method_not_allowed"
	RequestTooLarge          Code = "request_too_large"
	UnsupportedMediaType     Code = "unsupported_media_type"
	UnprocessableRequest     Code = "unprocessable_request"
	KeysUnavailable          Code = "keys_unavailable"
	SigningFailed            Code = "signing_failed"
	AuditUnavailable         Code = "audit_unavailable"
	Overloaded               Code = "overloaded"
	UpstreamUnreachable      Code = "upstream_unreachable"
	UpstreamTimeout          Code = "upstream_timeout"
	UpstreamFailed           Code = "upstream_failed"
	ClientGone               Code = "client_gone"
	ResponseTooLarge         Code = "response_too_large"
	ResponseInvalid          Code = "response_invalid"
	ResponseUnsigned         Code = "response_unsigned"
	ResponseSignatureInvalid Code = "response_signature_invalid"
	ResponseDecryptionFailed Code = "response_decryption_failed"
	ResponseMismatch         Code = "response_mismatch"
)

// The codes of notifications, besides KeysUnavailable and those for a request
// that is no notification at all.
const (
	NotificationSignatureInvalid Code = "notification_signature_invalid"
	NotificationStale            Code = "notification_stale"
	NotificationNotOurs          Code = "notification_not_ours"
	NotificationInvalid          Code = "notification_invalid"
	NotificationInProgress       Code = "notification_in_progress"
	StoreUnavailable             Code = "store_unavailable"
	ApplicationFailed            Code = "application_failed"
	ApplicationTimeout           Code = "application_timeout"
)

// StatusClientGone is the status for a client that hung up. Nobody reads it but
// the access log.
const StatusClientGone = 499

type entry struct {
	status  int
	outcome Outcome
	title   string
}

var table = map[Code]entry{
	InvalidRequest:           {http.StatusBadRequest, NotSent, "The request is not a JSON object that can be signed"},
	ForbiddenOrigin:          {http.StatusForbidden, NotSent, "Requests from web pages are refused"},
	UnknownKeySet:            {http.StatusNotFound, NotSent, "There is no such key set"},
	MethodNotAllowed:         {http.StatusMethodNotAllowed, NotSent, "Only POST can be signed"},
	RequestTooLarge:          {http.StatusRequestEntityTooLarge, NotSent, "The request is too large"},
	UnsupportedMediaType:     {http.StatusUnsupportedMediaType, NotSent, "The request must be plain JSON"},
	UnprocessableRequest:     {http.StatusUnprocessableEntity, NotSent, "The request lacks what the scheme needs"},
	KeysUnavailable:          {http.StatusServiceUnavailable, NotSent, "The keys are not available"},
	SigningFailed:            {http.StatusServiceUnavailable, NotSent, "The request could not be signed"},
	AuditUnavailable:         {http.StatusServiceUnavailable, NotSent, "The audit entry could not be written"},
	Overloaded:               {http.StatusServiceUnavailable, NotSent, "Too many exchanges are in flight"},
	UpstreamUnreachable:      {http.StatusBadGateway, NotSent, "The provider cannot be reached"},
	UpstreamTimeout:          {http.StatusGatewayTimeout, Unknown, "The provider did not answer in time"},
	UpstreamFailed:           {http.StatusBadGateway, Unknown, "The connection to the provider failed"},
	ClientGone:               {StatusClientGone, Unknown, "The client went away"},
	ResponseTooLarge:         {http.StatusBadGateway, Unverified, "The provider's answer is too large"},
	ResponseInvalid:          {http.StatusBadGateway, Unverified, "The provider's answer is not usable"},
	ResponseUnsigned:         {http.StatusBadGateway, Unverified, "The provider's answer is not signed"},
	ResponseSignatureInvalid: {http.StatusBadGateway, Unverified, "The signature of the provider's answer does not verify"},
	ResponseDecryptionFailed: {http.StatusBadGateway, Unverified, "The provider's answer cannot be decrypted"},
	ResponseMismatch:         {http.StatusBadGateway, Unverified, "The provider's answer belongs to another request"},

	NotificationSignatureInvalid: {http.StatusUnauthorized, "", "The notification does not verify"},
	NotificationStale:            {http.StatusUnauthorized, "", "The notification is too old"},
	NotificationNotOurs:          {http.StatusForbidden, "", "The notification is for somebody else"},
	NotificationInvalid:          {http.StatusBadRequest, "", "The notification is not usable"},
	NotificationInProgress:       {http.StatusServiceUnavailable, "", "The same notification is being handled"},
	StoreUnavailable:             {http.StatusServiceUnavailable, "", "The memory of notifications is not available"},
	ApplicationFailed:            {http.StatusBadGateway, "", "The application failed"},
	ApplicationTimeout:           {http.StatusGatewayTimeout, "", "The application did not answer in time"},
}

// Codes are all codes.
func Codes() []Code {
	out := make([]Code, 0, len(table))
	for code := range table {
		out = append(out, code)
	}
	return out
}

// Status is the HTTP status that belongs to a code.
func (c Code) Status() int { return table[c].status }

// Outcome is what a code means for the payment; "" for notifications.
func (c Code) Outcome() Outcome { return table[c].outcome }

// Title is the code in a few words.
func (c Code) Title() string { return table[c].title }

// Problem is one failure. It is an error, and the body of the answer.
type Problem struct {
	Code   Code
	Detail string // what failed and what to change; never a value of the body
	ID     string // the same in the answer, the audit entry and the access log

	// Notification says that the failure is of what a provider sent in, for
	// which no code has an outcome.
	Notification bool

	// Allow are the methods that the answer to another one names. Default: POST.
	Allow string

	// What is known of an answer that cannot be trusted.
	UpstreamStatus      int
	UpstreamContentType string
	UpstreamCode        string // the provider's result code

	cause error
}

// New describes a failure. The cause is for the log; it may be nil. It is kept
// out of errors.Is and errors.As: a cause that happens to be a context error or
// an HTTP handler's error would change what others make of the problem.
func New(code Code, detail string, cause error) *Problem {
	return &Problem{Code: code, Detail: detail, cause: cause}
}

// Error is the code and the detail.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// Cause is what led to the failure, or nil.
func (p *Problem) Cause() error { return p.cause }

// Outcome is what the failure means for the payment, or "" for a notification.
func (p *Problem) Outcome() Outcome {
	if p.Notification {
		return ""
	}
	return p.Code.Outcome()
}

// MarshalJSON makes the body of the answer, application/problem+json.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type                string  `json:"type"`
		Title               string  `json:"title"`
		Status              int     `json:"status"`
		Detail              string  `json:"detail"`
		Code                Code    `json:"code"`
		Outcome             Outcome `json:"outcome,omitempty"`
		ID                  string  `json:"id"`
		UpstreamStatus      int     `json:"upstream_status,omitempty"`
		UpstreamContentType string  `json:"upstream_content_type,omitempty"`
		UpstreamCode        string  `json:"upstream_code,omitempty"`
	}{
		"urn:countersign:problem:" + string(p.Code), p.Code.Title(), p.Code.Status(), p.Detail, p.Code, p.Outcome(), p.ID,
		p.UpstreamStatus, p.UpstreamContentType, p.UpstreamCode,
	})
}

// ContentType is the media type of a problem's body.
const ContentType = "application/problem+json"

// HeaderOutcome is the header that repeats the outcome.
const HeaderOutcome = "Countersign-Outcome"

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	if p.Outcome() != "" {
		h.Set(HeaderOutcome, string(p.Outcome()))
	}
	if p.Code == MethodNotAllowed {
		h.Set("Allow", cmp.Or(p.Allow, http.MethodPost))
	}
	w.WriteHeader(p.Code.Status())
	_, err = w.Write(append(text, '\n'))
	return err
}

// NewID makes an id: 128 random bits as 26 characters.
func NewID() string { return rand.Text() }

// As finds the problem in an error.
func As(err error) (*Problem, bool) { return errors.AsType[*Problem](err) }
