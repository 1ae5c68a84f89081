package message

import (
	"bytes"
	"net/url"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/wire"
)

// The formats in which a payload travels.
const (
	JSON  = "json"
	Form  = "form"
	Query = "query"
	XML   = "xml"
	Text  = "text"
)

// Formats lists all formats.
var Formats = []string{JSON, Form, Query, XML, Text}

// Format is how a payload travels.
type Format struct {
	Kind    string // JSON, Form, Query, XML or Text; "" is JSON
	Options wire.Options

	// Wrap, if set, says that the whole payload is one field of another body.
	Wrap *Wrap

	// Sealed says that the payload is encrypted as a whole. It has no members before
	// it is decrypted.
	Sealed bool

	// AsWire says that the application gets the body as it was received, and not as
	// JSON.
	AsWire bool
}

// Wrap describes a body in which one field holds the whole payload.
type Wrap struct {
	Kind  string // Form or JSON; "" means that the whole body is URL-encoded
	Field string
	URL   bool // the payload is URL-encoded in the field

	Base64 bool // the payload is in Base64 in the field
}

// MediaType returns the Content-Type of a body in the format.
func (f Format) MediaType() string {
	kind := f.Kind
	if f.Wrap != nil {
		kind = f.Wrap.Kind
	}
	charset := f.Options.Charset
	switch kind {
	case Form:
		return "application/x-www-form-urlencoded" + charsetOf(charset)
	case XML:
		return "text/xml" + charsetOf(charset)
	case Text:
		return "text/plain" + charsetOf(charset)
	}
	if f.Wrap != nil {
		charset = "" // of the payload
	}
	return "application/json" + charsetOf(charset)
}

func charsetOf(charset string) string {
	if charset == "" {
		return ""
	}
	return "; charset=" + charset
}

// IsJSON reports whether the body is JSON as a whole.
func (f Format) IsJSON() bool {
	return (f.Kind == "" || f.Kind == JSON) && (f.Wrap == nil || f.Wrap.Kind == JSON)
}

// LooksLikeGBK reports whether a body, or what is percent-encoded in a form, is not UTF-8
// and could be GBK. It is for an error that says so.
func (f Format) LooksLikeGBK(raw []byte) bool {
	if f.Kind == Form || f.Kind == Query {
		if decoded, err := url.QueryUnescape(string(raw)); err == nil {
			raw = []byte(decoded)
		}
	}
	return body.LooksLikeGBK(raw)
}

var byteOrderMark = []byte("\ufeff")

// Read parses the payload of a message from its Wire, or in the format Query from its
// Query, and sets Payload. An empty body has no payload. One byte order mark is skipped.
func (f Format) Read(m *Message) error {
	raw := bytes.TrimPrefix(m.Wire, byteOrderMark)
	m.Form = nil
	m.SetPayload(nil)
	empty := len(bytes.TrimSpace(raw)) == 0
	if f.Kind == Form && m.Kind == Notification && m.Query != "" {
		// Some providers send the parameters of a form in the query, of a GET or of
		// a POST. If both places were read, an attacker could move a parameter to the
		// one that is not verified.
		if !empty {
			return i18n.Errorf("there are parameters in the body and in the query; a form stands in one of them")
		}
		return f.parse(m, []byte(m.Query))
	}
	if f.Kind == Query {
		return f.parse(m, []byte(m.Query))
	}
	if empty {
		return nil
	}
	if f.Wrap != nil {
		return f.unwrap(m, raw)
	}
	if f.Sealed {
		m.Inner = raw
		return nil
	}
	return f.parse(m, raw)
}

// parse reads the payload itself.
func (f Format) parse(m *Message, raw []byte) error {
	o, err := f.Parse(raw)
	if err == nil {
		m.SetPayload(o)
	}
	return err
}

// Parse reads a payload in the format.
func (f Format) Parse(raw []byte) (*body.Object, error) {
	var text []byte
	var err error
	switch f.Kind {
	case Form, Query:
		text, err = wire.ParseForm(raw, f.Options)
	case XML:
		text, err = wire.ParseXML(raw, f.Options)
	case Text:
		text, err = wire.ParseText(raw, f.Options)
	default:
		text, err = wire.ParseJSON(raw, f.Options)
	}
	if err != nil {
		return nil, err
	}
	return body.Parse(text)
}

// unwrap reads the fields of a body, one of which is the payload.
func (f Format) unwrap(m *Message, raw []byte) error {
	outer := Format{Kind: f.Wrap.Kind}
	if f.Wrap.Kind == "" { // the whole body is URL-encoded
		text, err := url.QueryUnescape(string(raw))
		if err != nil {
			return i18n.Errorf("the body is not URL-encoded")
		}
		return f.inner(m, []byte(text))
	}
	o, err := outer.Parse(raw)
	if err != nil {
		return err
	}
	m.Form = body.NewTree(o)
	m.outer = o
	field, ok := m.Form.Get(body.Path{f.Wrap.Field})
	if !ok || field.IsEmpty() {
		return i18n.Errorf("the body has no field %s", f.Wrap.Field)
	}
	text := field.Text()
	if f.Wrap.URL {
		decoded, err := url.QueryUnescape(string(text))
		if err != nil {
			return i18n.Errorf("the field %s is not URL-encoded", f.Wrap.Field)
		}
		text = []byte(decoded)
	}
	if f.Wrap.Base64 {
		if text, err = encoding.DecodeBase64(text); err != nil {
			return i18n.Errorf("the field %s is not Base64", f.Wrap.Field)
		}
	}
	return f.inner(m, text)
}

func (f Format) inner(m *Message, text []byte) error {
	m.Inner = text
	if f.Sealed {
		return nil
	}
	return f.parse(m, text)
}

// Write writes a payload in the format, without the fields beside it.
func (f Format) Write(payload *body.Tree) ([]byte, error) {
	if payload == nil {
		return nil, nil
	}
	switch f.Kind {
	case Form, Query:
		return wire.FormatForm(payload.Members(), f.Options)
	case XML:
		return wire.FormatXML(payload.Members(), f.Options)
	case Text:
		return wire.FormatText(payload.Members(), f.Options)
	}
	return wire.FormatJSON(payload.Text(), f.Options)
}

// WriteWrapped writes the fields, the payload among them.
func (f Format) WriteWrapped(fields *body.Tree, payload []byte) ([]byte, error) {
	if f.Wrap.Kind == "" {
		return []byte(url.QueryEscape(string(payload))), nil
	}
	text := string(payload)
	if f.Wrap.URL {
		text = url.QueryEscape(text)
	}
	if f.Wrap.Base64 {
		text = encoding.EncodeBase64(payload)
	}
	if err := fields.SetString(body.Path{f.Wrap.Field}, text); err != nil {
		return nil, err
	}
	return Format{Kind: f.Wrap.Kind}.Write(fields)
}
