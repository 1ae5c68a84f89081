// Package hbsk is the scheme of hbsk (慧分账), whose page 分账申请 documents
// /share/apply.
//
// The page says what is sent and not how it is signed: the signing page is not
// published. So the signed message is a template and the digest an option, and
// their defaults are guesses.
package hbsk

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

func init() {
	caddy.RegisterModule(new(Scheme))
}

// The members that the page names.
const (
	memberKey   = "key"
	memberTime  = "time"
	memberData  = "data"
	memberSign  = "sign"
	memberCode  = "code"
	memberText  = "text"
	memberOrder = "sequence" // in data
)

// The built-in templates (guess).
const (
	defaultMessage         = "data={data}&key={key}&time={time}"
	defaultResponseMessage = "data={data}&time={time}"
)

// Scheme is the scheme of hbsk (慧分账). It adds sign, and key and time where the
// client gave none. The object data goes out as a string that holds it.
//
// How hbsk signs is not published. Until message, response_message and digest
// are set, a warning in the log asks to confirm them with the provider. With the
// built-in templates code and text of an answer are not signed. An answer
// belongs to its request if data.sequence is equal where both have it.
type Scheme struct {
	// The developer's id, for requests without key. Default: none is added.
	DeveloperKey string `json:"developer_key,omitempty"`

	// How the message is signed: "hmac-sha256" (default), keyed with the
	// secret, or "sha256", for which {secret} must stand in the message, and not
	// at its start, where anyone could extend what is signed. A guess: the page
	// shows that a signature is 64 lower-case hex digits.
	Digest string `json:"digest,omitempty"`

	// The message that is signed in a request, with {data}, {key}, {time} and
	// {secret}. {data} is the text of the string as it is sent. Default, a
	// guess: data={data}&key={key}&time={time}
	Message string `json:"message,omitempty"`

	// The message that is signed in an answer and in a notification, with
	// {data}, {time}, {code}, {text}, {key} and {secret}. Default, a guess:
	// data={data}&time={time}
	ResponseMessage string `json:"response_message,omitempty"`

	scheme.Matching

	message, responseMessage template
}

// CaddyModule returns the Caddy module information.
func (*Scheme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.schemes.hbsk",
		New: func() caddy.Module { return new(Scheme) },
	}
}

// Options are the scheme's options.
func (s *Scheme) Options() []scheme.Option {
	message := scheme.Text("message", &s.Message)
	message.Requests = true
	message.Try = []string{
		defaultMessage,
		"data={data}&time={time}",
		"{data}{time}", "{time}{data}", "{key}{time}{data}", "{key}{data}{time}", "{data}",
		"data={data}&key={key}&time={time}{secret}", "data={data}&key={key}&time={time}&secret={secret}",
		"{data}{time}{secret}", "{key}{data}{time}{secret}", "{key}{time}{data}{secret}",
	}
	response := scheme.Text("response_message", &s.ResponseMessage)
	response.Try = []string{
		defaultResponseMessage,
		"data={data}&key={key}&time={time}",
		"code={code}&data={data}&text={text}&time={time}",
		"code={code}&data={data}&time={time}",
		"{data}{time}", "{time}{data}", "{key}{time}{data}", "{key}{data}{time}", "{data}",
		"data={data}&time={time}{secret}", "data={data}&time={time}&secret={secret}", "data={data}&time={time}&key={secret}",
		"data={data}&key={key}&time={time}{secret}", "data={data}&key={key}&time={time}&secret={secret}",
		"{data}{time}{secret}", "{key}{data}{time}{secret}", "{key}{time}{data}{secret}",
	}
	return []scheme.Option{
		scheme.Text("developer_key", &s.DeveloperKey),
		scheme.Enum("digest", &s.Digest, "hmac-sha256", "sha256"),
		message,
		response,
		s.Matching.Option(),
	}
}

// Validate checks the options and fills in the defaults of all but the
// templates.
func (s *Scheme) Validate() (err error) {
	if err := scheme.OneOf("digest", &s.Digest, "hmac-sha256", "sha256"); err != nil {
		return err
	}
	if s.message, err = s.parse("message", s.Message, defaultMessage, memberData, memberKey, memberTime); err != nil {
		return err
	}
	if s.responseMessage, err = s.parse("response_message", s.ResponseMessage, defaultResponseMessage,
		memberData, memberTime, memberCode, memberText, memberKey); err != nil {
		return err
	}
	return s.Matching.Validate()
}

// parse reads a template and refuses one that does not protect data.
func (s *Scheme) parse(option, text, builtIn string, names ...string) (template, error) {
	if text == "" {
		text = builtIn
	}
	t, err := parseTemplate(text, append(names, placeholderSecret))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", option, err)
	case !t.has(memberData):
		return nil, fmt.Errorf("%s has no {data}: the amounts would not be signed", option)
	case s.Digest == "sha256" && !t.has(placeholderSecret):
		return nil, fmt.Errorf("%s has no {secret}, which digest sha256 needs: anyone could make such a signature; put {secret} at its end, or use hmac-sha256", option)
	case s.Digest == "sha256" && t[0].secret():
		return nil, fmt.Errorf("%s begins with {secret}: with digest sha256 anyone could extend what is signed; put {secret} at its end, or use hmac-sha256", option)
	}
	return t, nil
}

// Warnings says so while a built-in template is used.
func (s *Scheme) Warnings() []string {
	if s.Message != "" && s.ResponseMessage != "" {
		return nil
	}
	return []string{"how hbsk (慧分账) signs is not published, and the built-in message is a guess; " +
		"confirm the rule with the provider, then set message, response_message and digest"}
}

// Needs names the secret.
func (s *Scheme) Needs(*body.Object) []keys.Role { return []keys.Role{keys.SharedSecret} }

// ResultCode is code.
func (s *Scheme) ResultCode(answer *body.Object) string {
	code, _ := answer.Text(memberCode)
	return code
}

// digits reports whether a text is a whole number, as time is in every message.
func digits(text []byte) bool {
	return len(text) > 0 && !slices.ContainsFunc(text, func(b byte) bool { return b < '0' || b > '9' })
}

var (
	_ scheme.Notifier      = (*Scheme)(nil)
	_ scheme.Canonicalizer = (*Scheme)(nil)
	_ scheme.Warner        = (*Scheme)(nil)
)
