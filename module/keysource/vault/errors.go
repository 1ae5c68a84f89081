package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// statusError is an answer of Vault that is not a success. It does not keep the text of
// the answer, which may quote the request.
type statusError struct {
	request
	status   int
	noEngine bool // a 404 that is about the mount, not about what is in it
}

func newStatusError(r request, status int, texts []string) *statusError {
	return &statusError{r, status, slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(text, "no handler for route")
	})}
}

// Error returns a text with the request, the meaning of the status, and what to change.
func (e *statusError) Error() string { return e.text().String() }

// In is Error in a language.
func (e *statusError) In(l i18n.Language) string { return e.text().In(l) }

func (e *statusError) text() i18n.Text {
	switch e.status {
	case http.StatusForbidden:
		return e.lacking().text()
	case http.StatusNotFound:
		if e.noEngine {
			return i18n.T("vault has no engine mounted for %s; check the mount", e.path)
		}
		return i18n.T("vault has nothing at %s", e.path)
	case http.StatusTooManyRequests:
		return i18n.T("vault answers 429 (too many requests) for %s", e.path)
	case http.StatusServiceUnavailable:
		return i18n.T("vault is sealed or not ready (503), asked for %s", e.path)
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return i18n.T("vault sends elsewhere (%d) for %s; give the address of the active node, a redirect is not followed", e.status, e.path)
	default:
		return i18n.T("vault answers %d for %s", e.status, e.path)
	}
}

// lacking returns what the policy must have for the request.
func (e *statusError) lacking() need {
	if e.body != nil {
		return need{e.path, "update"}
	}
	return need{e.path, "read"}
}

func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && e.status == status
}

// isNothing reports whether an engine says that it does not have what was
// asked for.
func isNothing(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && e.status == http.StatusNotFound && !e.noEngine
}

// caError is a failure to read the ca file. It names the file and quotes nothing of it.
type caError struct{ error }

// describe returns the part of an HTTP client's error that quotes nothing.
func describe(err error) error {
	if e, ok := errors.AsType[*caError](err); ok {
		return e
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return i18n.Errorf("it did not answer in time")
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return i18n.Errorf("the name %s does not resolve", e.Name)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return i18n.Errorf("no connection: %s", e.Err.Error())
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return i18n.Errorf("its certificate does not verify; check the address and the option ca")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return i18n.Errorf("it does not speak TLS; check the address")
	}
	if errors.Is(err, context.Canceled) {
		return i18n.Errorf("it was given up")
	}
	return i18n.Errorf("the connection broke")
}
