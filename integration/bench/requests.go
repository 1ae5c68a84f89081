package main

import (
	"fmt"
	"strings"
)

// padOf is how much filler makes a body of about so many KiB.
func padOf(kib int) int { return kib<<10 - 300 }

// filler is text as payment bodies have it, of at most n bytes.
func filler(n int) string { return strings.Repeat("分账0", n/7+1)[:n/7*7] }

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
