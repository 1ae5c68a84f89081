// Package providertest drives the recipes of the first five providers in tests, by the
// bodies of their messages: the requests of an application, and messages of the
// provider that code of this package signs.
package providertest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Setting is an option and its arguments.
type Setting []string

// Scheme is a provider's recipe with its options set.
type Scheme struct{ *recipe.Program }

// Configure makes a scheme.
func Configure(t testing.TB, name string, settings ...Setting) Scheme {
	t.Helper()
	s, err := Try(t, name, settings...)
	require.NoError(t, err)
	return s
}

// Try is Configure for settings that may be refused.
func Try(t testing.TB, name string, settings ...Setting) (Scheme, error) {
	t.Helper()
	config := protocol.Config{Name: name}
	for _, s := range settings {
		if err := config.Set(nil, s[0], s[1:]); err != nil {
			return Scheme{}, err
		}
	}
	loaded, err := config.Load(nil)
	if err != nil {
		return Scheme{}, err
	}
	return Scheme{loaded.(*recipe.Program)}, nil
}

// Request is a plain request of an application.
type Request struct {
	Body *body.Object
	Keys *keys.Set
	Now  time.Time
}

// Sealed is a request as it leaves.
type Sealed struct {
	Body      []byte
	Canonical []byte
	Envelopes []scheme.Envelope

	sealed *scheme.Sealed
}

// Answer is a provider's answer. Sealed is nil where the request is not known.
type Answer struct {
	Body    *body.Object
	Keys    *keys.Set
	Sealed  *Sealed
	Charset func([]byte) []byte
}

// Notification is what a provider sent in, as JSON or as a form.
type Notification struct {
	Body    *body.Object
	Form    []Param
	Keys    *keys.Set
	Charset func([]byte) []byte
}

// Param is a parameter of a form, decoded.
type Param struct{ Name, Value string }

// Wire is a message as it stood on the wire: Body where it is JSON, Form where it
// is a form.
type Wire struct {
	Kind message.Kind
	Body *body.Object
	Form []Param
}

// Opened is an answer or a notification that has verified.
type Opened struct {
	Body         []byte
	Canonical    []byte
	Fingerprints []string
	Signed       string
	Unsigned     bool
	Note         string

	verified *scheme.Verified
}

// Needs returns the roles that the exchange of a request may need.
func (s Scheme) Needs(request *body.Object) []keys.Role {
	return s.Describe().Needs(plain(request))
}

// IsForm reports whether notifications are forms.
func (s Scheme) IsForm() bool { return s.Describe().Notification.Format.Kind == message.Form }

// Signs reports whether the signature of a notification covers the member at a
// path such as bizData.transAmt.
func (s Scheme) Signs(path string) bool {
	p, err := body.ParsePath(path)
	return err == nil && s.Describe().Notification.Covers(p)
}

// ResultCode returns the provider's result code in an answer, or "".
func (s Scheme) ResultCode(answer *body.Object) string {
	m, ok := body.NewTree(answer).Get(s.Describe().Result)
	if !ok || !m.IsScalar() || m.IsEmpty() {
		return ""
	}
	return string(m.Text())
}

func plain(o *body.Object) *message.Message {
	m := message.New(message.Request)
	m.Method = "POST"
	m.SetPayload(o)
	return m
}

// Seal seals a request.
func (s Scheme) Seal(r Request) (*Sealed, error) {
	sealed, err := scheme.Seal(s, scheme.Request{Message: plain(r.Body), Keys: r.Keys, Now: r.Now})
	if err != nil {
		return nil, err
	}
	return &Sealed{sealed.Message.Wire, sealed.Canonical(), sealed.Memory.Envelopes, sealed}, nil
}

// Open opens an answer.
func (s Scheme) Open(a Answer) (*Opened, error) {
	in := scheme.Incoming{Message: message.New(message.Answer), Keys: a.Keys, Charset: a.Charset}
	in.Message.Status, in.Message.Wire = 200, a.Body.Source()
	if a.Sealed != nil {
		in.Request = a.Sealed.sealed
	}
	return s.open(s.Describe().Answer, in)
}

// OpenNotification opens a notification.
func (s Scheme) OpenNotification(n Notification) (*Opened, error) {
	in := scheme.Incoming{Message: message.New(message.Notification), Keys: n.Keys, Charset: n.Charset}
	in.Message.Method, in.Message.Wire = "POST", wire(n.Body, n.Form)
	return s.open(s.Describe().Notification, in)
}

func (s Scheme) open(d *scheme.Direction, in scheme.Incoming) (*Opened, error) {
	if err := d.Format.Read(in.Message); err != nil {
		return nil, scheme.Failf(scheme.Invalid, "%w", err)
	}
	in.Now = time.Now()
	v, err := scheme.Open(s, in)
	if err != nil {
		return nil, err
	}
	return &Opened{v.Body(), v.Canonical(), v.Fingerprints(), v.Part(), v.IsUnsigned(), v.Note().String(), v}, nil
}

// Time is when the provider made a notification that was opened, and whether it
// says so.
func (s Scheme) Time(o *Opened) (time.Time, bool) { return s.Describe().Notify.Time(o.verified) }

// Canonical returns the canonical string of a message, signed or not.
func (s Scheme) Canonical(w Wire) ([]byte, error) {
	m := message.New(w.Kind)
	m.Method, m.Wire = "POST", wire(w.Body, w.Form)
	d := s.Describe()
	format := map[message.Kind]*scheme.Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[w.Kind].Format
	if err := format.Read(m); err != nil {
		return nil, scheme.Failf(scheme.Invalid, "%w", err)
	}
	return s.Program.Canonical(m)
}

// wire returns a body as it comes.
func wire(o *body.Object, form []Param) []byte {
	if o != nil {
		return o.Source()
	}
	pieces := make([]string, len(form))
	for i, p := range form {
		pieces[i] = url.QueryEscape(p.Name) + "=" + url.QueryEscape(p.Value)
	}
	return []byte(strings.Join(pieces, "&"))
}
