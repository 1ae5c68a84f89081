// Package jeepay plays Jeepay (计全付), from its page 分账业务 and, where the page
// is silent, as its open-source server does it.
//
// A request is signed whole, with MD5 and a shared secret or with SHA256withRSA
// (RSA2), as its signType says. The answer is code, msg and data, of which only
// data is signed; an error has no data, and so no signature.
package jeepay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// Provider plays Jeepay.
type Provider struct {
	// Receivers are the accounts and groups that an order can be divided
	// among. With any other one the division fails, as in the page's sample
	// answer. The default are those that the page itself uses as existing.
	Receivers []string
}

// New returns a provider with the defaults.
func New() *Provider {
	return &Provider{Receivers: []string{"800001", "800021", "100001", "10001"}}
}

// refusal is an error answer. The codes are those of the open-source server:
// 11 for parameters, 9999 for what a business rule forbids.
type refusal struct {
	code    string
	message string
}

func badParameter(format string, args ...any) *refusal {
	return &refusal{"11", "参数有误[" + fmt.Sprintf(format, args...) + "]"}
}

var signatureFailed = &refusal{"9999", "签名失败"}

// exchange is one request on its way through the provider.
type exchange struct {
	*provider.Request
	options *Provider
	params  wire.Value
	method  string // how to sign: MD5 or RSA2
	seen    []string
}

func (e *exchange) saw(format string, args ...any) {
	e.seen = append(e.seen, fmt.Sprintf(format, args...))
}

// Answer does with a request what Jeepay does.
func (p *Provider) Answer(r provider.Request) provider.Answer {
	e := &exchange{Request: &r, options: p}
	route, _, _ := strings.Cut(r.Path, "?")
	service := serviceOf(route)
	data, refused := wire.Value{}, e.accept(service.fields)
	if refused == nil {
		data, refused = service.serve(e)
	}
	if refused != nil {
		e.saw("answered %s %s", refused.code, refused.message)
		return e.reply(false, wire.Obj(
			wire.M("code", wire.Num(refused.code)),
			wire.M("msg", wire.Str(refused.message))))
	}
	e.saw("answered 0 SUCCESS %s", data.Encode())
	return e.succeed(data)
}

// accept reads the parameters that every interface has, and verifies the
// signature.
//
// The open-source server signs the request that it understood, not the one
// that came: parameters that it does not know are lost before, and with them
// the signature. fields are those that it knows, nil stands for all.
func (e *exchange) accept(fields []string) *refusal {
	params, err := readParameters(e.ContentType, e.Body)
	if err != nil {
		return badParameter("%v", err)
	}
	known := wire.Obj()
	for _, m := range params.Members {
		if m.Value.Kind == wire.Array || m.Value.Kind == wire.Object {
			return badParameter("%s 应为字符串", m.Name)
		}
		if fields == nil || slices.Contains(commonFields, m.Name) || slices.Contains(fields, m.Name) {
			known.Members = append(known.Members, m)
		} else {
			e.saw("parameter %s is unknown here, and so not part of the signature", m.Name)
		}
	}
	e.params = known
	switch {
	case known.Get("appId").Text == "":
		return badParameter("appId 不能为空")
	case known.Get("version").Text != "1.0":
		return badParameter("version 固定为 1.0")
	case known.Get("reqTime").Text == "": // the server looks at nothing else of it
		return badParameter("reqTime 不能为空")
	}
	return e.verify(params.StringAt("sign"))
}

func (e *exchange) verify(sign string) *refusal {
	canonical, err := canonical(e.params)
	if err != nil {
		return badParameter("%v", err)
	}
	var which int
	switch e.method = e.params.StringAt("signType"); e.method {
	case "MD5":
		which, err = signature.VerifyDigest(e.Keys.Secrets, md5Of(canonical), sign)
	case "RSA2":
		which, err = signature.VerifyRSA(e.Keys.Verify, canonical, sign)
	default:
		return badParameter("signType 目前只支持MD5或RSA2")
	}
	if err != nil {
		e.saw("%s: %v", e.method, err)
		return signatureFailed
	}
	e.saw("%s signature verified under key %d of the merchant", e.method, which)
	return nil
}

// sign signs the data of an answer as the request was signed.
func (e *exchange) sign(data wire.Value) (string, error) {
	canonical, err := canonical(data)
	if err != nil {
		return "", err
	}
	if e.method == "RSA2" {
		return signature.SignRSA(e.Fault, e.Keys.Sign, canonical)
	}
	sign, err := signature.SignDigest(e.Fault, e.Keys.Secrets, md5Of(canonical))
	return strings.ToUpper(sign), err
}

// binding are the members that identify the order or account of an answer.
var binding = []string{"payOrderId", "mchOrderNo", "receiverId"}

func (e *exchange) succeed(data wire.Value) provider.Answer {
	notification, err := e.notification(data)
	if err != nil {
		return provider.Unable(err)
	}
	if e.Fault == provider.Mismatch {
		data = e.mismatched(data)
	}
	sign, err := e.sign(data)
	if err != nil {
		return provider.Unable(err)
	}
	if e.Fault == provider.Tampered {
		data = signature.Tamper(data, "state", "bindState", "balanceAmount")
	}
	body := wire.Obj(
		wire.M("code", wire.Num("0")),
		wire.M("data", data),
		wire.M("msg", wire.Str("SUCCESS")),
		wire.M("sign", wire.Str(sign)))
	if e.Fault == provider.Unsigned {
		body = body.Without("sign")
	}
	answer := e.reply(true, body)
	answer.Notification = notification
	return answer
}

// mismatched names another order, where the request named one. The page's
// answer to a division names none, and then it is added.
func (e *exchange) mismatched(data wire.Value) wire.Value {
	for _, name := range binding {
		asked := e.params.Get(name)
		if !asked.Scalar() || asked.Empty() {
			continue
		}
		if given := data.Get(name); !given.Empty() {
			asked = given
		}
		data = data.With(name, signature.Another(asked))
	}
	return data
}

func (e *exchange) reply(ok bool, body wire.Value) provider.Answer {
	return provider.Answer{
		Status:      200,
		ContentType: "application/json;charset=UTF-8",
		Body:        []byte(body.Encode()),
		OK:          ok,
		Seen:        strings.Join(e.seen, "; "),
	}
}
