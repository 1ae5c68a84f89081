package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// statusError is an answer of Vault that is no success. It keeps nothing of what
// Vault wrote, which may quote the request.
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

// Error says what was asked, what the status means, and what to change.
func (e *statusError) Error() string {
	switch e.status {
	case http.StatusForbidden:
		return e.lacking().String()
	case http.StatusNotFound:
		if e.noEngine {
			return fmt.Sprintf("vault has no engine mounted for %s; check the mount", e.path)
		}
		return "vault has nothing at " + e.path
	case http.StatusTooManyRequests:
		return "vault answers 429 (too many requests) for " + e.path
	case http.StatusServiceUnavailable:
		return "vault is sealed or not ready (503), asked for " + e.path
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fmt.Sprintf("vault sends elsewhere (%d) for %s; give the address of the active node, a redirect is not followed", e.status, e.path)
	default:
		return fmt.Sprintf("vault answers %d for %s", e.status, e.path)
	}
}

// lacking is what the policy must have for the request.
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

// caError is a failure to read the ca file. It names the file, not what is in
// it.
type caError struct{ error }

// describe keeps of an HTTP client's error what is known to quote nothing.
func describe(err error) error {
	if e, ok := errors.AsType[*caError](err); ok {
		return e
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("it did not answer in time")
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("the name " + e.Name + " does not resolve")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return errors.New("no connection: " + e.Err.Error())
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("its certificate does not verify; check the address and the option ca")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return errors.New("it does not speak TLS; check the address")
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("it was given up")
	}
	return errors.New("the connection broke")
}
