// Package hkrt plays hkrt (海科融通), from its page 交易完成后,请求单次分账
// (POST /api/v1/delay-ledger/ledger).
//
// Requests and answers are flat JSON with lists in them, and signed whole: a
// string made of all members, lists without an index, the access key appended,
// MD5. The page lists no result code but 10000; the others are this sandbox's
// own.
package hkrt

import (
	"crypto/md5" //nolint:gosec // it is what hkrt uses
	"fmt"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// Provider plays hkrt. Its fields are what clients disagree about.
type Provider struct {
	// AccessID is the only accessid that is served. The default serves all.
	AccessID string
	// KeepEmptyLists signs an empty list as name=. The default leaves it out.
	KeepEmptyLists bool
	// ShortestNumbers makes the provider sign the numbers of its answers as
	// PHP would print them, 1.00 as 1. The default signs the token.
	ShortestNumbers bool
}

// New returns a provider with the defaults.
func New() *Provider { return &Provider{} }

// verdict is a return_code and a return_msg.
type verdict struct{ code, message string }

var accepted = verdict{code: "10000"}

func badSignature(err error) verdict { return verdict{"20001", "验签失败: " + err.Error()} }

func badParameter(format string, args ...any) verdict {
	return verdict{"20002", "参数错误: " + fmt.Sprintf(format, args...)}
}

// exchange is one request on its way through the provider.
type exchange struct {
	*provider.Request
	options *Provider
	params  wire.Value
	seen    []string
}

func (e *exchange) saw(format string, args ...any) {
	e.seen = append(e.seen, fmt.Sprintf(format, args...))
}

// Answer does with a request what hkrt does.
func (p *Provider) Answer(r provider.Request) provider.Answer {
	e := &exchange{Request: &r, options: p}
	route, _, _ := strings.Cut(r.Path, "?")
	v := e.accept()
	result := (*exchange).repeated
	if strings.HasSuffix(route, "/delay-ledger/ledger") {
		if v == accepted {
			v = e.checkLedger()
		}
		result = (*exchange).ledger
	}
	e.saw("answered %s %s", v.code, v.message)
	if v != accepted {
		return e.refuse(v)
	}
	return e.succeed(result(e))
}

// accept reads the request and verifies it.
func (e *exchange) accept() verdict {
	params, err := wire.ReadBody(e.ContentType, e.Body)
	if err != nil {
		return badParameter("%v", err)
	}
	if hasBoolean(params) {
		return badParameter("a boolean, which no interface has")
	}
	e.params = params
	id := params.StringAt("accessid")
	if id == "" || e.options.AccessID != "" && id != e.options.AccessID {
		return badParameter("accessid")
	}
	canonical := e.options.canonical(params, tokens)
	which, err := signature.VerifyDigest(e.Keys.Secrets, md5Of(canonical), params.StringAt("sign"))
	if err != nil {
		return badSignature(err)
	}
	e.saw("signature verified with access key %d", which)
	return accepted
}

func hasBoolean(v wire.Value) bool {
	for _, m := range v.Members {
		if hasBoolean(m.Value) {
			return true
		}
	}
	for _, item := range v.Items {
		if hasBoolean(item) {
			return true
		}
	}
	return v.Kind == wire.Bool
}

// md5Of returns the digest: the access key follows the string directly.
func md5Of(canonical string) signature.Digest {
	return func(secret []byte) []byte {
		sum := md5.Sum([]byte(canonical + string(secret))) //nolint:gosec // as above
		return sum[:]
	}
}

// orderFields are the members that identify the order of an answer.
var orderFields = []string{"merch_no", "apply_no", "trade_no", "agent_no"}

// refuse returns an error answer. The page marks the members that identify the order as
// mandatory in every answer.
func (e *exchange) refuse(v verdict) provider.Answer {
	body := wire.Obj()
	for _, name := range orderFields {
		if m := e.params.Get(name); m.Kind == wire.String {
			body = body.With(name, m)
		}
	}
	body = body.With("return_code", wire.Num(v.code)).With("return_msg", wire.Str(v.message))
	return e.reply(body, "return_msg")
}

func (e *exchange) succeed(body wire.Value) provider.Answer {
	// Before the answer, so that a fault of the answer is none of this.
	event, err := e.signed(provider.NoFault, body)
	if err != nil {
		return provider.Unable(err)
	}
	answer := e.reply(body, "ledger_no", "return_code")
	answer.OK = true
	answer.Notification = &provider.Notification{
		ContentType:  "application/json",
		Body:         []byte(event.Encode()),
		Acknowledged: func(status int, _ []byte) bool { return status/100 == 2 },
	}
	return answer
}

// reply sends the body, signed, with the fault that was asked for. What may be
// tampered with are names of signed members.
func (e *exchange) reply(body wire.Value, tamper ...string) provider.Answer {
	if asked := e.params.Get("apply_no"); e.Fault == provider.Mismatch && asked.Kind == wire.String && asked.Text != "" {
		body = body.With("apply_no", signature.Another(asked))
	}
	body, err := e.signed(e.Fault, body)
	if err != nil {
		return provider.Unable(err)
	}
	switch e.Fault {
	case provider.Tampered:
		body = signature.Tamper(body, tamper...)
	case provider.Unsigned:
		body = body.Without("sign")
	}
	return provider.Answer{
		Status:      200,
		ContentType: "application/json;charset=UTF-8",
		Body:        []byte(body.Encode()),
		Seen:        strings.Join(e.seen, "; "),
	}
}

func (e *exchange) signed(fault provider.Fault, body wire.Value) (wire.Value, error) {
	number := tokens
	if e.options.ShortestNumbers {
		number = shortest
	}
	sign, err := signature.SignDigest(fault, e.Keys.Secrets, md5Of(e.options.canonical(body, number)))
	return body.With("sign", wire.Str(strings.ToUpper(sign))), err
}
