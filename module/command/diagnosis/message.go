package diagnosis

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Kind reads the value of --as.
func Kind(text string) (message.Kind, error) {
	switch text {
	case "request":
		return message.Request, nil
	case "response", "answer":
		return message.Answer, nil
	case "notification":
		return message.Notification, nil
	}
	return "", i18n.Errorf("--as takes request, response or notification, not %q", text)
}

// requestLine and statusLine are how a message begins that is more than a body.
var (
	requestLine = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/[0-9.]+\r?\n`)
	statusLine  = regexp.MustCompile(`^HTTP/[0-9.]+ ([0-9]{3})[^\n]*\n`)
)

// Split reads a file as `curl -i` shows a message, with a request line or a status
// line, headers and an empty line, or a body alone. whole is true if it was more than a
// body.
func Split(kind message.Kind, text []byte) (m *message.Message, whole bool, err error) {
	m = message.New(kind)
	m.Scheme, m.Method, m.Path, m.Status = "https", http.MethodPost, "/", http.StatusOK
	head := bytes.TrimPrefix(text, []byte("\ufeff"))
	switch line := requestLine.FindSubmatch(head); {
	case line != nil:
		m.Method = string(line[1])
		target := string(line[2])
		if scheme, rest, ok := strings.Cut(target, "://"); ok {
			m.Scheme = scheme
			host, path, _ := strings.Cut(rest, "/")
			m.Host, target = host, "/"+path
		}
		m.Path, m.Query, _ = strings.Cut(target, "?")
		text = head[len(line[0]):]
	case statusLine.Match(head):
		found := statusLine.FindSubmatch(head)
		m.Status, _ = strconv.Atoi(string(found[1]))
		text = head[len(found[0]):]
	default:
		m.Wire = text
		return m, false, nil
	}
	r := bufio.NewReader(bytes.NewReader(text))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, true, i18n.Errorf("reading the headers of the message: %w; an empty line stands before the body", err)
	}
	m.Header = http.Header(header)
	if host := m.Header.Get("Host"); host != "" {
		m.Host = host
		m.Header.Del("Host")
	}
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(r); err != nil {
		return nil, true, i18n.Errorf("reading the body of the message: %w", err)
	}
	m.Wire = rest.Bytes()
	return m, true, nil
}

// Read reads a message as it stood on the wire.
func Read(s scheme.Scheme, kind message.Kind, text []byte) (*message.Message, error) {
	m, whole, err := Split(kind, text)
	if err != nil {
		return nil, err
	}
	d := s.Describe()
	direction := map[message.Kind]*scheme.Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[kind]
	if direction == nil {
		return nil, i18n.Errorf("%s has no rule for a message that is a %s", d.Name, name(kind))
	}
	if !whole && direction.Format.Kind == message.Form && kind == message.Notification {
		if err := readForm(d.Name, m); err != nil {
			return nil, err
		}
	}
	if err := direction.Format.Read(m); err != nil {
		return nil, i18n.Errorf("reading the %s: %w%s", name(kind), err, hint(m.Wire))
	}
	if m.Payload == nil && !whole && !direction.Format.Sealed {
		return nil, i18n.Errorf("reading the %s: %w%s", name(kind), body.ErrSyntax, hint(m.Wire))
	}
	return m, nil
}

// ReadPlain reads a request as an application posts it: JSON, or the format in which it
// travels. whole is true if the file was more than a body.
func ReadPlain(s scheme.Scheme, text []byte) (m *message.Message, whole bool, err error) {
	if m, whole, err = Split(message.Request, text); err != nil {
		return nil, whole, err
	}
	format := s.Describe().Request.Format
	format.Wrap, format.Options.Charset = nil, ""
	raw := bytes.TrimPrefix(m.Wire, []byte("\ufeff"))
	if len(bytes.TrimSpace(raw)) == 0 {
		if !whole {
			return nil, whole, i18n.Errorf("reading the request: %w%s", body.ErrSyntax, hint(raw))
		}
		if format.Kind == message.Query { // as the sidecar reads it
			return m, whole, format.Read(m)
		}
		return m, whole, nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || format.IsJSON() {
		format = message.Format{}
	}
	o, err := format.Parse(raw)
	if err != nil {
		return nil, whole, i18n.Errorf("reading the request: %w%s", err, hint(m.Wire))
	}
	m.SetPayload(o)
	m.Header.Del("Content-Type")
	m.Header.Del("Content-Length")
	return m, whole, nil
}

// name returns a kind as --as calls it.
func name(kind message.Kind) string {
	if kind == message.Answer {
		return "response"
	}
	return string(kind)
}

// hint says what a text that is not JSON may be.
func hint(text []byte) i18n.Text {
	switch decoded, err := simplifiedchinese.GBK.NewDecoder().Bytes(text); {
	case len(bytes.TrimSpace(text)) == 0:
		return i18n.T("; it is empty")
	case !utf8.Valid(text) && err == nil && !bytes.ContainsRune(decoded, utf8.RuneError) && body.Valid(decoded) == nil:
		return i18n.T("; it is in GBK, and only UTF-8 is taken: convert it, and ask the sender which charset it signs")
	case !utf8.Valid(text):
		return i18n.T("; it is not in UTF-8")
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("<")):
		return i18n.T("; it looks like HTML or XML")
	}
	return i18n.Text{}
}

// readForm takes a form body or a query string, with or without the address before
// it.
func readForm(scheme string, m *message.Message) error {
	form := string(bytes.TrimSpace(m.Wire))
	if strings.HasPrefix(form, "{") {
		return i18n.Errorf("%s sends notifications as a form, and this is JSON; give the form or the query string as it came", scheme)
	}
	if _, query, found := strings.Cut(form, "?"); found {
		form = query
	}
	if form == "" {
		return i18n.Errorf("reading the notification: the form is empty")
	}
	m.Wire = []byte(form)
	return nil
}

// Member returns the text of a member, for {body.x} in a reference.
func Member(m *message.Message, name string) (string, bool) {
	if m.Payload == nil {
		return "", false
	}
	found, ok := m.Payload.Get(body.Path{name})
	if !ok || !found.IsScalar() || found.IsEmpty() {
		return "", false
	}
	return string(found.Text()), true
}

// SealRoles returns the roles that sealing a request needs, of those that its whole
// exchange needs.
func SealRoles(s scheme.Scheme, request *message.Message) []keys.Role {
	return slices.DeleteFunc(slices.Clone(s.Describe().Needs(request)), func(r keys.Role) bool {
		plain, _ := r.Split()
		return plain != keys.Sign && plain != keys.Encrypt && plain != keys.SharedSecret
	})
}

// Open opens an answer or a notification with the keys of a set. Charset, if not
// nil, changes the canonical string before it is verified.
func Open(s scheme.Scheme, m *message.Message, set *keys.Set, at time.Time, charset func([]byte) []byte) (*scheme.Verified, error) {
	return scheme.Open(s, scheme.Incoming{Message: m, Keys: set, Now: at, Charset: charset})
}

// Canonical returns our canonical string of a message on the wire, without secrets.
func Canonical(s scheme.Scheme, m *message.Message) ([]byte, error) {
	c, ok := s.(interface {
		Canonical(m *message.Message) ([]byte, error)
	})
	if !ok {
		return nil, i18n.Errorf("%s cannot give the canonical string of a message without its keys", s.Describe().Name)
	}
	return c.Canonical(m)
}
