package hkrt

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// yuanForm is an amount with at most two digits after the point, above 0.
var yuanForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?$`)

// checkLedger applies the rules of the page to a request.
func (e *exchange) checkLedger() verdict {
	for _, name := range []string{"agent_no", "merch_no", "trade_no", "apply_no"} {
		if e.params.StringAt(name) == "" {
			return badParameter("%s is missing or not a string", name)
		}
	}
	relation := e.params.Get("ledger_relation")
	if relation.Kind != wire.Array || len(relation.Items) == 0 {
		return badParameter("ledger_relation is not a list of receivers")
	}
	seen := map[string]bool{}
	for i, item := range relation.Items {
		receiver, amount, remark := item.StringAt("receive_no"), item.Get("amt"), item.Get("remark")
		switch {
		case receiver == "":
			return badParameter("ledger_relation[%d].receive_no is missing or not a string", i)
		case seen[receiver]:
			return badParameter("ledger_relation[%d].receive_no: 组内接收方不能重复", i)
		case !yuanForm.MatchString(amount.Text) || strings.Trim(amount.Text, "0.") == "":
			return badParameter("ledger_relation[%d].amt is not an amount in yuan", i)
		case remark.Kind != wire.Null && remark.Kind != wire.String:
			return badParameter("ledger_relation[%d].remark is not a string", i)
		}
		seen[receiver] = true
	}
	e.saw("ledger_relation: %s", relation.Encode())
	return accepted
}

// ledger returns the answer of the page's sample: amounts are numbers in it, with
// the digits that the request gave them.
func (e *exchange) ledger() wire.Value {
	applied := e.params.StringAt("apply_no")
	var relation []wire.Value
	for i, item := range e.params.Get("ledger_relation").Items {
		relation = append(relation, wire.Obj(
			wire.M("receive_no", item.Get("receive_no")),
			wire.M("amt", wire.Num(item.Get("amt").Text)),
			wire.M("remark", wire.Str(item.StringAt("remark"))),
			wire.M("result", wire.Num("1")),
			wire.M("ledger_detail_id", wire.Str(wire.Serial(e.Now, applied, strconv.Itoa(i)))),
			wire.M("end_time", wire.Str(e.Now.In(wire.China).Format("2006-01-02 15:04:05")))))
	}
	return wire.Obj(
		wire.M("merch_no", e.params.Get("merch_no")),
		wire.M("ledger_relation", wire.Arr(relation...)),
		wire.M("apply_no", e.params.Get("apply_no")),
		wire.M("trade_no", e.params.Get("trade_no")),
		wire.M("agent_no", e.params.Get("agent_no")),
		wire.M("ledger_no", wire.Str(wire.Serial(e.Now, applied))),
		wire.M("return_code", wire.Num(accepted.code)))
}

// repeated stands for the interfaces that the page does not describe: what the
// request said, and that it worked.
func (e *exchange) repeated() wire.Value {
	return e.params.Without("accessid").Without("sign").With("return_code", wire.Num(accepted.code))
}
