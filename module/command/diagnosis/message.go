package diagnosis

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Read reads a message as it stood on the wire: JSON, or a form or query string
// where the scheme's notifications are one. A byte order mark before an answer
// is skipped, as the sidecar does.
func Read(s scheme.Scheme, kind scheme.Kind, text []byte) (scheme.Wire, error) {
	if kind == scheme.KindNotification {
		n, ok := s.(scheme.Notifier)
		if !ok {
			return scheme.Wire{}, fmt.Errorf("%s has no notifications", scheme.Name(s))
		}
		if n.Notification().Form {
			return readForm(s, text)
		}
	}
	if kind != scheme.KindRequest {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	object, err := body.Parse(text)
	if err != nil {
		return scheme.Wire{}, fmt.Errorf("reading the %s: %w%s", kind, err, hint(text))
	}
	return scheme.Wire{Kind: kind, Body: object}, nil
}

// hint says what a text that is no JSON may be.
func hint(text []byte) string {
	switch decoded, err := simplifiedchinese.GBK.NewDecoder().Bytes(text); {
	case len(bytes.TrimSpace(text)) == 0:
		return "; it is empty"
	case bytes.HasPrefix(text, []byte("\ufeff")):
		return "; it begins with a byte order mark (EF BB BF), which JSON must not: save it without one"
	case !utf8.Valid(text) && err == nil && !bytes.ContainsRune(decoded, utf8.RuneError) && body.Valid(decoded) == nil:
		return "; it is in GBK, and only UTF-8 is taken: convert it, and ask the sender which charset it signs"
	case !utf8.Valid(text):
		return "; it is not in UTF-8"
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("<")):
		return "; it looks like HTML or XML"
	}
	return ""
}

// readForm reads a form body or a query string, with or without the address
// before it, as the handler of notifications does.
func readForm(s scheme.Scheme, text []byte) (scheme.Wire, error) {
	form := string(bytes.TrimSpace(text))
	if strings.HasPrefix(form, "{") {
		return scheme.Wire{}, fmt.Errorf("%s sends notifications as a form, and this is JSON; give the form or the query string as it came", scheme.Name(s))
	}
	if _, query, found := strings.Cut(form, "?"); found {
		form = query
	}
	params, err := scheme.ParseForm("", form)
	if err != nil {
		return scheme.Wire{}, fmt.Errorf("reading the notification: %w", err)
	}
	if len(params) == 0 {
		return scheme.Wire{}, errors.New("reading the notification: the form is empty")
	}
	return scheme.Wire{Kind: scheme.KindNotification, Form: params}, nil
}

// Member is the text of a member or a parameter, for {body.x} in a reference.
func Member(w scheme.Wire, name string) (string, bool) {
	if w.Body != nil {
		return w.Body.Text(name)
	}
	for _, p := range w.Form {
		if p.Name == name {
			return p.Value, p.Value != ""
		}
	}
	return "", false
}

// SealRoles are the roles that sealing a request cannot do without, of those
// that its whole exchange needs.
func SealRoles(s scheme.Scheme, request *body.Object) []keys.Role {
	return slices.DeleteFunc(slices.Clone(s.Needs(request)), func(r keys.Role) bool {
		return r != keys.Sign && r != keys.Encrypt && r != keys.SharedSecret
	})
}

// Open opens an answer or a notification with the keys of a set. Charset, if
// not nil, changes the canonical string before it is verified.
func Open(s scheme.Scheme, w scheme.Wire, set *keys.Set, charset func([]byte) []byte) (*scheme.Opened, error) {
	switch w.Kind {
	case scheme.KindResponse:
		return s.Open(scheme.Answer{Body: w.Body, Keys: set, Charset: charset})
	case scheme.KindNotification:
		if n, ok := s.(scheme.Notifier); ok {
			return n.OpenNotification(scheme.Notification{Body: w.Body, Form: w.Form, Keys: set, Charset: charset})
		}
	}
	return nil, fmt.Errorf("a %s of %s cannot be opened", w.Kind, scheme.Name(s))
}

// Canonical is our canonical string of a message on the wire.
func Canonical(s scheme.Scheme, w scheme.Wire) ([]byte, error) {
	c, ok := s.(scheme.Canonicalizer)
	if !ok {
		return nil, fmt.Errorf("%s cannot give the canonical string of a message without its keys", scheme.Name(s))
	}
	return c.Canonical(w)
}
