package jeepay

import (
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// commonFields are the parameters of every interface.
var commonFields = []string{"mchNo", "appId", "reqTime", "version", "sign", "signType"}

// service is one interface: the parameters that it knows besides the common
// ones, and what it answers in data.
type service struct {
	path   string
	fields []string
	serve  func(*exchange) (wire.Value, *refusal)
}

// services are the interfaces of the page.
var services = []service{
	{"/api/division/receiver/bind", []string{
		"ifCode", "receiverAlias", "receiverGroupId", "accType", "accNo", "accName",
		"relationType", "relationTypeName", "channelExtInfo", "divisionProfit",
	}, (*exchange).bind},
	{"/api/division/exec", []string{
		"payOrderId", "mchOrderNo", "useSysAutoDivisionReceivers", "receivers",
	}, (*exchange).exec},
	{"/api/division/receiver/channelBalanceQuery", []string{"receiverId"}, (*exchange).balance},
	{"/api/division/receiver/channelBalanceCashout", []string{"receiverId", "cashoutAmount"}, (*exchange).cashout},
}

// serviceOf returns the interface at the end of the path. What the page does not
// describe (/api/pay/unifiedOrder and others) is answered all the same.
func serviceOf(route string) service {
	for _, s := range services {
		if strings.HasSuffix(route, s.path) {
			return s
		}
	}
	return service{serve: (*exchange).other}
}

var (
	wholeForm  = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	profitForm = regexp.MustCompile(`^(0\.[0-9]{1,8}|1(\.0{1,8})?)$`)
)

// relations are the documented values of relationType.
var relations = []string{
	"SERVICE_PROVIDER", "STORE", "STAFF", "STORE_OWNER", "PARTNER", "HEADQUARTER",
	"BRAND", "DISTRIBUTOR", "USER", "SUPPLIER", "CUSTOM",
}

// bind is 绑定分账用户. A relation that the page does not list is what its sample
// asks for, and what its sample answer refuses in the channel: bindState 0.
func (e *exchange) bind() (wire.Value, *refusal) {
	for _, name := range []string{"mchNo", "ifCode", "accNo", "relationType"} {
		if e.params.StringAt(name) == "" {
			return wire.Value{}, badParameter("%s 不能为空", name)
		}
	}
	text := func(name string) string { return e.params.Get(name).Text }
	switch {
	case !wholeForm.MatchString(text("receiverGroupId")):
		return wire.Value{}, badParameter("receiverGroupId 应为数字")
	case text("accType") != "0" && text("accType") != "1":
		return wire.Value{}, badParameter("accType 应为 0 或 1")
	case text("ifCode") == "alipay" && text("accName") == "":
		return wire.Value{}, badParameter("accName 支付宝账号必填")
	case text("relationType") == "CUSTOM" && text("relationTypeName") == "":
		return wire.Value{}, badParameter("relationTypeName 不能为空")
	case text("divisionProfit") != "" && !profit(text("divisionProfit")):
		return wire.Value{}, badParameter("divisionProfit 应大于 0 且不大于 1")
	}
	data := wire.Obj()
	for _, name := range []string{"accName", "accNo"} {
		data = data.With(name, e.params.Get(name))
	}
	data = data.With("accType", wire.Num(text("accType"))).With("appId", e.params.Get("appId"))
	if slices.Contains(relations, text("relationType")) {
		data = data.With("bindState", wire.Num("1")).
			With("bindSuccessTime", wire.Num(e.milliseconds())).
			With("receiverId", wire.Num("800021"))
	} else {
		data = data.With("bindState", wire.Num("0")).
			With("errCode", wire.Str("NOAUTH")).
			With("errMsg", wire.Str("无分账权限"))
	}
	if text("divisionProfit") != "" {
		data = data.With("divisionProfit", wire.Num(text("divisionProfit")))
	}
	data = data.With("receiverGroupId", wire.Num(text("receiverGroupId")))
	for _, name := range []string{"ifCode", "mchNo", "receiverAlias", "relationType", "relationTypeName", "channelExtInfo"} {
		data = data.With(name, e.params.Get(name))
	}
	return inOrder(data), nil
}

// exec is 发起订单分账. As in the page's sample, receivers that the channel does
// not know make the division fail, and the answer a success that says so.
func (e *exchange) exec() (wire.Value, *refusal) {
	switch {
	case e.params.StringAt("mchNo") == "":
		return wire.Value{}, badParameter("mchNo 不能为空")
	case e.params.StringAt("payOrderId") == "" && e.params.StringAt("mchOrderNo") == "":
		return wire.Value{}, badParameter("payOrderId 与 mchOrderNo 二者传一")
	}
	known := true
	switch e.params.Get("useSysAutoDivisionReceivers").Text {
	case "1":
	case "0":
		var refused *refusal
		if known, refused = e.receivers(e.params.StringAt("receivers")); refused != nil {
			return wire.Value{}, refused
		}
	default:
		return wire.Value{}, badParameter("useSysAutoDivisionReceivers 应为 0 或 1")
	}
	if !known {
		return wire.Obj(
			wire.M("errCode", wire.Str("unknown-sub-code")),
			wire.M("errMsg", wire.Str("Business Failed【未知的错误码ACQ.ROYALTY_ACCOUNT_NOT_EXIST】")),
			wire.M("state", wire.Num("2"))), nil
	}
	return wire.Obj(
		wire.M("channelBatchOrderId", wire.Str("T"+wire.Serial(e.Now, string(e.Body)))),
		wire.M("state", wire.Num("1"))), nil
}

// receivers checks a list of receivers, which is JSON in a string, and reports whether
// all of them are known.
func (e *exchange) receivers(text string) (known bool, refused *refusal) {
	list, err := wire.Parse([]byte(text))
	if err != nil || list.Kind != wire.Array || len(list.Items) == 0 {
		return false, badParameter("receivers 应为 JSONArray 字符串")
	}
	known = true
	total := new(big.Rat)
	for i, item := range list.Items {
		account, group := item.Get("receiverId").Text, item.Get("receiverGroupId").Text
		share, amount := item.Get("divisionProfit").Text, item.Get("divisionAmount").Text
		switch {
		case item.Kind != wire.Object || account == "" && group == "":
			return false, badParameter("receivers[%d] 缺少 receiverId 或 receiverGroupId", i)
		case share != "" && amount != "":
			return false, badParameter("receivers[%d] 分账的比例和金额不支持共传", i)
		case share != "" && !profit(share):
			return false, badParameter("receivers[%d].divisionProfit 应大于 0 且不大于 1", i)
		case amount != "" && !(wholeForm.MatchString(amount) && amount != "0"):
			return false, badParameter("receivers[%d].divisionAmount 应为大于 0 的分", i)
		}
		if share != "" {
			rate, _ := new(big.Rat).SetString(share)
			total.Add(total, rate)
		}
		id := account
		if id == "" {
			id = group
		}
		known = known && slices.Contains(e.options.Receivers, id)
	}
	if total.Cmp(big.NewRat(1, 1)) > 0 {
		return false, badParameter("receivers 分账比例之和大于 1")
	}
	e.saw("receivers: %s", text)
	return known, nil
}

// balance is 查询分账用户的可用余额. The page's samples of this interface and of
// the next one leave mchNo out.
func (e *exchange) balance() (wire.Value, *refusal) {
	receiver, refused := e.receiver()
	return wire.Obj(wire.M("balanceAmount", wire.Num("0")), wire.M("receiverId", receiver)), refused
}

// cashout is 对分账用户的渠道余额发起提现.
func (e *exchange) cashout() (wire.Value, *refusal) {
	receiver, refused := e.receiver()
	if amount := e.params.Get("cashoutAmount").Text; refused == nil && (amount == "0" || !wholeForm.MatchString(amount)) {
		refused = badParameter("cashoutAmount 应为大于 0 的分")
	}
	return wire.Obj(wire.M("receiverId", receiver), wire.M("state", wire.Num("1"))), refused
}

// receiver returns the request's receiverId, which an answer holds as a number.
func (e *exchange) receiver() (wire.Value, *refusal) {
	id := e.params.Get("receiverId").Text
	if !wholeForm.MatchString(id) {
		return wire.Value{}, badParameter("receiverId 应为数字")
	}
	return wire.Num(id), nil
}

// other stands for the interfaces that the page does not describe: what the
// request said, and that it worked.
func (e *exchange) other() (wire.Value, *refusal) {
	data := wire.Obj()
	for _, m := range e.params.Members {
		switch m.Name {
		case "sign", "signType", "version", "reqTime", "state":
		default:
			data.Members = append(data.Members, m)
		}
	}
	return data.With("state", wire.Num("1")), nil
}

// inOrder returns the members that hold something, by name, as the page shows them.
func inOrder(data wire.Value) wire.Value {
	var members []wire.Member
	for _, m := range data.Sorted() {
		if !m.Value.Empty() {
			members = append(members, m)
		}
	}
	return wire.Obj(members...)
}

// profit reports whether a rate is above 0 and at most 1.
func profit(text string) bool {
	return profitForm.MatchString(text) && strings.Trim(text, "0.") != ""
}
