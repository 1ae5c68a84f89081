package hongwen

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// contentFields are the members of biz_content, all of them strings.
var contentFields = []struct {
	name     string
	max      int
	optional bool
}{
	{"divide_out_trade_no", 64, false},
	{"divide_back_out_trade_no", 64, false},
	{"divide_back_detail", 256, false},
	{"parent_merchant_no", 64, true},
	{"merchant_no", 64, true},
}

// amountForm is an amount with at most two digits after the point.
var amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?$`)

// checkDivideBack applies the rules of the page.
func (e *exchange) checkDivideBack() verdict {
	for _, field := range contentFields {
		value := e.content.Get(field.name)
		switch {
		case field.optional && value.Kind == wire.Null:
		case value.Kind != wire.String || value.Text == "" && !field.optional:
			return badParameter("biz_content.%s is missing or not a string", field.name)
		case utf8.RuneCountInString(value.Text) > field.max:
			return badParameter("biz_content.%s is longer than %d characters", field.name, field.max)
		}
	}
	detail, err := wire.Parse([]byte(e.content.StringAt("divide_back_detail")))
	if err != nil || detail.Kind != wire.Array || len(detail.Items) == 0 {
		return badParameter("divide_back_detail is not a JSON list in a string")
	}
	for i, item := range detail.Items {
		amount := item.StringAt("amount")
		if item.StringAt("account") == "" {
			return badParameter("divide_back_detail[%d].account is missing or not a string", i)
		}
		if !amountForm.MatchString(amount) || strings.Trim(amount, "0.") == "" {
			return badParameter("divide_back_detail[%d].amount is not an amount in a string", i)
		}
	}
	e.detail = detail
	e.saw("divide_back_detail: %s", detail.Encode())
	return accepted
}

// dividedBack returns the answer of the page's sample: accepted, not yet carried
// out. Where the request leaves the merchant out, it is the page's.
func (e *exchange) dividedBack() wire.Value {
	text := e.content.StringAt
	var detail, result []wire.Value
	for i, item := range e.detail.Items {
		share := wire.Obj(
			wire.M("amount", wire.Str(item.StringAt("amount"))),
			wire.M("account", wire.Str(item.StringAt("account"))))
		detail = append(detail, share)
		result = append(result, share.
			With("divideDetailNo", wire.Str("1010"+wire.Serial(e.Now, text(binding), "detail", strconv.Itoa(i)))).
			With("uniqueDivideNo", wire.Str("1003"+wire.Serial(e.Now, text(binding), "unique", strconv.Itoa(i)))))
	}
	merchant := text("merchant_no")
	if merchant == "" {
		merchant = "21573050824562"
	}
	trade := wire.Serial(e.Now, "trade", text("divide_out_trade_no"))
	return wire.Obj(
		wire.M("trade_no", wire.Str(trade)),
		wire.M("out_trade_no", wire.Str(trade)),
		wire.M("divide_back_detail", e.list(detail)),
		wire.M("divide_back_res_detail", e.list(result)),
		wire.M("merchant_no", wire.Str(merchant)),
		wire.M("divide_trade_no", wire.Str(wire.Serial(e.Now, "divide", text("divide_out_trade_no")))),
		wire.M("divide_out_trade_no", e.content.Get("divide_out_trade_no")),
		wire.M("divide_back_trade_no", wire.Str(wire.Serial(e.Now, "back", text(binding)))),
		wire.M(binding, e.content.Get(binding)),
		wire.M("divide_back_status", wire.Str("DIVIDE_PENDING")),
		wire.M("divide_back_create_time", wire.Num(strconv.FormatInt(e.Now.Unix(), 10))))
}

// list returns a list as the answer holds it.
func (e *exchange) list(items []wire.Value) wire.Value {
	list := wire.Arr(items...)
	if e.options.DetailText {
		return wire.Str(list.Encode())
	}
	return list
}

// repeated stands for the methods that the page does not describe: what
// biz_content said.
func (e *exchange) repeated() wire.Value {
	return e.content.Without("code").Without("msg").Without("sign")
}

// notification returns the notification of the result: a form with the scalars of the
// answer, the merchant and the time, signed as a request is. Only the text success
// acknowledges it.
func (e *exchange) notification(body wire.Value) (*provider.Notification, error) {
	params := wire.Obj(
		wire.M("mch_no", wire.Str(e.params.StringAt("mch_no"))),
		wire.M("method", wire.Str(e.params.StringAt("method"))),
		wire.M("charset", wire.Str("utf-8")),
		wire.M("sign_type", wire.Str("RSA")),
		wire.M("version", wire.Str("1.0")),
		wire.M("timestamp", wire.Str(e.Now.In(wire.China).Format(timeForm))))
	for _, m := range body.Members {
		if m.Value.Scalar() && !m.Value.Empty() {
			params = params.With(m.Name, wire.Str(m.Value.Text))
		}
	}
	if params.StringAt("divide_back_status") != "" {
		params = params.With("divide_back_status", wire.Str("DIVIDE_BACK_SUCCESS"))
	}
	sign, err := signature.SignRSA(provider.NoFault, e.Keys.Sign, canonical(params, false))
	if err != nil {
		return nil, err
	}
	form := url.Values{"sign": {sign}}
	for _, m := range params.Members {
		form.Set(m.Name, m.Value.Text)
	}
	return &provider.Notification{
		ContentType: "application/x-www-form-urlencoded; charset=utf-8",
		Body:        []byte(form.Encode()),
		Acknowledged: func(status int, body []byte) bool {
			return status/100 == 2 && strings.TrimSpace(string(body)) == "success"
		},
	}, nil
}
