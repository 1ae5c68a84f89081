// Package hongwen plays hongwen (鸿闻), from its page 申请退分账, which is the
// method trade.apply.divide.back of its one gateway.
//
// A request is flat JSON signed with SHA256withRSA, although the type is named
// RSA. What the method needs is JSON in the string biz_content, with more JSON
// in a string in it. The answer is flat JSON whose arrays are not signed. The
// page lists no result code but 20000; the others are this sandbox's own.
package hongwen

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// Provider plays hongwen. Its fields are what the page leaves open.
type Provider struct {
	// SignArrays makes the JSON text of arrays and objects part of what is
	// signed in an answer. The default leaves them out.
	SignArrays bool
	// DetailText sends the details of an answer as JSON in a string, as the
	// page's table says. The default sends arrays, as its sample does.
	DetailText bool
}

// New returns a provider with the defaults.
func New() *Provider { return &Provider{} }

// verdict is a code and a msg.
type verdict struct{ code, message string }

var accepted = verdict{"20000", "success"}

func badSignature(err error) verdict { return verdict{"40001", "验签失败: " + err.Error()} }

func badParameter(format string, args ...any) verdict {
	return verdict{"40002", "参数错误: " + fmt.Sprintf(format, args...)}
}

// exchange is one request on its way through the provider.
type exchange struct {
	*provider.Request
	options *Provider
	params  wire.Value // the request
	content wire.Value // its biz_content
	detail  wire.Value // the divide_back_detail in that
	seen    []string
}

func (e *exchange) saw(format string, args ...any) {
	e.seen = append(e.seen, fmt.Sprintf(format, args...))
}

// divideBack is the method of the page.
const divideBack = "trade.apply.divide.back"

// Answer does with a request what hongwen does. The path is not looked at:
// there is one gateway, and the method stands in the request.
func (p *Provider) Answer(r provider.Request) provider.Answer {
	e := &exchange{Request: &r, options: p}
	v := e.accept()
	result := (*exchange).repeated
	if e.params.StringAt("method") == divideBack {
		if v == accepted {
			v = e.checkDivideBack()
		}
		result = (*exchange).dividedBack
	}
	e.saw("answered %s %s", v.code, v.message)
	body := wire.Obj(wire.M("code", wire.Num(v.code)), wire.M("msg", wire.Str(v.message)))
	switch {
	case v == accepted:
		body.Members = append(body.Members, result(e).Members...)
	case e.content.StringAt(binding) != "":
		body = body.With(binding, e.content.Get(binding))
	}
	return e.reply(v == accepted, body)
}

// commonFields are the members of every request with the number of characters
// that each may have. All of them are strings; notify_url may be left out.
var commonFields = []struct {
	name string
	max  int
}{
	{"mch_no", 32}, {"method", 128}, {"charset", 10}, {"sign_type", 10}, {"sign", 344},
	{"timestamp", 19}, {"version", 3}, {"notify_url", 200}, {"biz_content", 1 << 20},
}

// timeForm is yyyy-MM-dd HH:mm:ss, in China Standard Time.
const timeForm = "2006-01-02 15:04:05"

// accept reads the request, verifies it and opens its biz_content.
func (e *exchange) accept() verdict {
	params, err := wire.ReadBody(e.ContentType, e.Body)
	if err != nil {
		return badParameter("%v", err)
	}
	e.params = params
	for _, field := range commonFields {
		value := params.Get(field.name)
		switch {
		case value.Empty() && (field.name == "notify_url" || field.name == "sign"):
		case value.Kind != wire.String || value.Text == "":
			return badParameter("%s is missing or not a string", field.name)
		case utf8.RuneCountInString(value.Text) > field.max:
			return badParameter("%s is longer than %d characters", field.name, field.max)
		}
	}
	// Go reads more forms than it writes.
	sent, err := time.ParseInLocation(timeForm, params.StringAt("timestamp"), wire.China)
	switch {
	case err != nil || sent.Format(timeForm) != params.StringAt("timestamp"):
		return badParameter("timestamp is not yyyy-MM-dd HH:mm:ss")
	case params.StringAt("charset") != "utf-8":
		return badParameter("charset is not utf-8")
	case params.StringAt("version") != "1.0":
		return badParameter("version is not 1.0")
	case params.StringAt("sign_type") != "RSA" && params.StringAt("sign_type") != "rsa":
		return badParameter("sign_type is not RSA")
	}
	which, err := signature.VerifyRSA(e.Keys.Verify, canonical(params, false), params.StringAt("sign"))
	if err != nil {
		return badSignature(err)
	}
	e.saw("signature verified under key %d of the merchant", which)
	if e.content, err = wire.ParseObject([]byte(params.StringAt("biz_content"))); err != nil {
		return badParameter("biz_content: %v", err)
	}
	e.saw("biz_content: %s", params.StringAt("biz_content"))
	return accepted
}

// canonical returns the string that is signed: the members by name, name=value
// joined by &. The signature itself, null, empty strings and, unless asked
// for, arrays and objects are left out. sign_type is not.
func canonical(object wire.Value, arrays bool) string {
	var pieces []string
	for _, m := range object.Sorted() {
		text := m.Value.Text
		switch {
		case m.Name == "sign" || m.Value.Empty():
			continue
		case !m.Value.Scalar() && !arrays:
			continue
		case !m.Value.Scalar():
			text = m.Value.Encode()
		}
		pieces = append(pieces, m.Name+"="+text)
	}
	return strings.Join(pieces, "&")
}

// binding is the member that identifies the request of an answer.
const binding = "divide_back_out_trade_no"

// reply sends the body, signed, with the fault that was asked for.
func (e *exchange) reply(ok bool, body wire.Value) provider.Answer {
	answer := provider.Answer{Status: 200, ContentType: "application/json;charset=utf-8", OK: ok}
	if ok {
		var err error
		if answer.Notification, err = e.notification(body); err != nil {
			return provider.Unable(err)
		}
	}
	if asked := e.content.Get(binding); e.Fault == provider.Mismatch && asked.Kind == wire.String && asked.Text != "" {
		body = body.With(binding, signature.Another(asked))
	}
	sign, err := signature.SignRSA(e.Fault, e.Keys.Sign, canonical(body, e.options.SignArrays))
	if err != nil {
		return provider.Unable(err)
	}
	body = body.With("sign", wire.Str(sign))
	switch e.Fault {
	case provider.Tampered:
		body = signature.Tamper(body, "divide_back_trade_no", "msg")
	case provider.Unsigned:
		body = body.Without("sign")
	}
	answer.Body = []byte(body.Encode())
	answer.Seen = strings.Join(e.seen, "; ")
	return answer
}
