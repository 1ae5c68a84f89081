package jeepay

import (
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t)
	assert.Len(t, vectors, 6)
	for id, v := range vectors {
		t.Run(id, func(t *testing.T) {
			input, err := wire.ParseObject(v.Input)
			require.NoError(t, err)
			got, err := canonical(input)
			require.NoError(t, err)
			assert.Equal(t, v.Canonical, got)
			if v.PublicKey != "" {
				_, err = signature.VerifyRSA([]*rsa.PublicKey{v.Key(t)}, got, v.Signature)
				assert.NoError(t, err)
				_, err = signature.VerifyRSA([]*rsa.PublicKey{v.Key(t)}, strings.TrimSuffix(got, "&"), v.Signature)
				assert.Error(t, err, "the trailing & is part of the message")
				return
			}
			sign, err := signature.SignDigest(provider.NoFault, [][]byte{[]byte(v.Secret)}, md5Of(got))
			require.NoError(t, err)
			assert.Equal(t, v.Signature, strings.ToUpper(sign))
		})
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ name, object, want string }{
		{"whole pieces, not names", `{"a":"1","a0":"2","a.":"3"}`, "a.=3&a0=2&a=1&"},
		{"a longer name comes by its letters", `{"ab":"1","a":"z"}`, "a=z&ab=1&"},
		{"case-insensitive", `{"Zebra":"1","apple":"2","Mango":"3","_x":"4"}`, "_x=4&apple=2&Mango=3&Zebra=1&"},
		{"beyond ASCII", `{"Äb":"1","äa":"2"}`, "äa=2&Äb=1&"},
		{"null and empty left out", `{"a":null,"b":"","c":" ","d":0,"e":false,"sign":"x"}`, "c= &d=0&e=false&"},
		{"numbers as tokens", `{"a":1.10,"b":20881234567890123456,"c":1e22}`, "a=1.10&b=20881234567890123456&c=1e22&"},
		{"nothing trimmed", `{"a":" x\t"}`, "a= x\t&"},
		{"nested, compacted", `{"a":{ "z" : 1.0, "b": [ ] }}`, `a={"z":1.0,"b":[]}&`},
		{"Chinese", `{"a":"张三","b":"\u5f20\/"}`, "a=张三&b=张/&"},
	} {
		object, err := wire.ParseObject([]byte(c.object))
		require.NoError(t, err)
		got, err := canonical(object)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, c.name)
	}
	for _, text := range []string{`{"a":"1","A":"1"}`, `{"a":"x","b":"1","A":"X"}`} {
		object, err := wire.ParseObject([]byte(text))
		require.NoError(t, err)
		_, err = canonical(object)
		assert.Error(t, err, "equal but for case: %s", text)
	}
}

const (
	bindPath    = "/api/division/receiver/bind"
	execPath    = "/api/division/exec"
	balancePath = "/api/division/receiver/channelBalanceQuery"
	cashoutPath = "/api/division/receiver/channelBalanceCashout"
)

// TestPageSamples posts the page's four requests and expects its four answers,
// but for what the page itself got wrong: the merchant of the first answer and
// the receiver of the last one are not those of the request.
func TestPageSamples(t *testing.T) {
	for _, method := range []string{"MD5", "RSA2"} {
		for _, c := range []struct {
			path, name string
			differ     object
		}{
			{bindPath, "bind", object{"appId": "60cc3ba74ee0e6685f57e000", "mchNo": "M1623997000"}},
			{execPath, "exec", nil},
			{balancePath, "balance", nil},
			{cashoutPath, "cashout", object{"receiverId": json.Number("800021")}},
		} {
			m := newMerchant(t, c.path, "page-"+c.name+".json")
			m.method = method
			answer := New().Answer(m.request())
			require.True(t, answer.OK, answer.Seen)
			got, data, genuine := m.read(answer.Body)
			assert.True(t, genuine, c.name)
			want := decode(t, providertest.File(t, "page-"+c.name+"-answer.json"))
			wanted := want["data"].(object)
			for name, value := range c.differ {
				wanted[name] = value
			}
			assert.Equal(t, wanted, data, c.name)
			assert.Equal(t, json.Number("0"), got["code"])
			assert.Equal(t, "SUCCESS", got["msg"])
			assert.Len(t, got, 4)
			assert.Contains(t, answer.Seen, method+" signature verified under key 1")
			assert.NotContains(t, answer.Seen, secret)
		}
	}
}

func TestBindSucceeds(t *testing.T) {
	m := newMerchant(t, bindPath, "page-bind.json")
	m.params["relationType"] = "STAFF"
	_, data, genuine := m.read(New().Answer(m.request()).Body)
	assert.True(t, genuine)
	assert.Equal(t, json.Number("1"), data["bindState"])
	assert.Equal(t, json.Number("1709713680000"), data["bindSuccessTime"])
	assert.Equal(t, json.Number("800021"), data["receiverId"])
	assert.NotContains(t, data, "errCode")
}

func TestExecSucceeds(t *testing.T) {
	for name, change := range map[string]object{
		"known accounts": {"receivers": `[{"receiverId":800001,"divisionProfit":0.1},{"receiverId":"800021","divisionProfit":"0.9"}]`},
		"a known group":  {"receivers": `[{"receiverGroupId":100001}]`},
		"an amount":      {"receivers": `[{"receiverId":800001,"divisionAmount":100}]`},
		"the system's":   {"useSysAutoDivisionReceivers": json.Number("1"), "receivers": nil},
		"by mchOrderNo":  {"payOrderId": nil, "mchOrderNo": "O1", "receivers": `[{"receiverId":800001}]`},
	} {
		m := newMerchant(t, execPath, "page-exec.json")
		for k, v := range change {
			m.params[k] = v
		}
		answer := New().Answer(m.request())
		_, data, genuine := m.read(answer.Body)
		assert.True(t, genuine, "%s: %s", name, answer.Seen)
		assert.Equal(t, json.Number("1"), data["state"], name)
		assert.NotEmpty(t, data["channelBatchOrderId"])
	}
}

func TestOtherInterfaces(t *testing.T) {
	m := newMerchant(t, "/api/pay/unifiedOrder?x=1", "page-exec.json")
	m.params = object{
		"mchNo": "M1", "appId": "A1", "version": "1.0", "reqTime": "1622016572190",
		"mchOrderNo": "O1", "amount": json.Number("1.10"), "big": json.Number("20881234567890123456"),
		"zero": json.Number("0"), "exponent": json.Number("1e22"), "subject": "张三&<>", "empty": "",
	}
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	_, data, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	assert.Equal(t, object{
		"mchNo": "M1", "appId": "A1", "mchOrderNo": "O1", "amount": json.Number("1.10"),
		"big": json.Number("20881234567890123456"), "zero": json.Number("0"),
		"exponent": json.Number("1e22"), "subject": "张三&<>", "empty": "", "state": json.Number("1"),
	}, data)
}

func TestRefusals(t *testing.T) {
	receivers := func(text string) func(object) { return func(p object) { p["receivers"] = text } }
	set := func(name string, value any) func(object) { return func(p object) { p[name] = value } }
	for _, c := range []struct {
		name, path, file, code string
		plain, sent            func(params object)
	}{
		{"application missing", execPath, "exec", "11", set("appId", ""), nil},
		{"merchant missing", execPath, "exec", "11", set("mchNo", ""), nil},
		{"merchant missing", bindPath, "bind", "11", set("mchNo", nil), nil},
		{"version missing", execPath, "exec", "11", set("version", nil), nil},
		{"version", execPath, "exec", "11", set("version", "1.1"), nil},
		{"time missing", execPath, "exec", "11", set("reqTime", ""), nil},
		{"no order", execPath, "exec", "11", set("payOrderId", ""), nil},
		{"receivers as JSON", execPath, "exec", "11", nil, set("receivers", []object{{"receiverId": 1}})},
		{"object as JSON", execPath, "exec", "11", nil, set("payOrderId", object{})},
		{"use receivers", execPath, "exec", "11", set("useSysAutoDivisionReceivers", "2"), nil},
		{"receivers missing", execPath, "exec", "11", set("receivers", nil), nil},
		{"receivers empty", execPath, "exec", "11", receivers(`[]`), nil},
		{"receivers an object", execPath, "exec", "11", receivers(`{}`), nil},
		{"receivers not JSON", execPath, "exec", "11", receivers(`[{`), nil},
		{"receivers with a twin", execPath, "exec", "11", receivers(`[{"receiverId":1,"receiverId":2}]`), nil},
		{"receiver not an object", execPath, "exec", "11", receivers(`[1]`), nil},
		{"receiver of nobody", execPath, "exec", "11", receivers(`[{"receiverId":"","divisionProfit":"0.1"}]`), nil},
		{"rate and amount", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionProfit":0.1,"divisionAmount":1}]`), nil},
		{"rate above 1", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionProfit":1.1}]`), nil},
		{"rate 0", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionProfit":"0.00"}]`), nil},
		{"rates above 1", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionProfit":0.6},{"receiverId":2,"divisionProfit":0.41}]`), nil},
		{"amount 0", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionAmount":0}]`), nil},
		{"amount in yuan", execPath, "exec", "11", receivers(`[{"receiverId":1,"divisionAmount":1.5}]`), nil},
		{"group not a number", bindPath, "bind", "11", set("receiverGroupId", "x"), nil},
		{"account type", bindPath, "bind", "11", set("accType", "2"), nil},
		{"account missing", bindPath, "bind", "11", set("accNo", ""), nil},
		{"relation missing", bindPath, "bind", "11", set("relationType", ""), nil},
		{"custom relation without a name", bindPath, "bind", "11", func(p object) { p["relationType"], p["relationTypeName"] = "CUSTOM", "" }, nil},
		{"alipay without a name", bindPath, "bind", "11", func(p object) { p["ifCode"], p["accName"] = "alipay", "" }, nil},
		{"rate", bindPath, "bind", "11", set("divisionProfit", "30%"), nil},
		{"receiver missing", balancePath, "balance", "11", set("receiverId", nil), nil},
		{"receiver not a number", cashoutPath, "cashout", "11", set("receiverId", "x"), nil},
		{"nothing to cash out", cashoutPath, "cashout", "11", set("cashoutAmount", "0"), nil},
		{"amount missing", cashoutPath, "cashout", "11", set("cashoutAmount", nil), nil},
		{"sign type missing", execPath, "exec", "11", nil, set("signType", nil)},
		{"sign type", execPath, "exec", "11", nil, set("signType", "HMAC")},
		{"other sign type", execPath, "exec", "9999", nil, set("signType", "RSA2")},
		{"not signed", execPath, "exec", "9999", nil, set("sign", "")},
		{"another order", execPath, "exec", "9999", nil, set("payOrderId", "P2")},
		{"another receiver", execPath, "exec", "9999", nil, receivers(`[{"receiverId":"1"}]`)},
		{"parameter that the server does not know", execPath, "exec", "9999", set("extParam", "x"), nil},
		{"differ in case only", "/api/x", "exec", "11", nil, set("PAYORDERID", "P202108271011463510002")},
	} {
		t.Run(c.path+" "+c.name, func(t *testing.T) {
			m := newMerchant(t, c.path, "page-"+c.file+".json")
			if c.plain != nil {
				c.plain(m.params)
			}
			m.sent = c.sent
			answer := New().Answer(m.request())
			got, _, _ := m.read(answer.Body)
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, json.Number(c.code), got["code"], answer.Seen)
			assert.Len(t, got, 2, "an error is code and msg, and not signed")
			assert.NotEmpty(t, got["msg"])
			assert.False(t, answer.OK)
			assert.Nil(t, answer.Notification)
		})
	}
}

func TestRefusalsOfTheBody(t *testing.T) {
	m := newMerchant(t, execPath, "page-exec.json")
	for _, body := range []string{"", "[]", "<html>", `{"a":"1","\u0061":"2"}`, "{\"a\":\"\xd6\xd0\"}"} {
		got, _, _ := m.read(New().Answer(m.raw(body)).Body)
		assert.Equal(t, json.Number("11"), got["code"], body)
	}
}

func TestSignatureInEitherCase(t *testing.T) {
	m := newMerchant(t, execPath, "page-exec.json")
	m.sent = func(p object) { p["sign"] = strings.ToLower(p["sign"].(string)) }
	assert.True(t, New().Answer(m.request()).OK)
}

func TestFaults(t *testing.T) {
	for _, method := range []string{"MD5", "RSA2"} {
		for _, c := range []struct{ path, file, bound string }{
			{execPath, "exec", "payOrderId"},
			{balancePath, "balance", "receiverId"},
			{cashoutPath, "cashout", "receiverId"},
			{bindPath, "bind", ""},
			{"/api/pay/query", "exec", "payOrderId"},
		} {
			for fault, genuine := range map[provider.Fault]bool{
				provider.NoFault: true, provider.BadSignature: false, provider.WrongKey: false,
				provider.Tampered: false, provider.Unsigned: false, provider.Mismatch: true,
			} {
				m := newMerchant(t, c.path, "page-"+c.file+".json")
				m.method, m.fault = method, fault
				answer := New().Answer(m.request())
				require.True(t, answer.OK, answer.Seen)
				got, data, verified := m.read(answer.Body)
				assert.Equal(t, genuine, verified, "%s %s %s", method, c.path, fault)
				assert.Equal(t, fault != provider.Unsigned, got["sign"] != nil)
				assert.NotNil(t, got["data"])
				if c.bound == "" || data[c.bound] == nil {
					continue // a binding names no order, a division only under mismatch
				}
				told := data[c.bound]
				if n, ok := told.(json.Number); ok {
					told = n.String()
				}
				asked := m.params[c.bound]
				if n, ok := asked.(json.Number); ok {
					asked = n.String()
				}
				assert.Equal(t, fault != provider.Mismatch, asked == told, "%s %s", c.path, fault)
			}
		}
	}
	m := newMerchant(t, execPath, "page-exec.json")
	m.fault = provider.Mismatch
	_, data, _ := m.read(New().Answer(m.request()).Body)
	assert.Equal(t, "P202108271011463510003", data["payOrderId"], "added where the answer names no order")
}

func TestNotification(t *testing.T) {
	for _, method := range []string{"MD5", "RSA2"} {
		m := newMerchant(t, execPath, "page-exec.json")
		m.method, m.fault = method, provider.WrongKey
		n := New().Answer(m.request()).Notification
		params, genuine := m.form(n)
		assert.True(t, genuine, "MD5 even for %s", method)
		assert.Equal(t, "M1623997351", params["mchNo"])
		assert.Equal(t, "P202108271011463510002", params["payOrderId"])
		assert.Equal(t, "2", params["state"])
		assert.Equal(t, "1709713680000", params["reqTime"])
		assert.Equal(t, "Business Failed【未知的错误码ACQ.ROYALTY_ACCOUNT_NOT_EXIST】", params["errMsg"])
		assert.NotContains(t, params, "signType")
		assert.True(t, n.Acknowledged(200, []byte(" success\r\n")))
		assert.False(t, n.Acknowledged(200, []byte("fail")))
		assert.False(t, n.Acknowledged(200, nil))
		assert.False(t, n.Acknowledged(500, []byte("success")))
	}
}

func TestWithoutKeys(t *testing.T) {
	m := newMerchant(t, execPath, "page-exec.json")
	m.method = "RSA2"
	r := m.request()
	r.Keys.Secrets = nil
	answer := New().Answer(r)
	assert.True(t, answer.OK)
	assert.Nil(t, answer.Notification, "nothing to sign it with")
	r.Keys.Sign = nil
	assert.Equal(t, 500, New().Answer(r).Status)
}

// The server takes any time, and parameters as a form.
func TestParametersAsTheServerTakesThem(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body, want string }{
		"json":            {"application/json", `{"a":"1"}`, "1"},
		"form":            {"application/x-www-form-urlencoded", "a=1%202&b=", "1 2"},
		"form, charset":   {"application/x-www-form-urlencoded; charset=UTF-8", "a=1+2", "1 2"},
		"twice":           {"application/x-www-form-urlencoded", "a=1&a=2", ""},
		"a broken escape": {"application/x-www-form-urlencoded", "a=%zz", ""},
		"text":            {"text/plain", `{"a":"1"}`, ""},
	} {
		params, err := readParameters(c.contentType, []byte(c.body))
		assert.Equal(t, c.want == "", err != nil, name)
		assert.Equal(t, c.want, params.StringAt("a"), name)
	}
}
