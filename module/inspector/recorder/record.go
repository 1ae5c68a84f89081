// Package recorder keeps the last exchanges and notifications of a process, for
// its inspector. Where no inspector is configured nothing is kept, and a handler
// pays for one comparison with nil.
//
// A record is metadata: what an audit entry says, and no value of a message. Only
// a recorder that was made with bodies keeps messages as well, cut to a size, with
// every secret of the key set masked.
package recorder

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// The kinds of records.
const (
	Exchange     = "exchange"
	Notification = "notification"
)

// Record is one exchange or notification that has ended. It does not change once
// it is added.
type Record struct {
	Seq      uint64 // counts records, from 1
	Time     time.Time
	Kind     string // Exchange or Notification
	Rehearse bool   // the inspector sent it, to a sandbox

	Entry     telemetry.Entry
	Method    string
	Path      string    // its words: see Words
	Detail    i18n.Text // of the problem
	Diagnosis i18n.Text // why the signature does not verify
	Signed    string    // what the signature covers, as Countersign-Signed says it

	Bodies *Bodies // nil in a recorder without bodies
}

// Bodies are the messages of a record.
type Bodies struct {
	Scheme scheme.Scheme // of the handler

	Posted   *Part // as the application sent it
	Sent     *Part // as it left, or would have
	Received *Part // the answer, or the notification, as it came
	Handed   *Part // what the application got, or of a notification what it was given
	Answered *Part // the application's own answer to a notification

	Sealed []scheme.Trace // the signatures that were made
	Opened []scheme.Trace // the signatures that have verified

	Strings   []body.Path // members that left as strings holding JSON
	Encrypted []body.Path // members that left encrypted

	UpstreamCode string // the provider's result code
}

// Part is a message, without what was parsed of it.
type Part struct {
	message.Message
	Cut bool // the body is longer than what was kept
}

// NewPart returns a message for a record.
func NewPart(m *message.Message) *Part {
	p := &Part{Message: message.Message{
		Kind: m.Kind, Method: m.Method, Scheme: m.Scheme, Host: m.Host, Path: m.Path, Query: m.Query,
		Status: m.Status, Wire: m.Wire, Header: make(http.Header, len(m.Header)),
	}}
	for name, values := range m.Header {
		p.Header[name] = append([]string(nil), values...)
	}
	return p
}

// maxBody is how much of one body is kept, in bytes.
const maxBody = 64 << 10

// cut bounds a body. What is cut off must not stay in memory behind it.
func cut(text []byte) (kept []byte, was bool) {
	if len(text) > maxBody {
		return append(make([]byte, 0, maxBody), text[:maxBody]...), true
	}
	if cap(text) > 2*len(text)+512 {
		return append(make([]byte, 0, len(text)), text...), false
	}
	return text, false
}

// parts returns the messages that are there.
func (b *Bodies) parts() []*Part {
	var parts []*Part
	for _, p := range []*Part{b.Posted, b.Sent, b.Received, b.Handed, b.Answered} {
		if p != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

// size is about the memory that the messages take, in bytes.
func (b *Bodies) size() int {
	if b == nil {
		return 0
	}
	n := 0
	for _, p := range b.parts() {
		n += cap(p.Wire) + len(p.Path) + len(p.Query)
		for name, values := range p.Header {
			n += len(name)
			for _, v := range values {
				n += len(v)
			}
		}
	}
	for _, s := range append(b.Sealed[:len(b.Sealed):len(b.Sealed)], b.Opened...) {
		n += cap(s.Text)
	}
	return n
}

// word is a part of a path in which no number and no name stands that belongs to
// somebody.
var word = regexp.MustCompile(`^(?:[a-z][a-z_.-]{0,31}|v[0-9]{1,2})$`)

// Words returns a path in which "…" replaces every part that could be an order number
// or another value.
func Words(path string) string {
	pieces := strings.Split(path, "/")
	for i, piece := range pieces {
		if piece != "" && !word.MatchString(strings.ToLower(piece)) {
			pieces[i] = "…"
		}
	}
	const longest = 12
	if len(pieces) > longest {
		pieces = append(pieces[:longest:longest], "…")
	}
	return strings.Join(pieces, "/")
}
