package recipe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// env has the values of placeholders: a message, the keys, the time, and the nonces of
// each attempt.
type env struct {
	p       *Program
	m       *message.Message
	request *env // of the request as it left, in an answer, or nil
	keys    *keys.Set
	now     time.Time
	zone    *time.Location

	// Bytes of the body, as {body} has them. Nil: as they came.
	bytes func() ([]byte, error)

	unwrapped map[string]func() ([]byte, error) // envelopes that were opened, by key and text
	fresh     map[string]string                 // nonces of this attempt
	signature string                            // behind "as" only
	signing   bool                              // a text that is signed is made, and not another value
	peer      bool                              // the keys are the provider's: sign is what the merchant calls verify

	secrets  scheme.Secrets // what stands for {secret} and {secret.name}; nil: the key set's
	redacted bool           // {secret} is written as itself
}

// fillIn sets the replacement of secrets until the function that it returns is called.
func (e *env) fillIn(secrets scheme.Secrets, redacted bool) (done func()) {
	before, beforeRedacted := e.secrets, e.redacted
	e.secrets, e.redacted = secrets, redacted
	return func() { e.secrets, e.redacted = before, beforeRedacted }
}

// append appends the value of a placeholder.
func (e *env) append(dst []byte, p part) ([]byte, error) {
	if p.request {
		if e.request == nil {
			return nil, scheme.Failf(scheme.Invalid, "the signature covers a part of the request, which is not known here")
		}
		p.request = false
		return e.request.append(dst, p)
	}
	switch p.name {
	case "body":
		if p.path == nil {
			if e.bytes == nil {
				return append(dst, e.m.Wire...), nil
			}
			text, err := e.bytes()
			return append(dst, text...), err
		}
		return e.appendMember(dst, p)
	case "header":
		return e.appendHeader(dst, p)
	case "query":
		if p.arg == "" {
			return append(dst, e.m.Query...), nil
		}
		value, ok, err := e.m.Param(p.arg)
		if !ok && err == nil {
			err = e.missing("parameter", p.arg)
		}
		return append(dst, value...), invalid(err)
	case "form":
		m, ok := e.fields().Get(body.Path{p.arg})
		if !ok {
			return dst, e.missing("field", p.arg)
		}
		return appendText(dst, m), nil
	case partKind:
		return append(dst, e.m.Parts[p.arg]...), nil
	case "method":
		return append(dst, e.m.Method...), nil
	case "path":
		return append(dst, e.m.Path...), nil
	case "uri":
		return append(dst, e.m.URI()...), nil
	case "host":
		return append(dst, e.m.Host...), nil
	case "url":
		return append(dst, e.m.URL()...), nil
	case "status":
		return fmt.Appendf(dst, "%d", e.m.Status), nil
	case "time":
		if bound, ok := e.fresh["time."+p.arg]; ok { // of a request that came in
			return append(dst, bound...), nil
		}
		return append(dst, formatTime(e.now, p.arg, e.zone)...), nil
	case "nonce", "uuid":
		return append(dst, e.nonce(p)...), nil
	case "text":
		return e.p.texts[p.arg].append(dst, e)
	case "sign", "verify", "encrypt":
		return e.appendSerial(dst, p)
	case "signature":
		return append(dst, e.signature...), nil
	case "secret":
		return e.appendSecret(dst, p)
	}
	return nil, i18n.Errorf("placeholder {%s} has no value", p.name)
}

// fields returns the fields beside a wrapped payload, or where nothing is wrapped the
// payload itself.
func (e *env) fields() *body.Tree {
	switch {
	case e.m.Form != nil:
		return e.m.Form
	case e.m.Payload != nil:
		return e.m.Payload
	}
	return emptyTree()
}

func emptyTree() *body.Tree { return body.NewTree(emptyObject()) }

func emptyObject() *body.Object {
	o, err := body.Parse([]byte("{}"))
	if err != nil {
		panic("recipe: " + err.Error())
	}
	return o
}

// appendMember appends the text of a member. A request without it is refused; in
// an answer or a notification, whose signature decides, it is the empty text.
func (e *env) appendMember(dst []byte, p part) ([]byte, error) {
	if p.bare {
		return e.appendBare(dst, p)
	}
	if e.m.Payload != nil {
		if m, ok := e.m.Payload.Get(p.path); ok {
			return appendText(dst, m), nil
		}
	}
	if e.m.Kind == message.Request {
		return nil, scheme.Failf(scheme.Invalid, "the request needs the member %s, which is signed", p.path)
	}
	return dst, nil
}

// appendBare appends a member that an option's template names.
func (e *env) appendBare(dst []byte, p part) ([]byte, error) {
	var m body.Member
	if e.m.Payload != nil {
		m, _ = e.m.Payload.Get(p.path)
	}
	switch {
	case m.IsAbsent() || m.IsEmpty():
	case !m.IsScalar() || p.kind == "string" && m.Kind() != body.String:
		return nil, scheme.Failf(scheme.Invalid, "the member %s has the wrong type", p.path)
	case p.kind == "digits" && !digits(m.Text()):
		return nil, scheme.Failf(scheme.Invalid, "the member %s is not a whole number", p.path)
	default:
		return append(dst, m.Text()...), nil
	}
	for _, value := range p.fallback {
		if e.request == nil && slices.ContainsFunc(value, func(p part) bool { return p.request }) {
			continue
		}
		text, err := value.text(e)
		if err != nil {
			return nil, err
		}
		if text != "" {
			return append(dst, text...), nil
		}
	}
	if e.m.Kind == message.Request || p.kind == "digits" || p.fallback != nil {
		return nil, scheme.Failf(scheme.Invalid, "the message needs the member %s, which is signed%s", p.path, e.p.orSet(p.path))
	}
	return dst, nil
}

// orSet returns a hint that names the option that would add a member, or none.
func (p *Program) orSet(path body.Path) i18n.Text {
	for option, adds := range p.identities {
		if slices.Equal(adds, path) {
			return i18n.T("; set the option %s", option)
		}
	}
	return i18n.Text{}
}

func digits(text []byte) bool {
	return len(text) > 0 && !slices.ContainsFunc(text, func(c byte) bool { return c < '0' || c > '9' })
}

// appendText appends the decoded text of a string, the token of a number, and the
// compact text of an object or a list. Null is the empty text.
func appendText(dst []byte, m body.Member) []byte {
	switch {
	case m.IsAbsent() || m.IsNull():
		return dst
	case m.IsScalar():
		return append(dst, m.Text()...)
	}
	return append(dst, m.Compact()...)
}

func (e *env) appendHeader(dst []byte, p part) ([]byte, error) {
	if p.key == "" {
		value, err := e.m.HeaderValue(p.arg)
		if p.arg == "Content-Length" && value == "" && err == nil { // sent in pieces
			text, err := e.append(nil, part{name: "body"})
			return strconv.AppendInt(dst, int64(len(text)), 10), err
		}
		if err == nil && len(e.m.Header.Values(p.arg)) == 0 && (p.arg != "Content-Type" || e.m.Payload != nil) { // without a body there is no type
			err = e.missing("header", p.arg)
		}
		return append(dst, value...), invalid(err)
	}
	values, err := e.m.HeaderPart(p.arg, p.key)
	switch {
	case err != nil:
		return nil, invalid(err)
	case len(values) > 1:
		return nil, scheme.Failf(scheme.Invalid, "the header %s has %s twice", p.arg, p.key)
	case len(values) == 0:
		return dst, e.missing("header", headerName(p.arg, p.key))
	}
	return append(dst, values[0]...), nil
}

// missing refuses a request without something that is signed. An answer or a
// notification has the empty text there, and its signature decides.
func (e *env) missing(what, name string) error {
	if !e.signing || e.m.Kind != message.Request {
		return nil
	}
	return scheme.Failf(scheme.Invalid, "the request needs the %s %s, which is signed", what, name)
}

// invalid makes of an error that a message caused one with the reason Invalid.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	var already *scheme.Error
	if errors.As(err, &already) {
		return err
	}
	return scheme.Failf(scheme.Invalid, "%w", err)
}

// nonceLetters are the 62 characters of nonces.
const nonceLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (e *env) appendSerial(dst []byte, p part) ([]byte, error) {
	if bound, ok := e.fresh[p.name+"."+p.arg]; ok { // of a request that came in
		return append(dst, bound...), nil
	}
	role := keys.Role(p.name)
	if e.peer {
		role = mirrored(role)
	}
	serial, ok := e.keys.Serial(role)
	if p.arg == "serial.decimal" {
		serial, ok = e.keys.SerialDecimal(role)
	}
	if !ok {
		return nil, scheme.Failf(scheme.NeedsKeys, "the key set does not tell the serial of its %s key; put the certificate beside the key, or the serial into %s.serial", role, role)
	}
	return append(dst, serial...), nil
}

// appendSecret appends a secret. For a redacted text it appends a mark instead, which
// survives percent-encoding and a change of case; see restorePlaceholders.
func (e *env) appendSecret(dst []byte, p part) ([]byte, error) {
	if e.redacted {
		return append(dst, secretMark(p.arg)...), nil
	}
	secrets := e.secrets
	if secrets == nil {
		secrets = e.keys.NamedSecret
	}
	secret := secrets(p.arg)
	if secret == nil {
		return nil, scheme.Failf(scheme.NeedsKeys, "%w", e.keys.Need(p.secretName()))
	}
	return append(dst, secret.Bytes()...), nil
}

// secretMark returns the mark that stands for a secret while a redacted text is built.
func secretMark(name string) string { return "zq9" + hex.EncodeToString([]byte(name)) + "x9qz" }

// restorePlaceholders replaces the marks by {secret} or {secret.name}.
func restorePlaceholders(text []byte, names []string) []byte {
	out := string(text)
	for _, name := range names {
		redacted := "{secret}"
		if name != "" {
			redacted = "{secret." + name + "}"
		}
		mark := secretMark(name)
		out = strings.ReplaceAll(out, mark, redacted)
		out = strings.ReplaceAll(out, strings.ToUpper(mark), redacted)
	}
	return []byte(out)
}
