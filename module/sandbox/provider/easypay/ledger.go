package easypay

import (
	"regexp"
	"strconv"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// detailFields are the members of one sub order. All of them are strings.
var detailFields = []string{
	"orgMercode", "orgTermno", "orgSubTrace", "body", "subject", "transAmt",
	"feeCostAmt", "patnerSettleFlag", "attach", "otherfee", "orgHfee",
}

// amountForm is an amount in fen, and also a count.
var amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})$`)

// ledger applies the rules of 请求分账.
//
// The page's sample asks to divide an order of 0 fen and is refused with
// 000086, whatever its sub order is worth: where nothing is left, nothing can
// be divided. So the amount is looked at before the count.
func (e *exchange) ledger() verdict {
	for _, name := range []string{"orgId", "orgMercode", "orgTermNo", "orgTrace", "prodCode"} {
		if e.message.StringAt(name) == "" {
			return malformed("%s is missing or not a string", name)
		}
	}
	for _, name := range []string{"oriOrgTrace", "dgtlEnvlp", "transCount", "transAmt", "orderSubDetails"} {
		if e.biz.StringAt(name) == "" {
			return malformed("bizData.%s is missing or not a string", name)
		}
	}
	if err := e.open(); err != nil {
		return badEnvelope(err)
	}
	receivers := e.details.Items
	if e.details.Kind == wire.Object { // the schema page shows a single one
		receivers = []wire.Value{e.details}
	}
	if len(receivers) == 0 {
		return malformed("orderSubDetails holds no receiver")
	}
	var sum int64
	for i, receiver := range receivers {
		amount, problem := subAmount(receiver)
		if problem != "" {
			return malformed("orderSubDetails[%d]: %s", i, problem)
		}
		sum += amount
	}
	total, ok := fen(e.biz.StringAt("transAmt"))
	if !ok {
		return malformed("bizData.transAmt is not a whole number of fen")
	}
	e.saw("%d receivers of %d fen in all, for an order of %d fen", len(receivers), sum, total)
	switch {
	case total == 0 || sum > total:
		return overLimit
	case e.biz.StringAt("transCount") != strconv.Itoa(len(receivers)):
		return malformed("bizData.transCount is not the number of receivers")
	case sum < total:
		return malformed("bizData.transAmt is not the sum of the receivers' transAmt")
	}
	return accepted
}

// subAmount returns what one receiver gets, or what is wrong with it.
func subAmount(receiver wire.Value) (amount int64, problem string) {
	if receiver.Kind != wire.Object {
		return 0, "not an object"
	}
	for _, name := range detailFields {
		for _, m := range receiver.Members {
			if m.Name == name && m.Value.Kind != wire.String {
				return 0, name + " is not a string"
			}
		}
	}
	if receiver.StringAt("orgMercode") == "" {
		return 0, "orgMercode is missing"
	}
	amount, ok := fen(receiver.StringAt("transAmt"))
	if !ok {
		return 0, "transAmt is not a whole number of fen"
	}
	return amount, ""
}

func fen(text string) (int64, bool) {
	if !amountForm.MatchString(text) {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
