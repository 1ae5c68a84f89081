// Package schemes_test holds the tests that run over all providers at once.
package providers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

var (
	rsa     = providertest.RSA
	md5     = providertest.MD5
	md5Key  = providertest.MD5WithKey
	hmac256 = providertest.HMACSHA256
)

// provider is one line of the table: a scheme, and messages of its provider.
type provider struct {
	name      string
	settings  []providertest.Setting
	reference string
	request   string // plain

	algorithm    providertest.Algorithm
	answer       string   // without sign
	part         string   // what is signed, or "" for all
	unsigned     []string // paths in the answer that the signature does not cover
	order        string   // names the order in the answer
	injectable   string   // a text in a signed value of the answer
	signedMember string   // another signed member of the answer

	notificationAlgorithm providertest.Algorithm
	notification          string // without sign, JSON or a form
	notifiedUnsigned      []string
}

var five = []provider{
	{
		name: "easypay", reference: "easypay/ORG000000000007",
		request:   `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"T1","transAmt":"100","body":"x&transAmt=9"}}`,
		algorithm: rsa, part: "bizData",
		answer:   `{"sysRetCode":"000000","sysRetMsg":"交易成功","orgId":"ORG000000000007","signType":"SHA256withRSA","bizData":{"oriOrgTrace":"T1","tradeRetMsg":"remark","transAmt":100,"list":[{"a":1}],"gone":null,"empty":""}}`,
		unsigned: []string{"sysRetCode", "sysRetMsg", "orgId", "signType"},
		order:    `"oriOrgTrace":"T1"`, injectable: "remark", signedMember: "transAmt",
		notificationAlgorithm: rsa,
		notification:          `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"T1","payerOtherInfo":"remark","transAmt":"100"}}`,
		notifiedUnsigned:      []string{"orgId"},
	},
	{
		name: "jeepay", reference: "jeepay/M1623997351",
		request:   `{"mchNo":"M1623997351","payOrderId":"P1","amount":100,"subject":"x&amount=9"}`,
		algorithm: md5Key, part: "data",
		answer:   `{"code":0,"msg":"SUCCESS","data":{"payOrderId":"P1","subject":"remark","amount":100,"nested":{"a":[1,"b"]},"gone":null,"empty":""}}`,
		unsigned: []string{"code", "msg"},
		order:    `"payOrderId":"P1"`, injectable: "remark", signedMember: "amount",
		notificationAlgorithm: md5Key,
		notification:          "payOrderId=P1&subject=remark&amount=100&reqTime=1700000000123&empty=",
	},
	{
		name: "jeepay", reference: "jeepay/M1623997351", settings: []providertest.Setting{{"sign_type", "RSA2"}},
		request:   `{"mchNo":"M1623997351","payOrderId":"P1","amount":100,"subject":"x&amount=9"}`,
		algorithm: rsa, part: "data",
		answer:   `{"code":0,"msg":"SUCCESS","data":{"payOrderId":"P1","subject":"remark","amount":100,"nested":{"a":[1,"b"]},"gone":null,"empty":""}}`,
		unsigned: []string{"code", "msg"},
		order:    `"payOrderId":"P1"`, injectable: "remark", signedMember: "amount",
		notificationAlgorithm: md5Key,
		notification:          "payOrderId=P1&subject=remark&amount=100&reqTime=1700000000123&empty=",
	},
	{
		name: "hbsk", reference: "hbsk/d787d45a68b48", settings: []providertest.Setting{{"developer_key", "d787d45a68b48"}},
		request:   `{"data":{"sequence":"S1","amount":1,"remark":"x&time=9"}}`,
		algorithm: hmac256, part: "data",
		answer:   `{"code":0,"text":"申请成功","data":"{\"sequence\":\"S1\",\"remark\":\"remark\",\"amount\":1.00}","time":1668672190}`,
		unsigned: []string{"code", "text"},
		order:    `\"sequence\":\"S1\"`, injectable: "remark\\\"", signedMember: "time",
		notificationAlgorithm: hmac256,
		notification:          `{"code":0,"text":"分账成功","data":"{\"sequence\":\"S1\",\"remark\":\"remark\",\"amount\":1.00}","time":1668672190}`,
		notifiedUnsigned:      []string{"code", "text"},
	},
	{
		name: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f", settings: []providertest.Setting{{"access_id", "405544499f016a9b3d8f57000f"}},
		request:   `{"apply_no":"A1","ledger_relation":[{"receive_no":"R1","amt":"0.01","remark":"x&amt=9"}]}`,
		algorithm: md5,
		answer:    `{"apply_no":"A1","ledger_relation":[{"receive_no":"R1","amt":0.01,"remark":"remark"},{"receive_no":"R2","amt":0.02,"remark":""}],"object":{"x":["y",null],"z":true},"return_code":10000,"return_msg":null}`,
		order:     `"apply_no":"A1"`, injectable: "remark\"}", signedMember: "amt",
		notificationAlgorithm: md5,
		notification:          `{"apply_no":"A1","agent_no":"FF1","ledger_relation":[{"receive_no":"R1","amt":0.01,"remark":"remark"}]}`,
	},
	{
		name: "hongwen", reference: "hongwen/2014072300007148", settings: []providertest.Setting{{"mch_no", "2014072300007148"}, {"method", "m"}},
		request:   `{"notify_url":"https://a/?b=1&method=2","biz_content":{"divide_back_out_trade_no":"D1"}}`,
		algorithm: rsa,
		answer:    `{"code":20000,"msg":"remark","divide_back_out_trade_no":"D1","merchant_no":"1","divide_back_detail":[{"amount":"0.01"}],"gone":null,"empty":""}`,
		unsigned:  []string{"divide_back_detail.0.amount"},
		order:     `"divide_back_out_trade_no":"D1"`, injectable: "remark", signedMember: "merchant_no",
		notificationAlgorithm: rsa,
		notification:          "out_trade_no=D1&attach=remark&total_amount=1.10&sign_type=RSA&empty=",
	},
}

// each runs a test for each provider.
func each(t *testing.T, test func(t *testing.T, p provider)) {
	t.Helper()
	for _, p := range five {
		name := p.name
		if len(p.settings) > 0 && p.settings[0][0] == "sign_type" {
			name += "-" + p.settings[0][1]
		}
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

func (p provider) scheme(t *testing.T, more ...providertest.Setting) providertest.Scheme {
	t.Helper()
	return providertest.Configure(t, p.name, append(more, p.settings...)...)
}

func (p provider) merchant(t *testing.T) *keys.Set {
	t.Helper()
	return providertest.Merchant(t, p.reference)
}

func (p provider) seal(t *testing.T, s providertest.Scheme) *providertest.Sealed {
	t.Helper()
	sealed, err := s.Seal(providertest.Request{Body: providertest.Parse(t, p.request), Keys: p.merchant(t), Now: time.Now()})
	require.NoError(t, err)
	return sealed
}

// sign signs an answer as the provider does.
func (p provider) sign(t *testing.T, answer string) string {
	t.Helper()
	signer := providertest.Signer{Scheme: p.scheme(t), Algorithm: p.algorithm, Keys: providertest.Provider(t, p.reference)}
	return signer.JSON(t, message.Answer, answer)
}

// open opens an answer to the request.
func (p provider) open(t *testing.T, answer string, more ...providertest.Setting) (*providertest.Opened, error) {
	t.Helper()
	s := p.scheme(t, more...)
	return s.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: p.merchant(t), Sealed: p.seal(t, s)})
}

// isForm reports whether notifications are forms.
func (p provider) isForm(t *testing.T) bool {
	t.Helper()
	return p.scheme(t).IsForm()
}

// signedNotification returns the genuine notification, as JSON or as a form.
func (p provider) signedNotification(t *testing.T, text string) providertest.Notification {
	t.Helper()
	signer := providertest.Signer{Scheme: p.scheme(t), Algorithm: p.notificationAlgorithm, Keys: providertest.Provider(t, p.reference)}
	n := providertest.Notification{Keys: p.merchant(t)}
	if p.isForm(t) {
		n.Form = signer.Form(t, text)
	} else {
		n.Body = providertest.Parse(t, signer.JSON(t, message.Notification, text))
	}
	return n
}

func (p provider) openNotification(t *testing.T, n providertest.Notification) (*providertest.Opened, error) {
	t.Helper()
	return p.scheme(t).OpenNotification(n)
}

// replace replaces a text that must be there.
func replace(t *testing.T, text, old, replacement string) string {
	t.Helper()
	require.Contains(t, text, old)
	return strings.Replace(text, old, replacement, 1)
}
