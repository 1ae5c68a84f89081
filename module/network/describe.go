// Package network has functions about connections that several packages need: the
// reason for a failure in a form that may be shown, whether an address is on this
// machine, a body read within a limit.
package network

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Describe turns an error of the HTTP client into one that may be shown. The texts of
// the client can quote what the other side sent ("malformed HTTP response ..."), so
// only texts that cannot are kept.
func Describe(err error) error {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsTimeout {
			return i18n.Errorf("looking up the name timed out")
		}
		return i18n.Errorf("the name %s does not resolve", e.Name)
	}
	if text := describeTLS(err); !text.IsZero() {
		return i18n.Errorf("%v", text)
	}
	if e, ok := errors.AsType[proxyError](err); ok {
		return i18n.Errorf("%v", e.describe())
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return reason(e.Error())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return i18n.Errorf("it timed out")
	}
	if e, ok := errors.AsType[reverseproxy.DialError](err); ok {
		// It hides what it wraps. Its text is that of the dialer, with the reason at
		// its end; the other side has sent nothing yet.
		parts := strings.Split(e.Error(), ": ")
		return reason(parts[len(parts)-1])
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return i18n.Errorf("it timed out")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return i18n.Errorf("the other side closed the connection")
	}
	return i18n.Errorf("the connection broke, or what came was not HTTP")
}

// reason returns the text of a dialer or of the system, translated if it is a common
// one.
func reason(text string) error {
	switch text {
	case "connection refused":
		return i18n.Errorf("connection refused")
	case "connection reset by peer":
		return i18n.Errorf("connection reset by peer")
	case "no such host":
		return i18n.Errorf("no such host")
	case "no route to host":
		return i18n.Errorf("no route to host")
	case "network is unreachable":
		return i18n.Errorf("network is unreachable")
	case "i/o timeout":
		return i18n.Errorf("it timed out")
	}
	return errors.New(text)
}

// Is reports whether an error in the tree of err is an E.
func Is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// IsTimeout reports whether an error came because a try took too long.
func IsTimeout(ctx context.Context, err error) bool {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
