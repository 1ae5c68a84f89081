package hbsk

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// orderValue is what each order of this sandbox is worth, in fen. The page's
// samples fit it: the answer divides 0.99 and calls that a rate of 0.99.
const orderValue = 100

var (
	yuanForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?$`)
	rateForm = regexp.MustCompile(`^(0\.[0-9]{1,4}|1(\.0{1,4})?)$`)
)

// holder is one who gets a share, in fen.
type holder struct {
	code   string
	name   string
	amount int64
}

// apply is 分账申请. The page calls mode required and its sample leaves it out;
// the sample wins, as it does over the spelling of oneself.
func (e *exchange) apply() (wire.Value, *refusal) {
	orders := e.data.Get("orders")
	for _, order := range orders.Items {
		if order.Kind != wire.String || order.Text == "" {
			return wire.Value{}, &refusal{"107033", "无效订单"}
		}
	}
	if orders.Kind != wire.Null && len(orders.Items) == 0 {
		return wire.Value{}, &refusal{"107033", "无效订单"}
	}
	for _, name := range []string{"sequence", "mode", "remark", "notifyurl", "returnurl"} {
		if kind := e.data.Get(name).Kind; kind != wire.Null && kind != wire.String {
			return wire.Value{}, failed("%s 应为 string", name)
		}
	}
	oneself := e.data.Get("oneself")
	if oneself.Kind != wire.Null && oneself.Kind != wire.Bool {
		return wire.Value{}, failed("oneself 应为 bool")
	}
	value := int64(len(orders.Items)) * orderValue
	holders, refused := readHolders(e.data.Get("holders"), value)
	if refused != nil {
		return wire.Value{}, refused
	}
	var side int64
	for _, h := range holders {
		side += h.amount
	}
	value = max(value, side)
	var self int64
	if oneself.Text == "true" && value > side {
		self = value - side
		holders = append(holders, holder{code: "0", name: "商户自留", amount: self})
	}
	e.saw("%d holders get %s of %s", len(holders), yuan(side+self), yuan(value))
	return e.applied(holders, side, self, value), nil
}

// readHolders reads who gets what. A rate is one of the value of the orders.
func readHolders(list wire.Value, value int64) ([]holder, *refusal) {
	if len(list.Items) == 0 {
		return nil, &refusal{"100031", "无效分账方"}
	}
	var holders []holder
	var rates int64
	for _, item := range list.Items {
		if item.StringAt("code") == "" {
			return nil, &refusal{"100031", "无效分账方"}
		}
		h := holder{code: item.StringAt("code"), name: "老羊"}
		amount, rate := item.Get("amount"), item.Get("rate")
		switch {
		case amount.Kind == wire.Number && yuanForm.MatchString(amount.Text):
			h.amount = decimal(amount.Text, 2)
		case amount.Kind == wire.Null && rate.Kind == wire.Number && rateForm.MatchString(rate.Text):
			rates += decimal(rate.Text, 4)
			h.amount = decimal(rate.Text, 4) * max(value, orderValue) / 10000
		}
		if h.amount == 0 {
			return nil, &refusal{"100049", "无效分账比例或金额"}
		}
		holders = append(holders, h)
	}
	if rates > 10000 {
		return nil, &refusal{"107008", "分账比例不可超过最大可分账比例"}
	}
	return holders, nil
}

// applied returns the answer's data, with the members of the page's sample.
func (e *exchange) applied(holders []holder, side, self, value int64) wire.Value {
	rate := func(amount int64) wire.Value {
		return wire.Num(fmt.Sprintf("%d.%04d", amount/value, amount%value*10000/value))
	}
	var list []wire.Value
	for _, h := range holders {
		list = append(list, wire.Obj(
			wire.M("amount", wire.Num(yuan(h.amount))),
			wire.M("code", wire.Str(h.code)),
			wire.M("name", wire.Str(h.name)),
			wire.M("rate", rate(h.amount))))
	}
	kind := e.data.StringAt("mode")
	if kind == "" {
		kind = "single"
	}
	sequence := e.data.Get("sequence")
	if sequence.Empty() {
		sequence = wire.Str(wire.Serial(e.Now, string(e.Body)))
	}
	return wire.Obj(
		wire.M("amount", wire.Num(yuan(side+self))),
		wire.M("holders", wire.Arr(list...)),
		wire.M("oneself", wire.Flag(self > 0)),
		wire.M("rate", rate(side+self)),
		wire.M("remark", e.data.Get("remark")),
		wire.M("selfamount", wire.Num(yuan(self))),
		wire.M("selfrate", rate(self)),
		wire.M("sequence", sequence),
		wire.M("sideamount", wire.Num(yuan(side))),
		wire.M("siderate", rate(side)),
		wire.M("source", wire.Str("web")),
		wire.M("state", wire.Str("success")),
		wire.M("type", wire.Str(kind)))
}

// other stands for the interfaces that the page does not describe: what the
// request's data said, and that it worked.
func (e *exchange) other() (wire.Value, *refusal) {
	return e.data.With("state", wire.Str("success")), nil
}

// yuan returns an amount with two digits after the point, as the page asks.
func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

// decimal returns a number with at most that many digits after the point, as a
// whole number of the smallest unit.
func decimal(text string, digits int) int64 {
	whole, part, _ := strings.Cut(text, ".")
	n, _ := strconv.ParseInt(whole+part+strings.Repeat("0", digits-len(part)), 10, 64)
	return n
}
