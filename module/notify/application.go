package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The headers that name what was verified.
const (
	headerVerified = "Countersign-Verified"
	headerSigned   = "Countersign-Signed"
)

// handOver turns a verified request into the one that the application gets. It changes
// the request itself and not a copy, because Caddy's placeholders, such as
// {header.Countersign-Verified}, read this one.
func (n *notification) handOver(r *http.Request, v *scheme.Verified) {
	n.text = v.Wire()
	switch {
	case !n.h.asJSON(v):
	case n.h.rules.Notification.Format.IsJSON():
		n.text = v.Body()
	default:
		n.text = v.Body()
		r.Method = http.MethodPost
		r.Header.Set("Content-Type", "application/json")
	}
	for name := range r.Header {
		if isOurs(name) {
			delete(r.Header, name)
		}
	}
	r.Header.Set(headerVerified, "true")
	r.Header.Set(headerSigned, v.Part())
	r.Header.Del("Connection") // it could name one of those for removal, or ask for an upgrade
	r.Header.Del("Expect")     // the body is here
	if n.h.holdBack {
		r.Header.Del("Accept-Encoding") // the answer must be readable, and fit whoever repeats
	}
	r.TransferEncoding, r.Trailer = nil, nil
	setBody(r, n.text)
	r.Header.Del("Content-Length")
	if len(n.text) > 0 {
		r.Header.Set("Content-Length", strconv.Itoa(len(n.text))) // for FastCGI
	}
}

// asJSON reports whether the application gets the payload as JSON, and not what
// came.
func (h *Handler) asJSON(v *scheme.Verified) bool {
	format := h.rules.Notification.Format
	switch {
	case h.As != "":
		return h.As == "json"
	case format.AsWire:
		return false
	}
	return format.IsJSON() && !format.Sealed || v.Revealed()
}

// cgi makes of a header's name what CGI variables and their like make of it.
var cgi = strings.NewReplacer("_", "-", ".", "-")

// isOurs reports whether an application could take a header for one of the sidecar's.
// Caddy drops names with an underscore or a dot by default.
func isOurs(name string) bool {
	return strings.HasPrefix(strings.ToLower(cgi.Replace(name)), "countersign-")
}

func setBody(r *http.Request, text []byte) {
	r.ContentLength = int64(len(text))
	r.Body = http.NoBody
	if len(text) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
}

// The failures of an application.
var (
	errAborted = i18n.Errorf("it broke off its answer")
	errUpgrade = i18n.Errorf("it answered 101, or nothing")
	errNobody  = i18n.Errorf("no handler behind countersign_notify has answered")
)

// deliver passes the notification to the application, and passes its answer on while it
// arrives.
func (n *notification) deliver(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	answer, err := n.ask(w, r, next)
	if err != nil {
		return n.failed(w, r, answer, err)
	}
	answer.release()
	return nil
}

// ask calls the application. The header of the answer leaves when its first byte
// leaves, or when the caller releases it; the entry is written before. What goes wrong
// before is undone, so that a problem can be answered.
//
// The context of the application's request does not end with the connection of the
// provider: an acknowledgement is remembered also if the provider hangs up.
func (n *notification) ask(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (answer *answerWriter, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(n.h.Timeout))
	defer cancel()
	answer = &answerWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, limit: n.h.limit(), always: n.h.rules.Notify.SignAck != nil}
	start := time.Now()
	answer.before = func() {
		n.entry.Upstream = max(time.Since(start), 1)
		n.entry.UpstreamStatus = answer.status
		n.entry.ResponseBytes = answer.size()
		n.inspection.answers(answer.status, answer.held)
		n.end(n.h.verdict(answer))
	}
	header := w.Header().Clone()
	defer func() {
		if reason := recover(); reason != nil {
			if reason != http.ErrAbortHandler || answer.released { //nolint:errorlint // panics carry the error itself
				panic(reason)
			}
			err = errAborted // reverse_proxy ends like that when the application breaks off
		}
		if err != nil && !answer.released {
			n.entry.Upstream = max(time.Since(start), 1)
			clear(w.Header())
			maps.Copy(w.Header(), header)
		}
	}()
	inner := r.WithContext(ctx)
	setBody(inner, n.text) // a second reader: Caddy's placeholders read that of r
	err = next.ServeHTTP(answer, inner)
	switch {
	case err == nil && answer.status == 0 && caddyhttp.GetVar(r.Context(), "unhandled") == true:
		err = errNobody
	case err == nil && answer.status == 0:
		err = errUpgrade // reverse_proxy ends like that, without an error, after a 101 that nobody asked for
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = ctx.Err()
	}
	if err == nil {
		err = n.signAck(answer)
	}
	return answer, err
}

// limit returns how many bytes of an answer are buffered: an answer that is remembered
// or compared must be complete before the provider gets it.
func (h *Handler) limit() int {
	if h.holdBack {
		return maxAnswer
	}
	return 0
}

// failed answers for an application that has not answered.
func (n *notification) failed(w http.ResponseWriter, r *http.Request, answer *answerWriter, err error) error {
	if answer.released {
		return err // the provider has a part of the answer already
	}
	return n.refuse(w, r, applicationProblem(err))
}

func applicationProblem(err error) *problem.Problem {
	var timeout net.Error
	status := 0
	if e, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		status = e.StatusCode
	}
	switch {
	case errors.Is(err, errAckSize), scheme.ReasonOf(err) == scheme.Invalid:
		return problem.New(problem.ApplicationFailed, i18n.Of(err), nil)
	case scheme.ReasonOf(err) != 0:
		return problem.New(problem.SigningFailed, i18n.T("the acknowledgement could not be signed: %v", err), errors.Unwrap(err))
	case errors.Is(err, errNobody):
		return problem.New(problem.ApplicationFailed, i18n.T("%v; put the application behind it, for instance with reverse_proxy", err), nil)
	case errors.Is(err, errUpgrade):
		return problem.New(problem.ApplicationFailed, i18n.T("the application's answer was 101, or there was none; a notification is acknowledged with 2xx"), nil)
	case errors.Is(err, errAborted):
		return problem.New(problem.ApplicationFailed, i18n.T("the application broke off its answer"), nil)
	case errors.Is(err, context.DeadlineExceeded), status == http.StatusGatewayTimeout, errors.As(err, &timeout) && timeout.Timeout():
		return problem.New(problem.ApplicationTimeout, i18n.T("the application did not answer in time"), network.Describe(err))
	default:
		return problem.New(problem.ApplicationFailed, i18n.T("the application could not be asked, or a handler before it failed"), network.Describe(err))
	}
}

// verdict returns the outcome of an answer of the application, and what the entry
// says besides.
func (h *Handler) verdict(answer *answerWriter) (outcome, verdict string) {
	switch {
	case answer.status >= 500:
		return string(problem.ApplicationFailed), ""
	case !h.acknowledged(answer):
		return outcomeOK, notAcknowledged
	default:
		return outcomeOK, ""
	}
}

// acknowledged reports whether an answer counts as an acknowledgement: 2xx and,
// where there is one to compare, the text.
func (h *Handler) acknowledged(answer *answerWriter) bool {
	if answer.status < 200 || answer.status > 299 {
		return false
	}
	if answer.signed {
		return true
	}
	return h.ack.text == "" || !h.holdBack || answer.whole() && h.ack.matches(answer.held)
}

// ackRule is the text that acknowledges a notification.
type ackRule struct {
	text       string
	ignoreCase bool
	exact      bool // compared as it is, without trimming
}

func (a ackRule) matches(answer []byte) bool {
	got := string(answer)
	if !a.exact {
		got = strings.TrimSpace(got)
	}
	if a.ignoreCase {
		return strings.EqualFold(got, a.text)
	}
	return got == a.text
}
