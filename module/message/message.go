// Package message is a request, an answer or a notification as it stands on the
// wire, with its payload at hand as JSON.
//
// There is one kind of message for all three, because a provider may sign any
// part of any of them: the method, the URI, a header, the status, the bytes of
// the body or members of its payload. What travels as a form, as XML or in a
// query is a JSON object here whose members are strings.
package message

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Kind is whose message a Message is.
type Kind string

// The kinds of messages.
const (
	Request      Kind = "request"
	Answer       Kind = "answer"
	Notification Kind = "notification"
)

// Message is a request, an answer or a notification.
type Message struct {
	Kind Kind

	// Of a request and of a notification.
	Method string
	Scheme string // "https" or "http"
	Host   string
	Path   string // escaped, as on the wire
	Query  string // as on the wire, without "?"

	// Of an answer.
	Status int

	// Header is never nil in a message that New has made.
	Header http.Header

	// Wire is the body as it came, or as it leaves. In a request that is being
	// sealed it is not made yet.
	Wire []byte

	// Payload are the members of the body, or nil where the body is empty or has
	// no members.
	Payload *body.Tree

	// Form are the fields beside a payload that travels as one field, or nil.
	Form *body.Tree

	// Inner is that payload as it stands in its field.
	Inner []byte

	source, outer *body.Object
}

// New is a message without a body.
func New(kind Kind) *Message { return &Message{Kind: kind, Header: make(http.Header)} }

// SetPayload gives the message the members of an object.
func (m *Message) SetPayload(o *body.Object) {
	m.source = o
	m.Payload = nil
	if o != nil {
		m.Payload = body.NewTree(o)
	}
}

// Source is the payload as it came, without edits, or nil.
func (m *Message) Source() *body.Object { return m.source }

// Fresh is the message with an own header and an own payload without edits, so
// that it can be sealed once more.
func (m *Message) Fresh() *Message {
	fresh := *m
	fresh.Header = m.Header.Clone()
	if fresh.Header == nil {
		fresh.Header = make(http.Header)
	}
	fresh.SetPayload(m.source)
	if m.outer != nil {
		fresh.Form = body.NewTree(m.outer)
	}
	return &fresh
}

// URI is the path with the query, as it stands in the request line.
func (m *Message) URI() string {
	if m.Query == "" {
		return m.Path
	}
	return m.Path + "?" + m.Query
}

// URL is the whole address.
func (m *Message) URL() string { return m.Scheme + "://" + m.Host + m.URI() }

// ErrTwice says that something that is read occurs twice: two readers may take
// two values.
var ErrTwice = i18n.Errorf("it occurs twice")

// HeaderValue is the value of a header, "" where there is none. It fails with
// ErrTwice.
func (m *Message) HeaderValue(name string) (string, error) {
	values := m.Header[textproto.CanonicalMIMEHeaderKey(name)]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", i18n.Errorf("the header %s: %w", name, ErrTwice)
}

// HeaderPart is the part called key of a header that reads
// `[scheme ]key=value,key="value"`. A key may occur several times, as in
// Stripe's v1=…,v1=….
func (m *Message) HeaderPart(name, key string) ([]string, error) {
	value, err := m.HeaderValue(name)
	if err != nil {
		return nil, err
	}
	return Parts(value, key), nil
}

// Parts are the values of the key in a text that reads
// `[scheme ]key=value,key="value"`.
func Parts(text, key string) []string {
	if scheme, rest, ok := strings.Cut(text, " "); ok && !strings.ContainsAny(scheme, "=,\"") {
		text = rest
	}
	var values []string
	for piece := range pieces(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(piece), "=")
		if !ok || name != key {
			continue
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		values = append(values, value)
	}
	return values
}

// pieces cuts a text at commas, and semicolons, that stand outside of quotes.
func pieces(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := range len(text) {
			switch c := text[i]; {
			case c == '"':
				quoted = !quoted
			case (c == ',' || c == ';') && !quoted:
				if !yield(text[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(text[from:])
	}
}

// Param is a parameter of a query.
type Param struct{ Name, Value string }

// Params are the decoded parameters of the query, in its order. It fails where a
// name occurs twice or an escape is broken.
func (m *Message) Params() ([]Param, error) {
	if m.Query == "" {
		return nil, nil
	}
	var params []Param
	seen := make(map[string]bool)
	for piece := range strings.SplitSeq(m.Query, "&") {
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return nil, i18n.Errorf("the query has a broken escape")
		}
		if seen[name] {
			return nil, i18n.Errorf("a parameter of the query: %w", ErrTwice)
		}
		seen[name] = true
		params = append(params, Param{name, value})
	}
	return params, nil
}

// Param is a parameter of the query, and whether there is one.
func (m *Message) Param(name string) (string, bool, error) {
	params, err := m.Params()
	if err != nil {
		return "", false, err
	}
	if i := slices.IndexFunc(params, func(p Param) bool { return p.Name == name }); i >= 0 {
		return params[i].Value, true, nil
	}
	return "", false, nil
}

// SetParam gives the query a parameter: it changes the value of the one of that
// name, or appends one. The other parameters stay as they stand.
func (m *Message) SetParam(name, value string) {
	added := url.QueryEscape(name) + "=" + url.QueryEscape(value)
	if m.Query == "" {
		m.Query = added
		return
	}
	pieces := strings.Split(m.Query, "&")
	for i, piece := range pieces {
		n, _, _ := strings.Cut(piece, "=")
		if decoded, err := url.QueryUnescape(n); err == nil && decoded == name {
			pieces[i] = added
			m.Query = strings.Join(pieces, "&")
			return
		}
	}
	m.Query += "&" + added
}

// RemoveParam removes a parameter from the query.
func (m *Message) RemoveParam(name string) {
	if m.Query == "" {
		return
	}
	pieces := strings.Split(m.Query, "&")
	m.Query = strings.Join(slices.DeleteFunc(pieces, func(piece string) bool {
		n, _, _ := strings.Cut(piece, "=")
		decoded, err := url.QueryUnescape(n)
		return err == nil && decoded == name
	}), "&")
}
