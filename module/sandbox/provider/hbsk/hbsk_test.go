package hbsk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
)

type object = map[string]any

const secret = "dev-only-secret"

// merchant is the other side, written without the provider's code.
type merchant struct {
	t       *testing.T
	message object
	path    string
	fault   provider.Fault
	options *Provider
	sign    func(message object) string
	sent    func(message object)
}

func newMerchant(t *testing.T) *merchant {
	m := &merchant{t: t, path: "/share/apply", options: New(), message: object{}}
	require.NoError(t, json.Unmarshal(providertest.File(t, "page-request.json"), &m.message))
	m.message["time"] = json.Number("1668671935")
	m.sign = func(message object) string {
		return mac(fmt.Sprintf("data=%v&key=%v&time=%v", message["data"], message["key"], message["time"]))
	}
	return m
}

func mac(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func (m *merchant) request() provider.Request {
	m.message["sign"] = m.sign(m.message)
	if m.sent != nil {
		m.sent(m.message)
	}
	body, err := json.Marshal(m.message)
	require.NoError(m.t, err)
	return m.raw(string(body))
}

func (m *merchant) raw(body string) provider.Request {
	return provider.Request{
		Path: m.path, ContentType: "application/json", Body: []byte(body),
		Keys:  provider.Keys{Secrets: [][]byte{[]byte(secret)}},
		Fault: m.fault, Now: providertest.Now,
	}
}

func decode(t *testing.T, text string) object {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v object
	require.NoError(t, dec.Decode(&v), text)
	return v
}

// read returns the answer, its data, and whether it is genuinely signed.
func (m *merchant) read(body []byte) (answer, data object, genuine bool) {
	answer = decode(m.t, string(body))
	data = decode(m.t, answer["data"].(string))
	want := mac(fmt.Sprintf("data=%v&time=%v", answer["data"], answer["time"]))
	return answer, data, answer["sign"] == want
}

func TestPageSample(t *testing.T) {
	m := newMerchant(t)
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	got, data, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	page := decode(t, string(providertest.File(t, "page-answer.json")))
	assert.ElementsMatch(t, keys(page), keys(got))
	assert.ElementsMatch(t, keys(decode(t, page["data"].(string))), keys(data))
	assert.Equal(t, json.Number("0"), got["code"])
	assert.Equal(t, "申请成功", got["text"])
	assert.Equal(t, json.Number("1709713680"), got["time"])
	assert.Regexp(t, `^[0-9a-f]{64}$`, got["sign"])
	assert.Equal(t, "2022111767655444", data["sequence"])
	assert.Equal(t, json.Number("3.00"), data["amount"], "two digits, as a token")
	assert.Equal(t, json.Number("1.0000"), data["rate"])
	assert.Equal(t, []any{
		object{"code": "H7638527", "amount": json.Number("1.00"), "name": "老羊", "rate": json.Number("0.3333")},
		object{"code": "H7633498", "amount": json.Number("2.00"), "name": "老羊", "rate": json.Number("0.6666")},
	}, data["holders"])
	assert.Nil(t, data["remark"])
	assert.Contains(t, answer.Seen, "signature verified with secret 1")
	assert.NotContains(t, answer.Seen, secret)
}

func keys(v object) (names []string) {
	for name := range v {
		names = append(names, name)
	}
	return names
}

func TestApply(t *testing.T) {
	for _, c := range []struct{ name, data, amount, self, side string }{
		{"as in the page's answer", `{"orders":["1"],"holders":[{"amount":0.8,"code":"H1"}],"oneself":true}`, "1.00", "0.20", "0.80"},
		{"rates", `{"orders":["1","2"],"holders":[{"rate":0.25,"code":"H1"},{"rate":0.5,"code":"H2"}]}`, "1.50", "0.00", "1.50"},
		{"balance", `{"holders":[{"amount":12.34,"code":"H1"}],"mode":"balance"}`, "12.34", "0.00", "12.34"},
		{"nothing left", `{"orders":["1"],"holders":[{"amount":1,"code":"H1"}],"oneself":true}`, "1.00", "0.00", "1.00"},
		{"Chinese", `{"holders":[{"amount":0.01,"code":"H1"}],"remark":"给<老羊>&\"他\""}`, "0.01", "0.00", "0.01"},
	} {
		m := newMerchant(t)
		m.message["data"] = c.data
		answer := New().Answer(m.request())
		_, data, genuine := m.read(answer.Body)
		assert.True(t, genuine)
		assert.True(t, answer.OK, "%s: %s", c.name, answer.Seen)
		assert.Equal(t, json.Number(c.amount), data["amount"], c.name)
		assert.Equal(t, json.Number(c.self), data["selfamount"], c.name)
		assert.Equal(t, json.Number(c.side), data["sideamount"], c.name)
		assert.Equal(t, c.self != "0.00", data["oneself"], c.name)
		assert.NotEmpty(t, data["sequence"], "the provider's own where the request has none")
		if c.name == "Chinese" {
			assert.Equal(t, `给<老羊>&"他"`, data["remark"])
		}
	}
}

func TestOtherInterfaces(t *testing.T) {
	m := newMerchant(t)
	m.path = "/share/query"
	m.message["data"] = "{ \"amount\":1.10, \"big\":20881234567890123456,\"e\":1e22,\"t\":\"\\/\\u4e2d\" }"
	answer := New().Answer(m.request())
	got, _, genuine := m.read(answer.Body)
	assert.True(t, genuine, "the exact string of data is signed")
	assert.True(t, answer.OK)
	assert.Equal(t, `{"amount":1.10,"big":20881234567890123456,"e":1e22,"t":"\/\u4e2d","state":"success"}`, got["data"])
}

func TestRefusals(t *testing.T) {
	data := func(text string) func(object) { return func(m object) { m["data"] = text } }
	set := func(name string, value any) func(object) { return func(m object) { m[name] = value } }
	for _, c := range []struct {
		name, code  string
		plain, sent func(message object)
	}{
		{"no key", "107010", set("key", ""), nil},
		{"key a number", "107010", set("key", 1), nil},
		{"no time", "107010", set("time", nil), nil},
		{"time in milliseconds", "107010", set("time", json.Number("1668671935000")), nil},
		{"data as JSON", "107010", nil, set("data", object{"orders": []string{}})},
		{"no data", "107010", nil, set("data", nil)},
		{"data not JSON", "107010", data("{"), nil},
		{"data an array", "107010", data("[]"), nil},
		{"data with a twin", "107010", data(`{"holders":[],"holders":[]}`), nil},
		{"not signed", "107010", nil, set("sign", "")},
		{"signature not hex", "107010", nil, set("sign", strings.Repeat("z", 64))},
		{"other data", "107010", nil, data(`{"holders":[{"amount":2,"code":"H1"}]}`)},
		{"data with a space more", "107010", nil, func(m object) { m["data"] = m["data"].(string) + " " }},
		{"other key", "107010", nil, set("key", "d787d45a68b49")},
		{"other time", "107010", nil, set("time", json.Number("1668671936"))},
		{"orders not a list of strings", "107033", data(`{"orders":[1],"holders":[{"amount":1,"code":"H1"}]}`), nil},
		{"orders empty", "107033", data(`{"orders":[],"holders":[{"amount":1,"code":"H1"}]}`), nil},
		{"orders in a string", "107033", data(`{"orders":"[]","holders":[{"amount":1,"code":"H1"}]}`), nil},
		{"no holders", "100031", data(`{"orders":["1"]}`), nil},
		{"holder without a code", "100031", data(`{"holders":[{"amount":1}]}`), nil},
		{"holder not an object", "100031", data(`{"holders":["H1"]}`), nil},
		{"no amount", "100049", data(`{"holders":[{"code":"H1"}]}`), nil},
		{"amount 0", "100049", data(`{"holders":[{"code":"H1","amount":0.00}]}`), nil},
		{"amount negative", "100049", data(`{"holders":[{"code":"H1","amount":-1}]}`), nil},
		{"amount in a string", "100049", data(`{"holders":[{"code":"H1","amount":"1"}]}`), nil},
		{"three digits", "100049", data(`{"holders":[{"code":"H1","amount":0.001}]}`), nil},
		{"rate above 1", "100049", data(`{"holders":[{"code":"H1","rate":1.1}]}`), nil},
		{"rates above 1", "107008", data(`{"holders":[{"code":"H1","rate":0.6},{"code":"H2","rate":0.5}]}`), nil},
		{"sequence a number", "107010", data(`{"sequence":1,"holders":[{"amount":1,"code":"H1"}]}`), nil},
		{"oneself a number", "107010", data(`{"oneself":1,"holders":[{"amount":1,"code":"H1"}]}`), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMerchant(t)
			if c.plain != nil {
				c.plain(m.message)
			}
			m.sent = c.sent
			answer := New().Answer(m.request())
			got, _, genuine := m.read(answer.Body)
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, json.Number(c.code), got["code"], answer.Seen)
			assert.NotEmpty(t, got["text"])
			assert.True(t, genuine, "errors are signed as well")
			assert.False(t, answer.OK)
			assert.Nil(t, answer.Notification)
		})
	}
	m := newMerchant(t)
	for _, body := range []string{"", "[]", `{"key":"1","key":"2"}`, "{\"a\":\"\xd6\xd0\"}"} {
		got, _, _ := m.read(New().Answer(m.raw(body)).Body)
		assert.Equal(t, json.Number("107010"), got["code"], body)
	}
}

func TestTemplates(t *testing.T) {
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	m := newMerchant(t)
	m.message["data"] = `{"sequence":"{time}{secret}","holders":[{"amount":1,"code":"H1"}]}`
	m.sign = func(message object) string {
		return sum(fmt.Sprintf("%v|%v|%v%s", message["time"], message["data"], message["key"], secret))
	}
	p := &Provider{Digest: SHA256, Message: "{time}|{data}|{key}{secret}", ResponseMessage: "{code}{text}{data}{key}{secret}"}
	answer := p.Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	got := decode(t, string(answer.Body))
	assert.Equal(t, sum(fmt.Sprintf("%v%v%v%v%s", got["code"], got["text"], got["data"], m.message["key"], secret)), got["sign"],
		"what a value holds is no template")
	assert.False(t, New().Answer(m.request()).OK, "under the default it is another message")
}

func TestFaults(t *testing.T) {
	for fault, wants := range map[provider.Fault]bool{
		provider.NoFault: true, provider.BadSignature: false, provider.WrongKey: false,
		provider.Tampered: false, provider.Unsigned: false, provider.Mismatch: true,
	} {
		m := newMerchant(t)
		m.fault = fault
		answer := New().Answer(m.request())
		got, data, genuine := m.read(answer.Body)
		assert.Equal(t, wants, genuine, fault)
		assert.Equal(t, fault != provider.Unsigned, got["sign"] != nil, fault)
		assert.Equal(t, fault != provider.Mismatch, data["sequence"] == "2022111767655444", fault)
		assert.Equal(t, fault != provider.Tampered, data["amount"] == json.Number("3.00"), fault)

		notified, data, genuine := m.read(answer.Notification.Body)
		assert.True(t, genuine, "a fault is one of the answer")
		assert.Equal(t, "2022111767655444", data["sequence"])
		assert.Equal(t, json.Number("0"), notified["code"])

		_, _, genuine = m.read(New().Answer(m.raw("{}")).Body)
		assert.Equal(t, wants, genuine, "a refusal: %s", fault)
	}
}

func TestNotificationIsAcknowledgedByAny2xx(t *testing.T) {
	n := New().Answer(newMerchant(t).request()).Notification
	require.NotNil(t, n)
	assert.Equal(t, "application/json", n.ContentType)
	assert.True(t, n.Acknowledged(200, nil))
	assert.True(t, n.Acknowledged(204, []byte("x")))
	assert.False(t, n.Acknowledged(301, nil))
	assert.False(t, n.Acknowledged(503, []byte("success")))
}

func TestWithoutKeys(t *testing.T) {
	r := newMerchant(t).request()
	r.Keys.Secrets = nil
	assert.Equal(t, 500, New().Answer(r).Status)
}
