// Package message holds a request, an answer or a notification as it is on the wire,
// with its payload parsed as JSON.
//
// There is one kind of message for all three, because a provider may sign any
// part of any of them: the method, the URI, a header, the status, the bytes of
// the body or members of its payload. A payload that is a form, XML or a query on the
// wire is a JSON object here, whose members are strings.
package message

import (
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/wire"
)

// Kind says whether a message is a request, an answer or a notification.
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

	// Header is not nil in a message made by New.
	Header http.Header

	// Wire is the body as it was received or as it is sent. In a request that is being
	// sealed it is not set yet.
	Wire []byte

	// Payload are the members of the body, or nil where the body is empty or has
	// no members.
	Payload *body.Tree

	// Form are the fields beside a payload that travels as one field, or nil.
	Form *body.Tree

	// Inner is that payload as it stands in its field.
	Inner []byte

	// Parts are texts that a scheme has cut out of a message that came in, by name.
	Parts map[string]string

	source, outer *body.Object
}

// New returns a message without a body.
func New(kind Kind) *Message { return &Message{Kind: kind, Header: make(http.Header)} }

// SetPayload gives the message the members of an object.
func (m *Message) SetPayload(o *body.Object) {
	m.source = o
	m.Payload = nil
	if o != nil {
		m.Payload = body.NewTree(o)
	}
}

// Source returns the payload as it was received, without edits, or nil.
func (m *Message) Source() *body.Object { return m.source }

// Fresh returns a copy of the message without the edits of its payload. Header and
// Payload of the copy may be changed; it can be sealed again.
func (m *Message) Fresh() *Message {
	fresh := *m
	fresh.Header = m.Header.Clone()
	if fresh.Header == nil {
		fresh.Header = make(http.Header)
	}
	if m.Payload != nil {
		fresh.Payload = m.Payload.Fresh()
	}
	if m.outer != nil {
		fresh.Form = body.NewTree(m.outer)
	}
	fresh.Parts = maps.Clone(m.Parts)
	return &fresh
}

// URI returns the path with the query, as in the request line.
func (m *Message) URI() string {
	if m.Query == "" {
		return m.Path
	}
	return m.Path + "?" + m.Query
}

// URL returns the absolute URL.
func (m *Message) URL() string { return m.Scheme + "://" + m.Host + m.URI() }

// ErrTwice says that a header or parameter occurs twice: two parsers may take different
// ones.
var ErrTwice = i18n.Errorf("it occurs twice")

// HeaderValue returns the value of a header, or "" if the message does not have it. It
// returns ErrTwice if the header occurs more than once.
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

// HeaderPart returns the values of key in a header of the form
// `[scheme ]key=value,key="value"`. A key may occur several times, as in
// Stripe's v1=…,v1=….
func (m *Message) HeaderPart(name, key string) ([]string, error) {
	value, err := m.HeaderValue(name)
	if err != nil {
		return nil, err
	}
	return Parts(value, key), nil
}

// Parts returns the values of key in a text of the form
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

// pieces splits a text at commas and semicolons outside of quotes.
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

// Params returns the decoded parameters of the query in its order. It fails if a name
// occurs twice, also as PHP reads names, or if an escape is not valid.
func (m *Message) Params() ([]Param, error) {
	if m.Query == "" {
		return nil, nil
	}
	var params []Param
	seen, php := make(map[string]bool), make(wire.Names)
	if strings.Contains(m.Query, ";") {
		return nil, i18n.Errorf("the query has a semicolon, which some servers take for a separator, that is not escaped")
	}
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
		if err := php.Check(name); err != nil {
			return nil, i18n.Errorf("a parameter of the query: %w", err)
		}
		seen[name] = true
		params = append(params, Param{name, value})
	}
	return params, nil
}

// Param returns the decoded value of a parameter of the query, and whether there is one.
// It fails where Params does.
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

// SetParam gives the query a parameter: it changes the value of the one of that name,
// or appends one. The other parameters are not changed.
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
