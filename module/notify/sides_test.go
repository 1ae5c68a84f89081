package notify_test

import (
	"strconv"
	"testing"
	"time"
)

// side is one provider, for the tests that run over all five.
type side struct {
	name      string
	keys      string
	members   []member // of a genuine notification, signed
	sign      func(t *testing.T, members []member) sent
	signed    string                   // what Countersign-Signed says
	order     string                   // the member with the order number
	expect    string                   // the same as expect names it
	form      bool                     // as a form
	ack       string                   // what acknowledges: "" for any 2xx
	stamp     func(time.Time) []member // nil where none is signed
	unsigned  string                   // a member that expect must not name
	notSigned []string                 // members that may be changed
}

var sides = []side{
	{
		name: "easypay", keys: "easypay/ORG000000000007", signed: "bizData", order: "oriOrgTrace", expect: "bizData.oriOrgTrace", unsigned: "orgId",
		members: []member{
			{"oriOrgTrace", "ORG0000720220224031331542213"}, {"appendRetcode", "TRADE_SUCCESS"}, {"appendRetmsg", "分账成功 <>&/"},
			{"transAmt", "1.10"}, {"timeEnd", "20220810111642"}, {"empty", ""},
		},
		sign: func(t *testing.T, m []member) sent { t.Helper(); return easypay(t, "bizData", m) },
	},
	{
		name: "jeepay", keys: "jeepay/M1623997351", signed: "*", order: "mchOrderNo", expect: "mchOrderNo", form: true, ack: "success", unsigned: "sign",
		members: []member{
			{"mchNo", "M1623997351"}, {"appId", "60cc09bce4b0f1c0b83761c9"}, {"mchOrderNo", "20160427210604000490"}, {"amount", "1"},
			{"subject", "商品 一+二&三=四%;"}, {"reqTime", "1622016572190"},
		},
		sign:  jeepay,
		stamp: func(at time.Time) []member { return []member{{"reqTime", strconv.FormatInt(at.UnixMilli(), 10)}} },
	},
	{
		name: "hkrt", keys: "hkrt/405544499f016a9b3d8f57000f", signed: "*", order: "apply_no", expect: "apply_no", unsigned: "sign",
		members: []member{
			{"accessid", "405544499f016a9b3d8f57000f"}, {"agent_no", "FF109108120"}, {"apply_no", "202301040535"}, {"amt", "0.02"}, {"remark", "延时分账"},
		},
		sign: hkrt,
	},
	{
		name: "hongwen", keys: "hongwen/2014072300007148", signed: "*", order: "divide_back_out_trade_no", expect: "divide_back_out_trade_no",
		form: true, ack: "success", unsigned: "sign",
		members: []member{
			{"mch_no", "2014072300007148"}, {"charset", "utf-8"}, {"sign_type", "RSA"}, {"divide_back_out_trade_no", "123"},
			{"divide_back_status", "DIVIDE_BACK_SUCCESS"}, {"timestamp", "2024-03-06 16:28:00"}, {"remark", "退 回"},
		},
		sign: hongwen,
	},
	{
		name: "hbsk", keys: "hbsk/d787d45a68b48", signed: "data", order: "data", expect: "data.sequence", unsigned: "code", notSigned: []string{"code", "text"},
		members: []member{
			{"code", "0"}, {"text", "分账成功"}, {"data", `{"sequence":"FZ20230104","amount":"1"}`}, {"time", "1672813000"},
		},
		sign:  hbsk,
		stamp: func(at time.Time) []member { return []member{{"time", strconv.FormatInt(at.Unix(), 10)}} },
	},
}

// genuine returns a notification of the provider.
func (s side) genuine(t *testing.T) sent {
	t.Helper()
	return s.sign(t, s.members)
}

// another returns a genuine notification about another order.
func (s side) another(t *testing.T, number string) sent {
	t.Helper()
	if s.name == "hbsk" {
		number = `{"sequence":"` + number + `"}`
	}
	return s.sign(t, with(s.members, s.order, number))
}

// directive returns the line of the Caddyfile, with options.
func (s side) directive(options string) string {
	return "\tcountersign_notify " + s.name + " {\n\t\tkeys " + s.keys + "\n" + options + "\n\t}\n"
}

// acknowledgement returns what the application says.
func (s side) acknowledgement() string {
	if s.ack != "" {
		return s.ack
	}
	return "ok"
}
