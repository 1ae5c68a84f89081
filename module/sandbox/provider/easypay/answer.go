package easypay

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// answer says what the verdict is, in the shape of the page's sample.
func (e *exchange) answer(v verdict) provider.Answer {
	e.saw("answered 0000%s %s", v.code, v.message)
	biz, err := e.answerData(v)
	if err != nil {
		return provider.Unable(err)
	}
	if e.Fault == provider.Mismatch && biz.StringAt("oriOrgTrace") != "" {
		biz = biz.With("oriOrgTrace", signature.Another(biz.Get("oriOrgTrace")))
	}
	body, err := e.signed(e.Fault, "bizData", biz,
		wire.M("sysRetCode", wire.Str("0000"+v.code)),
		wire.M("sysRetMsg", wire.Str(v.message)))
	if err != nil {
		return provider.Unable(err)
	}
	answer := provider.Answer{
		Status:      200,
		ContentType: "application/json; charset=utf-8",
		Body:        []byte(body),
		OK:          v == accepted,
		Seen:        strings.Join(e.seen, "; "),
	}
	if answer.OK {
		if answer.Notification, err = e.notification(); err != nil {
			return provider.Unable(err)
		}
	}
	return answer
}

// refusedFields are what an answer repeats of a request that was refused, as
// the page's sample does. It repeats nothing else: a provider that signs what
// a stranger wrote would lend him its signature.
var refusedFields = []string{"oriOrgTrace", "dgtlEnvlp", "transCount", "transAmt"}

// answerData returns the answer's bizData. What the provider knows of the order
// comes back as it came, numbers as their token.
func (e *exchange) answerData(v verdict) (wire.Value, error) {
	biz := wire.Obj(
		wire.M("tradeRetCode", wire.Str(v.code)),
		wire.M("tradeRetMsg", wire.Str(v.message)))
	for _, m := range e.biz.Members {
		known := slices.Contains(refusedFields, m.Name)
		if v == accepted {
			known = m.Name != "orderSubDetails" && biz.Get(m.Name).Kind == wire.Null
		}
		if known && m.Value.Scalar() {
			biz.Members = append(biz.Members, m)
		}
	}
	var plain string
	own := e.own
	switch {
	case v != accepted:
	case e.key != nil:
		plain = settled(e.details).Encode()
	case e.name == "mposfind" && (own || e.Keys.Encrypt != nil):
		plain, own = found, true
	}
	if plain == "" {
		return biz, nil
	}
	cipherText, envelope, err := e.close(plain, own)
	if err != nil {
		return biz, err
	}
	return biz.With("dgtlEnvlp", wire.Str(envelope)).With("orderSubDetails", wire.Str(cipherText)), nil
}

// found is what a query (分账结果查询) finds. This sandbox remembers nothing, so
// that it is always the same.
const found = `[` +
	`{"orgMercode":"831135358120002","orgTermno":"21120434","orgSubTrace":"ORG0000720220224055510123457",` +
	`"subject":"配送费","transAmt":"1","feeCostAmt":"0","patnerSettleFlag":"1","attach":"分账成功"},` +
	`{"orgMercode":"831135358120003","orgTermno":"21120435","orgSubTrace":"ORG0000720220224055510123458",` +
	`"subject":"门店货款","transAmt":"2","feeCostAmt":"0","patnerSettleFlag":"1","attach":"分账成功"}]`

// settled returns what became of the sub orders: what the request said of each,
// with the result in attach.
func settled(details wire.Value) wire.Value {
	if details.Kind == wire.Object {
		return details.With("attach", wire.Str("分账成功"))
	}
	items := make([]wire.Value, 0, len(details.Items))
	for _, item := range details.Items {
		items = append(items, settled(item))
	}
	return wire.Arr(items...)
}

// signed returns a message of the provider: the result, who and what it is about,
// and the signature over the part that is signed.
func (e *exchange) signed(fault provider.Fault, part string, biz wire.Value, result ...wire.Member) (string, error) {
	sign, err := signature.SignRSA(fault, e.Keys.Sign, e.options.canonical(biz))
	if err != nil {
		return "", err
	}
	if fault == provider.Tampered {
		biz = signature.Tamper(biz, "transAmt", "tradeRetCode")
	}
	echo := func(answer, request string) wire.Member {
		return wire.M(answer, wire.Str(e.message.StringAt(request)))
	}
	message := wire.Obj(append(result,
		echo("orgId", "orgId"),
		echo("orgMerCode", "orgMercode"), // the page itself changes the case
		echo("orgTermNo", "orgTermNo"),
		wire.M("prodTrace", wire.Str("")),
		echo("orgTrace", "orgTrace"),
		echo("prodCode", "prodCode"),
		wire.M("sign", wire.Str(sign)),
		wire.M("signType", wire.Str(e.options.SignType)),
		wire.M(part, biz),
	)...)
	if fault == provider.Unsigned {
		message = message.Without("sign")
	}
	return message.Encode(), nil
}

// notification returns the notification of the result: JSON, signed as the answer is.
// Any 2xx acknowledges it, since clients of the family answer with texts of their own.
// What is encrypted in it comes in an envelope of the provider's, for there is no
// request whose key could be used.
func (e *exchange) notification() (*provider.Notification, error) {
	biz := wire.Obj(
		wire.M("appendRetcode", wire.Str("TRADE_SUCCESS")),
		wire.M("appendRetmsg", wire.Str("分账成功")),
		wire.M("finRetcode", wire.Str("00")))
	for _, name := range []string{"oriOrgTrace", "transCount", "transAmt"} {
		if m := e.biz.Get(name); m.Scalar() {
			biz = biz.With(name, m)
		}
	}
	biz = biz.
		With("outTrace", wire.Str(wire.Serial(e.Now, e.message.StringAt("orgTrace")))).
		With("timeEnd", wire.Str(e.Now.In(wire.China).Format("20060102150405")))
	if e.own && e.key != nil {
		cipherText, envelope, err := e.close(settled(e.details).Encode(), true)
		if err != nil {
			return nil, err
		}
		biz = biz.With("dgtlEnvlp", wire.Str(envelope)).With("orderSubDetails", wire.Str(cipherText))
	}
	body, err := e.signed(provider.NoFault, e.options.NotificationPart, biz)
	if err != nil {
		return nil, err
	}
	return &provider.Notification{
		ContentType:  "application/json; charset=utf-8",
		Body:         []byte(body),
		Acknowledged: func(status int, _ []byte) bool { return status/100 == 2 },
	}, nil
}
