package hkrt

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

type object = map[string]any

const accessKey = "test-accesskey"

const ledgerPath = "/api/v1/delay-ledger/ledger"

// merchant is the other side, written without the provider's code.
type merchant struct {
	t      *testing.T
	params object
	path   string
	fault  provider.Fault
	sent   func(params object)
}

func newMerchant(t *testing.T) *merchant {
	m := &merchant{t: t, path: ledgerPath}
	m.params = decode(t, providertest.File(t, "page-request.json"))
	return m
}

func decode(t *testing.T, text []byte) object {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v object
	require.NoError(t, dec.Decode(&v), string(text))
	return v
}

// text returns the rule in the terms of maps and slices.
func text(v any) string {
	var pieces []string
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case object:
		for name, value := range v {
			list, isList := value.([]any)
			if name != "sign" && value != nil && value != "" && !(isList && len(list) == 0) {
				pieces = append(pieces, name+"="+text(value))
			}
		}
		sort.Strings(pieces) // no name of the tests begins with another one
	case []any:
		for _, item := range v {
			pieces = append(pieces, text(item))
		}
	}
	return strings.Join(pieces, "&")
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (m *merchant) request() provider.Request {
	m.params["sign"] = md5Hex(text(m.params) + accessKey)
	if m.sent != nil {
		m.sent(m.params)
	}
	body, err := json.Marshal(m.params)
	require.NoError(m.t, err)
	return m.raw(string(body))
}

func (m *merchant) raw(body string) provider.Request {
	return provider.Request{
		Path: m.path, ContentType: "application/json", Body: []byte(body),
		Keys:  provider.Keys{Secrets: [][]byte{[]byte(accessKey)}},
		Fault: m.fault, Now: providertest.Now,
	}
}

func (m *merchant) read(body []byte) (answer object, genuine bool) {
	answer = decode(m.t, body)
	return answer, answer["sign"] == md5Hex(text(answer)+accessKey)
}

func parse(t *testing.T, text string) wire.Value {
	v, err := wire.ParseObject([]byte(text))
	require.NoError(t, err)
	return v
}

func TestVector(t *testing.T) {
	v := providertest.Vectors(t)["hkrt-ledger-request"]
	request := parse(t, string(providertest.File(t, "page-request.json")))
	canonical := New().canonical(request, tokens)
	assert.Equal(t, v.Canonical, canonical)
	sign, err := signature.SignDigest(provider.NoFault, [][]byte{[]byte(v.Secret)}, md5Of(canonical))
	require.NoError(t, err)
	assert.Equal(t, v.Signature, strings.ToUpper(sign))
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ name, object, skip, keep string }{
		{"by code unit", `{"b":"1","B":"2","a_":"3","a":"4","ab":"5"}`, "B=2&a=4&a_=3&ab=5&b=1", ""},
		{"null, empty and sign left out", `{"a":null,"b":"","c":" ","sign":"x","d":0}`, "c= &d=0", ""},
		{"numbers as tokens", `{"a":1.10,"b":20881234567890123456,"c":1e22,"d":1.00}`, "a=1.10&b=20881234567890123456&c=1e22&d=1.00", ""},
		{"object in object", `{"o":{"z":"1","sign":"x","y":{"b":"2","a":""}},"p":"3"}`, "o=y=b=2&z=1&p=3", ""},
		{"list without an index", `{"l":["b","a",null,"",1]}`, "l=b&a&1", ""},
		{"list of objects", `{"l":[{"z":"1","a":"2"},{"a":"3"}],"m":"4"}`, "l=a=2&z=1&a=3&m=4", ""},
		{"list of lists", `{"l":[["a","b"],["c"]]}`, "l=a&b&c", ""},
		{"empty list", `{"a":"1","l":[],"o":{}}`, "a=1", "a=1&l=&o="},
		{"not empty, but its string is", `{"l":[{"remark":""}],"m":[null],"o":{"a":""}}`, "l=&m=&o=", ""},
		{"Chinese", `{"备注":"\u4e2d\/文"}`, "备注=中/文", ""},
		{"booleans", `{"a":true,"b":false}`, "a=true&b=false", ""},
		{"empty list in a list", `{"l":["x",[],{},"y"]}`, "l=x&y", "l=x&&&y"},
		{"nothing", `{}`, "", ""},
	} {
		if c.keep == "" {
			c.keep = c.skip
		}
		assert.Equal(t, c.skip, New().canonical(parse(t, c.object), tokens), c.name)
		assert.Equal(t, c.keep, (&Provider{KeepEmptyLists: true}).canonical(parse(t, c.object), tokens), c.name)
	}
}

func TestShortestNumbers(t *testing.T) {
	for token, want := range map[string]string{
		"1.00": "1", "1.10": "1.1", "0.01": "0.01", "10000": "10000", "-5": "-5", "0.0": "0", "-0": "-0",
		"9223372036854775807": "9223372036854775807", "20881234567890123456": "2.0881234567890125E+19",
		"1e22": "1.0E+22", "1e2": "100", "1e16": "10000000000000000", "1e17": "1.0E+17",
		"0.0001": "0.0001", "0.00001": "1.0E-5", "1.5e-7": "1.5E-7", "1e999": "1e999",
	} {
		assert.Equal(t, want, shortest(token), token)
	}
}

func TestPageSample(t *testing.T) {
	m := newMerchant(t)
	answer := New().Answer(m.request())
	require.True(t, answer.OK, answer.Seen)
	got, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	page := decode(t, providertest.File(t, "page-answer.json"))
	for name, value := range page {
		switch name {
		case "sign", "ledger_no", "ledger_relation":
			assert.NotEmpty(t, got[name])
		default:
			assert.Equal(t, value, got[name], name)
		}
	}
	assert.Len(t, got, len(page))
	for i, want := range page["ledger_relation"].([]any) {
		item := got["ledger_relation"].([]any)[i].(object)
		for name, value := range want.(object) {
			switch name {
			case "ledger_detail_id":
				assert.NotEmpty(t, item[name])
			case "end_time":
				assert.Equal(t, "2024-03-06 16:28:00", item[name])
			default:
				assert.Equal(t, value, item[name], name)
			}
		}
	}
	assert.Contains(t, answer.Seen, "signature verified with access key 1")
	assert.NotContains(t, answer.Seen, accessKey)
}

func TestAnswersKeepTheDigits(t *testing.T) {
	relation := `[{"receive_no":"R1","amt":"1.00"},{"receive_no":"R2","amt":1.10,"remark":"给<老羊>&"}]`
	for _, c := range []struct {
		options       *Provider
		first, second string
	}{
		{New(), "1.00", "1.10"},
		{&Provider{ShortestNumbers: true}, "1", "1.1"},
	} {
		m := newMerchant(t)
		m.params["ledger_relation"] = decode(t, []byte(`{"l":`+relation+`}`))["l"]
		answer := c.options.Answer(m.request())
		require.True(t, answer.OK, answer.Seen)
		assert.Contains(t, string(answer.Body), `"amt":1.00`)
		assert.Contains(t, string(answer.Body), `"amt":1.10`)
		got := decode(t, answer.Body)
		items := got["ledger_relation"].([]any)
		items[0].(object)["amt"], items[1].(object)["amt"] = c.first, c.second
		assert.Equal(t, md5Hex(text(got)+accessKey), got["sign"])
	}
}

func TestRefusals(t *testing.T) {
	set := func(name string, value any) func(object) { return func(p object) { p[name] = value } }
	receivers := func(list string) func(object) {
		return func(p object) { p["ledger_relation"] = decode(t, []byte(`{"l":`+list+`}`))["l"] }
	}
	for _, c := range []struct {
		name, code  string
		plain, sent func(params object)
	}{
		{"agent missing", "20002", set("agent_no", nil), nil},
		{"merchant empty", "20002", set("merch_no", ""), nil},
		{"order a number", "20002", set("trade_no", json.Number("1")), nil},
		{"application missing", "20002", func(p object) { delete(p, "apply_no") }, nil},
		{"receivers missing", "20002", set("ledger_relation", nil), nil},
		{"receivers empty", "20002", receivers(`[]`), nil},
		{"receivers in a string", "20002", set("ledger_relation", `[{"receive_no":"1","amt":"1"}]`), nil},
		{"receivers an object", "20002", receivers(`{"receive_no":"1","amt":"1"}`), nil},
		{"receiver not an object", "20002", receivers(`["1"]`), nil},
		{"receiver without a number", "20002", receivers(`[{"amt":"1"}]`), nil},
		{"receiver twice", "20002", receivers(`[{"receive_no":"1","amt":"1"},{"receive_no":"1","amt":"2"}]`), nil},
		{"amount missing", "20002", receivers(`[{"receive_no":"1"}]`), nil},
		{"amount 0", "20002", receivers(`[{"receive_no":"1","amt":"0.00"}]`), nil},
		{"amount negative", "20002", receivers(`[{"receive_no":"1","amt":"-1"}]`), nil},
		{"three digits", "20002", receivers(`[{"receive_no":"1","amt":0.001}]`), nil},
		{"remark a number", "20002", receivers(`[{"receive_no":"1","amt":"1","remark":1}]`), nil},
		{"a boolean", "20002", nil, set("flag", true)},
		{"a boolean deep inside", "20002", nil, set("more", []any{object{"a": []any{false}}})},
		{"accessid missing", "20002", set("accessid", nil), nil},
		{"not signed", "20001", nil, set("sign", "")},
		{"signature not hex", "20001", nil, set("sign", strings.Repeat("Z", 32))},
		{"page's own signature", "20001", nil, set("sign", "3DD98E25484BB84E08AF32E57B6D6662F")},
		{"another order", "20001", nil, set("apply_no", "202301040536")},
		{"another amount", "20001", nil, receivers(`[{"receive_no":"833112128140726","amt":"0.10"},{"receive_no":"833212168540726","amt":"0.02"}]`)},
		{"order of receivers", "20001", nil, receivers(`[{"receive_no":"833212168540726","amt":"0.02"},{"receive_no":"833112128140726","amt":"0.01"}]`)},
		{"member added", "20001", nil, set("extra", "1")},
		{"key= before the access key", "20001", nil, func(p object) { p["sign"] = md5Hex(text(p) + "&key=" + accessKey) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMerchant(t)
			if c.plain != nil {
				c.plain(m.params)
			}
			m.sent = c.sent
			answer := New().Answer(m.request())
			got, genuine := m.read(answer.Body)
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, json.Number(c.code), got["return_code"], answer.Seen)
			assert.NotEmpty(t, got["return_msg"])
			assert.True(t, genuine, "errors are signed as well")
			assert.False(t, answer.OK)
			assert.Nil(t, answer.Notification)
		})
	}
	m := newMerchant(t)
	for _, body := range []string{"", "[]", `{"apply_no":"1","apply_no":"2"}`, "{\"a\":\"\xd6\xd0\"}"} {
		got, genuine := m.read(New().Answer(m.raw(body)).Body)
		assert.Equal(t, json.Number("20002"), got["return_code"], body)
		assert.True(t, genuine)
	}
	assert.False(t, (&Provider{AccessID: "other"}).Answer(m.request()).OK)
	assert.True(t, (&Provider{AccessID: "405544499f016a9b3d8f57000f"}).Answer(m.request()).OK)
}

// TestWhatTheRuleCannotTell shows what lists without an index cost: an amount
// moves from one receiver's entry to another's name, and the signature holds.
func TestWhatTheRuleCannotTell(t *testing.T) {
	a := parse(t, `{"l":[{"amt":"1","receive_no":"A"}]}`)
	b := parse(t, `{"l":[{"amt":"1"},{"receive_no":"A"}]}`)
	assert.Equal(t, New().canonical(a, tokens), New().canonical(b, tokens))
}

func TestOtherInterfaces(t *testing.T) {
	m := newMerchant(t)
	m.path = "/api/v1/delay-ledger/query?x=1"
	m.params = decode(t, []byte(`{"accessid":"x","apply_no":"A1","n":1.10,"big":20881234567890123456,"e":1e22,"l":[{"a":"中文"},{"a":""}]}`))
	answer := New().Answer(m.request())
	got, genuine := m.read(answer.Body)
	assert.True(t, genuine)
	assert.True(t, answer.OK)
	assert.NotContains(t, got, "accessid")
	assert.Equal(t, json.Number("1.10"), got["n"])
	assert.Equal(t, json.Number("20881234567890123456"), got["big"])
	assert.Equal(t, json.Number("10000"), got["return_code"])
}

func TestFaults(t *testing.T) {
	for fault, wants := range map[provider.Fault]bool{
		provider.NoFault: true, provider.BadSignature: false, provider.WrongKey: false,
		provider.Tampered: false, provider.Unsigned: false, provider.Mismatch: true,
	} {
		for _, amount := range []string{"1", "0"} { // an answer and a refusal
			m := newMerchant(t)
			m.fault = fault
			m.params["ledger_relation"] = []any{object{"receive_no": "R", "amt": amount}}
			answer := New().Answer(m.request())
			assert.Equal(t, amount == "1", answer.OK)
			got, genuine := m.read(answer.Body)
			assert.Equal(t, wants, genuine, fault)
			assert.Equal(t, fault != provider.Unsigned, got["sign"] != nil, fault)
			assert.Equal(t, fault != provider.Mismatch, got["apply_no"] == "202301040535", fault)
			if !answer.OK {
				continue
			}
			n := answer.Notification
			require.NotNil(t, n)
			event, genuine := m.read(n.Body)
			assert.True(t, genuine, "a fault is one of the answer")
			assert.Equal(t, "202301040535", event["apply_no"])
			assert.True(t, n.Acknowledged(200, nil))
			assert.False(t, n.Acknowledged(500, []byte("success")))
		}
	}
}

func TestWithoutKeys(t *testing.T) {
	r := newMerchant(t).request()
	r.Keys.Secrets = nil
	assert.Equal(t, 500, New().Answer(r).Status)
}
