package hongwen

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

type object = map[string]any

// merchant is the other side, written without the provider's code.
type merchant struct {
	t       *testing.T
	sides   providertest.Sides
	params  object
	content object
	fault   provider.Fault
	sent    func(params object)
}

// newMerchant has a request in plain: the page has no sample, so that it is
// made of the example values in its tables.
func newMerchant(t *testing.T) *merchant {
	m := &merchant{t: t, sides: providertest.RSA(t, 2048)}
	m.params = decode(t, providertest.File(t, "sample-request.json"))
	m.content = m.params["biz_content"].(object)
	detail, err := json.Marshal(m.content["divide_back_detail"])
	require.NoError(t, err)
	m.content["divide_back_detail"] = string(detail)
	delete(m.params, "biz_content")
	return m
}

// text returns what is signed: strings, numbers and booleans.
func text(params object) string {
	var pieces []string
	for name, value := range params {
		var text string
		switch v := value.(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		}
		if name != "sign" && text != "" {
			pieces = append(pieces, name+"="+text)
		}
	}
	sort.Strings(pieces) // no name of the tests begins with another one and "="
	return strings.Join(pieces, "&")
}

func (m *merchant) request() provider.Request {
	if _, given := m.params["biz_content"]; !given {
		content, err := json.Marshal(m.content)
		require.NoError(m.t, err)
		m.params["biz_content"] = string(content)
	}
	m.params["sign"] = providertest.Sign(m.t, m.sides.Merchant, text(m.params))
	if m.sent != nil {
		m.sent(m.params)
	}
	body, err := json.Marshal(m.params)
	require.NoError(m.t, err)
	return m.raw(string(body))
}

func (m *merchant) raw(body string) provider.Request {
	return provider.Request{
		Path: "/gateway.do", ContentType: "application/json;charset=utf-8", Body: []byte(body),
		Keys: m.sides.Keys(), Fault: m.fault, Now: providertest.Now,
	}
}

func decode(t *testing.T, text []byte) object {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v object
	require.NoError(t, dec.Decode(&v), string(text))
	return v
}

// read returns the answer and whether it is genuinely signed.
func (m *merchant) read(body []byte) (answer object, genuine bool) {
	answer = decode(m.t, body)
	sign, _ := answer["sign"].(string)
	return answer, sign != "" && providertest.Verifies(m.t, &m.sides.Provider.PublicKey, text(answer), sign)
}

func TestVector(t *testing.T) {
	v := providertest.Vectors(t)["hongwen-response-canonical"]
	page, err := wire.ParseObject(providertest.File(t, "page-answer.json"))
	require.NoError(t, err)
	got := canonical(page, false)
	assert.Equal(t, v.Canonical, got)
	sum := sha256.Sum256([]byte(got))
	assert.Equal(t, v.SHA256, hex.EncodeToString(sum[:]))
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ name, object, skip, arrays string }{
		{"by code unit", `{"b":"1","B":"2","a_":"3","a":"4"}`, "B=2&a=4&a_=3&b=1", ""},
		{"sign_type is signed", `{"sign_type":"RSA","sign":"x"}`, "sign_type=RSA", ""},
		{"null and empty left out", `{"a":null,"b":"","c":" ","d":0,"e":false}`, "c= &d=0&e=false", ""},
		{"numbers as tokens", `{"a":1.10,"b":20881234567890123456,"c":1e22}`, "a=1.10&b=20881234567890123456&c=1e22", ""},
		{"arrays and objects", `{"a":[ 1 ],"b":"2","c":{"x": "\/"}}`, "b=2", `a=[ 1 ]&b=2&c={"x": "\/"}`},
		{"Chinese", `{"a":"\u4e2d\/文"}`, "a=中/文", ""},
		{"nothing", `{}`, "", ""},
	} {
		if c.arrays == "" {
			c.arrays = c.skip
		}
		object, err := wire.ParseObject([]byte(c.object))
		require.NoError(t, err)
		assert.Equal(t, c.skip, canonical(object, false), c.name)
		assert.Equal(t, c.arrays, canonical(object, true), c.name)
	}
}

func TestAnswerHasTheShapeOfThePage(t *testing.T) {
	m := newMerchant(t)
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	got, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	page := decode(t, providertest.File(t, "page-answer.json"))
	for name, value := range page {
		assert.IsType(t, value, got[name], name)
	}
	assert.Len(t, got, len(page))
	for _, name := range []string{"code", "msg", "divide_back_status", "divide_back_create_time"} {
		assert.Equal(t, page[name], got[name], name)
	}
	assert.Equal(t, "20150320010101002", got["divide_back_out_trade_no"])
	assert.Equal(t, "1002341", got["merchant_no"])
	assert.Equal(t, []any{
		object{"account": "10021011", "amount": "100"},
		object{"account": "10021012", "amount": "50"},
	}, got["divide_back_detail"])
	results := got["divide_back_res_detail"].([]any)
	require.Len(t, results, 2)
	assert.Len(t, results[0], 4)
	assert.NotEqual(t, results[0].(object)["divideDetailNo"], results[1].(object)["divideDetailNo"])
	assert.Contains(t, answer.Seen, "signature verified under key 1")
	assert.Contains(t, answer.Seen, "10021012")
}

func TestOptions(t *testing.T) {
	m := newMerchant(t)
	m.content["merchant_no"] = ""
	r := m.request()

	asText, genuine := m.read((&Provider{DetailText: true}).Answer(r).Body)
	assert.True(t, genuine, "a string is signed")
	assert.Equal(t, `[{"amount":"100","account":"10021011"},{"amount":"50","account":"10021012"}]`, asText["divide_back_detail"])
	assert.Equal(t, "21573050824562", asText["merchant_no"], "the page's, where the request has none")

	body := (&Provider{SignArrays: true}).Answer(r).Body
	signed, genuine := m.read(body)
	assert.False(t, genuine, "under the default rule")
	parsed, err := wire.ParseObject(body)
	require.NoError(t, err)
	signed["divide_back_detail"] = parsed.Get("divide_back_detail").Raw
	signed["divide_back_res_detail"] = parsed.Get("divide_back_res_detail").Raw
	assert.True(t, providertest.Verifies(t, &m.sides.Provider.PublicKey, text(signed), signed["sign"].(string)))
}

func TestOtherMethods(t *testing.T) {
	m := newMerchant(t)
	m.params["method"] = "trade.query"
	m.params["sign_type"] = "rsa"
	m.params["biz_content"] = `{"out_trade_no":"O1","n":1.10,"big":20881234567890123456,"t":"\/\u4e2d","code":"x","msg":"y"}`
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	got, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	assert.Equal(t, json.Number("20000"), got["code"])
	assert.Contains(t, string(answer.Body), `"out_trade_no":"O1","n":1.10,"big":20881234567890123456,"t":"\/\u4e2d"`)
}

func TestRefusals(t *testing.T) {
	set := func(name string, value any) func(object) { return func(p object) { p[name] = value } }
	content := func(name string, value any) func(*merchant) {
		return func(m *merchant) { m.content[name] = value }
	}
	param := func(name string, value any) func(*merchant) {
		return func(m *merchant) { m.params[name] = value }
	}
	long := strings.Repeat("长", 65)
	for _, c := range []struct {
		name, code string
		plain      func(*merchant)
		sent       func(params object)
	}{
		{"merchant missing", "40002", param("mch_no", nil), nil},
		{"merchant too long", "40002", param("mch_no", long), nil},
		{"method missing", "40002", param("method", ""), nil},
		{"charset", "40002", param("charset", "GBK"), nil},
		{"version", "40002", param("version", "2.0"), nil},
		{"version a number", "40002", param("version", json.Number("1.0")), nil},
		{"sign type", "40002", param("sign_type", "RSA2"), nil},
		{"sign type missing", "40002", nil, set("sign_type", nil)},
		{"no time", "40002", param("timestamp", nil), nil},
		{"time as a number", "40002", param("timestamp", "1406142470"), nil},
		{"time with a zone", "40002", param("timestamp", "2014-07-24T03:07:5Z"), nil},
		{"time with a short hour", "40002", param("timestamp", "2014-07-24 3:07:50"), nil},
		{"31 February", "40002", param("timestamp", "2014-02-31 03:07:50"), nil},
		{"notify_url too long", "40002", param("notify_url", "http://localhost/"+strings.Repeat("x", 200)), nil},
		{"biz_content as JSON", "40002", nil, set("biz_content", object{})},
		{"biz_content missing", "40002", param("biz_content", nil), nil},
		{"biz_content not JSON", "40002", param("biz_content", "{"), nil},
		{"biz_content with a twin", "40002", param("biz_content", `{"a":"1","a":"2"}`), nil},
		{"no divide order", "40002", content("divide_out_trade_no", ""), nil},
		{"no order", "40002", content("divide_back_out_trade_no", nil), nil},
		{"order too long", "40002", content("divide_back_out_trade_no", long), nil},
		{"merchant a number", "40002", content("merchant_no", 1), nil},
		{"detail as JSON", "40002", content("divide_back_detail", []object{{"account": "1", "amount": "1"}}), nil},
		{"detail not JSON", "40002", content("divide_back_detail", "["), nil},
		{"detail empty", "40002", content("divide_back_detail", "[]"), nil},
		{"detail an object", "40002", content("divide_back_detail", `{"account":"1","amount":"1"}`), nil},
		{"detail too long", "40002", content("divide_back_detail", `[{"account":"1","amount":"1"}]`+strings.Repeat(" ", 256)), nil},
		{"detail with a twin", "40002", content("divide_back_detail", `[{"account":"1","amount":"1","amount":"9"}]`), nil},
		{"no account", "40002", content("divide_back_detail", `[{"amount":"1"}]`), nil},
		{"account not an object", "40002", content("divide_back_detail", `["1"]`), nil},
		{"amount a number", "40002", content("divide_back_detail", `[{"account":"1","amount":1}]`), nil},
		{"amount 0", "40002", content("divide_back_detail", `[{"account":"1","amount":"0.00"}]`), nil},
		{"amount negative", "40002", content("divide_back_detail", `[{"account":"1","amount":"-1"}]`), nil},
		{"not signed", "40001", nil, func(p object) { delete(p, "sign") }},
		{"signature empty", "40001", nil, set("sign", "")},
		{"signature too long", "40002", nil, set("sign", strings.Repeat("A", 348))},
		{"other merchant", "40001", nil, set("mch_no", "2014072300007149")},
		{"sign type after signing", "40001", nil, set("sign_type", "rsa")},
		{"other content", "40001", nil, set("biz_content", "{}")},
		{"member added", "40001", nil, set("notify_url", "http://localhost/")},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMerchant(t)
			if c.plain != nil {
				c.plain(m)
			}
			m.sent = c.sent
			answer := New().Answer(m.request())
			got, genuine := m.read(answer.Body)
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, json.Number(c.code), got["code"], answer.Seen)
			assert.NotEmpty(t, got["msg"])
			assert.True(t, genuine, "errors are signed as well")
			assert.False(t, answer.OK)
			assert.Nil(t, answer.Notification)
		})
	}
	m := newMerchant(t)
	for _, body := range []string{"", "[]", `{"mch_no":"1","mch_no":"2"}`, "{\"a\":\"\xd6\xd0\"}"} {
		got, genuine := m.read(New().Answer(m.raw(body)).Body)
		assert.Equal(t, json.Number("40002"), got["code"], body)
		assert.True(t, genuine)
	}
}

func TestArraysOfARequestAreNotSigned(t *testing.T) {
	m := newMerchant(t)
	m.params["extra"] = []string{"x"}
	m.params["notify_url"] = "https://localhost/notify?a=1&b=2"
	assert.True(t, New().Answer(m.request()).OK)
}

func TestFaults(t *testing.T) {
	for fault, wants := range map[provider.Fault]bool{
		provider.NoFault: true, provider.BadSignature: false, provider.WrongKey: false,
		provider.Tampered: false, provider.Unsigned: false, provider.Mismatch: true,
	} {
		for _, detail := range []string{`[{"account":"1","amount":"1"}]`, `[]`} { // an answer and a refusal
			m := newMerchant(t)
			m.fault = fault
			m.content["divide_back_detail"] = detail
			answer := New().Answer(m.request())
			assert.Equal(t, detail != "[]", answer.OK)
			got, genuine := m.read(answer.Body)
			assert.Equal(t, wants, genuine, fault)
			assert.Equal(t, fault != provider.Unsigned, got["sign"] != nil, fault)
			assert.Equal(t, fault != provider.Mismatch, got["divide_back_out_trade_no"] == "20150320010101002", fault)
		}
	}
}

func TestNotification(t *testing.T) {
	m := newMerchant(t)
	m.fault = provider.Mismatch
	n := New().Answer(m.request()).Notification
	require.NotNil(t, n)
	assert.Equal(t, "application/x-www-form-urlencoded; charset=utf-8", n.ContentType)
	values, err := url.ParseQuery(string(n.Body))
	require.NoError(t, err)
	params := object{}
	for name, list := range values {
		require.Len(t, list, 1)
		params[name] = list[0]
	}
	assert.True(t, providertest.Verifies(t, &m.sides.Provider.PublicKey, text(params), params["sign"].(string)))
	assert.Equal(t, "20150320010101002", params["divide_back_out_trade_no"], "a fault is one of the answer")
	assert.Equal(t, "DIVIDE_BACK_SUCCESS", params["divide_back_status"])
	assert.Equal(t, "2014072300007148", params["mch_no"])
	assert.Equal(t, "2024-03-06 16:28:00", params["timestamp"], "China's clock")
	assert.Equal(t, "RSA", params["sign_type"])
	assert.NotContains(t, params, "divide_back_detail")
	assert.True(t, n.Acknowledged(200, []byte("success\n")))
	assert.False(t, n.Acknowledged(200, []byte("fail")))
	assert.False(t, n.Acknowledged(200, []byte("SUCCESSFUL")))
	assert.False(t, n.Acknowledged(500, []byte("success")))
}

func TestWithoutKeys(t *testing.T) {
	r := newMerchant(t).request()
	r.Keys.Sign = nil
	assert.Equal(t, 500, New().Answer(r).Status)
}
