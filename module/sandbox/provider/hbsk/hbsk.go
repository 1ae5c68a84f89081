// Package hbsk plays hbsk (慧分账), from its page 分账申请 (POST /share/apply).
//
// A request is key, time, data and sign, where data is JSON in a string. The
// page about signing is not public: what is signed and how is a guess, and so
// these are the fields of [Provider].
package hbsk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// The digests.
const (
	HMACSHA256 = "hmac-sha256" // keyed with the secret
	SHA256     = "sha256"      // of the message alone, which then holds {secret}
)

// Provider plays hbsk.
type Provider struct {
	// Digest is hmac-sha256 or sha256. The default is hmac-sha256.
	Digest string
	// Message is what a request's sign covers: a template in which {name}
	// stands for the member of that name and {secret} for the shared secret.
	// The default is data={data}&key={key}&time={time}.
	Message string
	// ResponseMessage is the same for answers and notifications. {key} is the
	// request's. The default is data={data}&time={time}.
	ResponseMessage string
}

// New returns a provider with the defaults.
func New() *Provider {
	return &Provider{
		Digest:          HMACSHA256,
		Message:         "data={data}&key={key}&time={time}",
		ResponseMessage: "data={data}&time={time}",
	}
}

// refusal is a code of the page and what is wrong.
type refusal struct {
	code json.Number
	text string
}

// failed returns 申请失败, the code for every failure without a code on the page.
func failed(format string, args ...any) *refusal {
	return &refusal{"107010", "申请失败: " + fmt.Sprintf(format, args...)}
}

// exchange is one request on its way through the provider.
type exchange struct {
	*provider.Request
	options *Provider
	message wire.Value // the request
	data    wire.Value // its data
	seen    []string
}

func (e *exchange) saw(format string, args ...any) {
	e.seen = append(e.seen, fmt.Sprintf(format, args...))
}

var timeForm = regexp.MustCompile(`^[0-9]{10}$`)

// Answer does with a request what hbsk does.
func (p *Provider) Answer(r provider.Request) provider.Answer {
	e := &exchange{Request: &r, options: p}
	route, _, _ := strings.Cut(r.Path, "?")
	serve := (*exchange).other
	if strings.HasSuffix(route, "/share/apply") {
		serve = (*exchange).apply
	}
	data, refused := wire.Value{}, e.accept()
	if refused == nil {
		data, refused = serve(e)
	}
	if refused != nil {
		data = wire.Obj()
		if sequence := e.data.Get("sequence"); sequence.Kind == wire.String {
			data = data.With("sequence", sequence)
		}
		return e.reply(refused.code, refused.text, data)
	}
	return e.reply("0", "申请成功", data)
}

// accept reads the request, verifies it and opens its data.
func (e *exchange) accept() *refusal {
	message, err := wire.ReadBody(e.ContentType, e.Body)
	if err != nil {
		return failed("%v", err)
	}
	e.message = message
	data := message.Get("data")
	switch {
	case message.StringAt("key") == "":
		return failed("key 标识缺失")
	case !timeForm.MatchString(message.Get("time").Text):
		return failed("time 应为秒级时间戳")
	case data.Kind != wire.String:
		return failed("data 应为 JSON string")
	}
	which, err := signature.VerifyDigest(e.Keys.Secrets, e.digest(e.options.Message, message), message.StringAt("sign"))
	if err != nil {
		return failed("签名错误: %v", err)
	}
	e.saw("signature verified with secret %d", which)
	if e.data, err = wire.ParseObject([]byte(data.Text)); err != nil {
		return failed("data: %v", err)
	}
	e.saw("data: %s", data.Text)
	return nil
}

// digest is that of a template over the members of a message.
func (e *exchange) digest(template string, message wire.Value) signature.Digest {
	return func(secret []byte) []byte {
		text := fill(template, func(name string) string {
			if name == "secret" {
				return string(secret)
			}
			return message.Get(name).Text
		})
		if e.options.Digest == SHA256 {
			sum := sha256.Sum256([]byte(text))
			return sum[:]
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// fill puts values into a template, once: what a value holds is left alone.
func fill(template string, value func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(template, func(hole string) string {
		return value(hole[1 : len(hole)-1])
	})
}

// reply returns an answer, which is always signed.
func (e *exchange) reply(code json.Number, text string, data wire.Value) provider.Answer {
	ok := code == "0"
	e.saw("answered %s %s", code, text)
	answered := data
	if e.Fault == provider.Mismatch && e.data.StringAt("sequence") != "" {
		answered = data.With("sequence", signature.Another(e.data.Get("sequence")))
	}
	body, err := e.signed(e.Fault, code, text, answered)
	if err != nil {
		return provider.Unable(err)
	}
	answer := provider.Answer{
		Status:      200,
		ContentType: "application/json",
		Body:        []byte(body),
		OK:          ok,
		Seen:        strings.Join(e.seen, "; "),
	}
	if ok {
		if answer.Notification, err = e.notification(data); err != nil {
			return provider.Unable(err)
		}
	}
	return answer
}

// signed returns a message of the provider.
func (e *exchange) signed(fault provider.Fault, code json.Number, text string, data wire.Value) (string, error) {
	inner := wire.Str(data.Encode())
	message := wire.Obj(
		wire.M("code", wire.Num(code.String())),
		wire.M("text", wire.Str(text)),
		wire.M("data", inner),
		wire.M("sign", wire.Value{}),
		wire.M("time", wire.Num(strconv.FormatInt(e.Now.Unix(), 10))))
	covered := message.With("key", e.message.Get("key"))
	sign, err := signature.SignDigest(fault, e.Keys.Secrets, e.digest(e.options.ResponseMessage, covered))
	if err != nil {
		return "", err
	}
	message = message.With("sign", wire.Str(sign))
	switch fault {
	case provider.Tampered:
		changed := signature.Tamper(data, "amount", "sequence", "state").Encode()
		if changed == inner.Text { // a refusal without data
			return signature.Tamper(message, "time").Encode(), nil
		}
		message = message.With("data", wire.Str(changed))
	case provider.Unsigned:
		message = message.Without("sign")
	}
	return message.Encode(), nil
}

// notification returns the outcome, in the shape of an answer and signed like one
// (the page of the query, whose shape it has, is not public). Any 2xx
// acknowledges it.
func (e *exchange) notification(data wire.Value) (*provider.Notification, error) {
	body, err := e.signed(provider.NoFault, "0", "分账成功", data)
	if err != nil {
		return nil, err
	}
	return &provider.Notification{
		ContentType:  "application/json",
		Body:         []byte(body),
		Acknowledged: func(status int, _ []byte) bool { return status/100 == 2 },
	}, nil
}
