package main

import (
	"fmt"
	"strings"
)

// target is one thing to measure: a site of the Caddy that is driven, and the
// request that it gets.
type target struct {
	name     string
	scheme   string // "" for the plain proxy
	port     int
	options  string               // of the directive
	request  func(pad int) string // the body that is posted, with a member of pad bytes
	path     string
	plain    bool
	audit    bool // with the audit entry written to a file
	floorOps string
}

// targets are all that is measured, the plain proxy first.
func targets() []*target {
	all := []*target{{
		name: "plain", plain: true, path: "/api/division/exec", request: jeepayRequest,
	}}
	for _, t := range []target{
		{scheme: "jeepay", options: "keys jeepay/M1623997351", path: "/api/division/exec", request: jeepayRequest, floorOps: "md5"},
		{scheme: "hkrt", options: "keys hkrt/405544499f016a9b3d8f57000f\naccess_id 405544499f016a9b3d8f57000f", path: "/api/v1/delay-ledger/ledger", request: hkrtRequest, floorOps: "md5"},
		{scheme: "hbsk", options: "keys hbsk/d787d45a68b48\ndeveloper_key d787d45a68b48", path: "/share/apply", request: hbskRequest, floorOps: "hmac"},
		{name: "easypay (RSA-1024)", scheme: "easypay", options: "keys easypay/ORG000000000007", path: "/ledger/mpos", request: easypayRequest, floorOps: "easypay"},
		{name: "jeepay RSA2 (RSA-2048)", scheme: "jeepay", options: "keys jeepay/M1623997351\nsign_type RSA2\nprofile jeepay-rsa2", path: "/api/division/exec-rsa2", request: jeepayRequest, floorOps: "rsa2048"},
		{name: "hongwen (RSA-2048)", scheme: "hongwen", options: "keys hongwen/2014072300007148\nmch_no 2014072300007148\nmethod trade.apply.divide.back", path: "/gateway.do", request: hongwenRequest, floorOps: "rsa2048"},
	} {
		if t.name == "" {
			t.name = t.scheme
		}
		all = append(all, &t)
		if t.scheme == "jeepay" && t.name == "jeepay" {
			audited := t
			audited.name, audited.audit = "jeepay + audit file", true
			all = append(all, &audited)
		}
	}
	for i, t := range all {
		t.port = basePort + i
	}
	return all
}

// The ports that the measurement uses, all on 127.0.0.1.
const (
	upstreamPort = 23400
	metricsPort  = 23401
	auditPort    = 23402
	basePort     = 23410
)

func filler(n int) string { return strings.Repeat("分账0", n/5+1)[:n/5*5] }

func jeepayRequest(pad int) string {
	return fmt.Sprintf(`{"mchNo":"M1623997351","appId":"60cc3ba74ee0e6685f57eb1e","payOrderId":"P202108271011463510002","useSysAutoDivisionReceivers":"0","receivers":[{"receiverGroupId":"","receiverId":"800029","divisionProfit":"0.0001"}],"extParam":%q}`, filler(pad))
}

func hkrtRequest(pad int) string {
	return fmt.Sprintf(`{"agent_no":"FF109108120","merch_no":"83320253445099","trade_no":"UN2312320546186687318899","apply_no":"202301040535","ledger_relation":[{"receive_no":"833112128140726","amt":"0.01","remark":%q}]}`, filler(pad))
}

func hbskRequest(pad int) string {
	return fmt.Sprintf(`{"data":{"orders":["2022111791728765"],"holders":[{"amount":1,"code":"H7638527"}],"sequence":"2022111767655444","remark":%q}}`, filler(pad))
}

func easypayRequest(pad int) string {
	return fmt.Sprintf(`{"orgId":"ORG000000000007","orgMercode":"831135358120001","orgTermNo":"21120433","orgTrace":"ORG0000720220224055510123456","prodCode":"W04","bizData":{"oriOrgTrace":"ORG0000720220224031331542213","transCount":"1","transAmt":"1","orderSubDetails":[{"orgMercode":"831135358120002","orgTermno":"21120434","transAmt":"1","body":%q}]}}`, filler(pad))
}

func hongwenRequest(pad int) string {
	return fmt.Sprintf(`{"biz_content":{"divide_out_trade_no":"20150320010101001","divide_back_out_trade_no":"20150320010101002","divide_back_detail":[{"account":"10021011","amount":"100"}],"remark":%q}}`, filler(pad))
}
