package hongwen_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const reference = "hongwen/2014072300007148"

// now is the page's sample time, 03:07:50 in China.
var now = time.Date(2014, 7, 23, 19, 7, 50, 0, time.UTC)

var identity = []providertest.Setting{{"mch_no", "2014072300007148"}, {"method", "trade.apply.divide.back"}}

func seal(t *testing.T, s providertest.Scheme, request string) (*providertest.Sealed, error) {
	t.Helper()
	return s.Seal(providertest.Request{Body: providertest.Parse(t, request), Keys: providertest.Merchant(t, reference), Now: now})
}

func signer(t *testing.T, settings ...providertest.Setting) providertest.Signer {
	t.Helper()
	return providertest.Signer{
		Scheme: providertest.Configure(t, "hongwen", append(settings, identity...)...), Algorithm: providertest.RSA, Keys: providertest.Provider(t, reference),
	}
}

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t, "hongwen")
	require.Len(t, vectors, 1)
	v := vectors["hongwen-response-canonical"]
	text := signer(t).Canonical(t, providertest.Wire{Kind: message.Answer, Body: providertest.Parse(t, providertest.Page(t, "hongwen-response.json"))})
	assert.Equal(t, v.Canonical, string(text))
	sum := sha256.Sum256(text)
	assert.Equal(t, v.SHA256, hex.EncodeToString(sum[:]))
}

func TestCanonicalString(t *testing.T) {
	for name, c := range map[string]struct{ message, skip, json string }{
		"sorted by name, the label signed":  {`{"sign_type":"RSA","b":"1","a":"2"}`, "a=2&b=1&sign_type=RSA", ""},
		"sign, null and empty are left out": {`{"sign":"x","a":null,"b":"","c":"1"}`, "c=1", ""},
		"arrays and objects are left out":   {`{"l":[ {"amount":"1"} ],"o":{"a":1},"c":"1"}`, "c=1", `c=1&l=[ {"amount":"1"} ]&o={"a":1}`},
		"empty ones too":                    {`{"l":[],"c":"1"}`, "c=1", `c=1&l=[]`},
		"numbers as they stand":             {`{"a":1.10,"b":20881234567890123456,"c":false}`, "a=1.10&b=20881234567890123456&c=false", ""},
		"nothing is trimmed":                {`{"a":" x "}`, "a= x ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.json == "" {
				c.json = c.skip
			}
			for option, want := range map[string]string{"skip": c.skip, "json": c.json} {
				p := signer(t, providertest.Setting{"arrays", option})
				for _, kind := range []message.Kind{message.Request, message.Answer} {
					assert.Equal(t, want, string(p.Canonical(t, providertest.Wire{Kind: kind, Body: providertest.Parse(t, c.message)})), option)
				}
			}
		})
	}
}

func TestTheDetailIsEncodedTwice(t *testing.T) {
	s := signer(t).Scheme
	sealed, err := seal(t, s, `{"biz_content":{"n" : 1.10,"divide_back_detail":[{"account":"10021011", "amount":"100"}],"s":"<&>\/"}}`)
	require.NoError(t, err)
	content := providertest.Text(t, providertest.Parse(t, sealed.Body), "biz_content")
	assert.Equal(t, `{"n" : 1.10,"divide_back_detail":"[{\"account\":\"10021011\", \"amount\":\"100\"}]","s":"<&>\/"}`, content)
	assert.Equal(t, `[{"account":"10021011", "amount":"100"}]`, providertest.Text(t, providertest.Parse(t, content), "divide_back_detail"))
	assert.Equal(t, "biz_content="+content+"&charset=utf-8&mch_no=2014072300007148&method=trade.apply.divide.back&sign_type=RSA&timestamp=2014-07-24 03:07:50&version=1.0",
		string(sealed.Canonical), "what is signed is the string that is sent")

	// Strings are taken as they are.
	sealed, err = seal(t, s, `{"biz_content":{"divide_back_detail":"[ 1 ]"}}`)
	require.NoError(t, err)
	assert.Equal(t, `{"divide_back_detail":"[ 1 ]"}`, providertest.Text(t, providertest.Parse(t, sealed.Body), "biz_content"))
	sealed, err = seal(t, s, `{"biz_content":"{\"divide_back_detail\": [1.10]}"}`)
	require.NoError(t, err)
	assert.Equal(t, `{"divide_back_detail": [1.10]}`, providertest.Text(t, providertest.Parse(t, sealed.Body), "biz_content"))
}

func TestMembersAreAddedWhereTheClientGaveNone(t *testing.T) {
	const given = `"mch_no":"1","method":"m","charset":"GBK","version":"2","timestamp":"2024-01-01 00:00:00"`
	for request, want := range map[string]string{
		`{"biz_content":"{}"}`: "biz_content={}&charset=utf-8&mch_no=2014072300007148&method=trade.apply.divide.back&sign_type=RSA&timestamp=2014-07-24 03:07:50&version=1.0",
		`{"biz_content":"{}","mch_no":null,"method":"","timestamp":null}`: "biz_content={}&charset=utf-8&mch_no=2014072300007148&method=trade.apply.divide.back&sign_type=RSA&timestamp=2014-07-24 03:07:50&version=1.0",
		`{"biz_content":"{}",` + given + `,"sign_type":"rsa","sign":"x"}`: "biz_content={}&charset=GBK&mch_no=1&method=m&sign_type=RSA&timestamp=2024-01-01 00:00:00&version=2",
	} {
		sealed, err := seal(t, signer(t).Scheme, request)
		require.NoError(t, err)
		assert.Equal(t, want, string(sealed.Canonical), request)
	}
}

func TestARequestThatLacksSomething(t *testing.T) {
	bare := providertest.Configure(t, "hongwen")
	for request, names := range map[string]string{
		`{"mch_no":"1","method":"m"}`:                    "biz_content",
		`{"biz_content":"{}","x":{"a":1}}`:               "the member x",
		`{"mch_no":"1","method":"m","biz_content":null}`: "biz_content",
		`{"mch_no":"1","method":"m","biz_content":""}`:   "biz_content",
		`{"mch_no":"1","method":"m","biz_content":1}`:    "biz_content",
		`{"mch_no":"1","method":"m","biz_content":[]}`:   "biz_content",
		`{"biz_content":"{\"a\":1,\"\\u0061\":2}"}`:      "biz_content",
		`{"biz_content":"{\"o\":[{\"a\":1,\"a\":2}]}"}`:  "biz_content",
	} {
		_, err := seal(t, bare, request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		assert.ErrorContains(t, err, names)
	}
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	p := signer(t)
	for request, asked := range map[string]bool{
		`{"biz_content":{"divide_back_out_trade_no":"123"}}`:       true,
		`{"biz_content":"{\"divide_back_out_trade_no\":\"123\"}"}`: true,
		`{"biz_content":{"x":"123"}}`:                              false,
		`{"biz_content":"no JSON"}`:                                false,
	} {
		sealed, err := seal(t, p.Scheme, request)
		require.NoError(t, err)
		for answer, same := range map[string]bool{
			`{"code":20000,"divide_back_out_trade_no":"123"}`: true,
			`{"code":20000,"divide_back_out_trade_no":123}`:   true,
			`{"code":20000,"divide_back_out_trade_no":"124"}`: false,
			`{"code":20000}`: true,
		} {
			signed := p.JSON(t, message.Answer, answer)
			_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, signed), Keys: providertest.Merchant(t, reference), Sealed: sealed})
			if asked && !same {
				assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(err), "%s to %s", answer, request)
			} else {
				assert.NoError(t, err, "%s to %s", answer, request)
			}
		}
	}
}

func TestPlainInPlainOut(t *testing.T) {
	p := signer(t)
	answer := p.JSON(t, message.Answer, `{"code":20000, "divide_back_detail" : "[ {\"amount\":1.10} ]","divide_back_res_detail":"[1]"}`)
	for request, want := range map[string]string{
		`{"biz_content":{"divide_back_detail":[]}}`:         `"divide_back_detail" : [ {"amount":1.10} ],"divide_back_res_detail":"[1]"`,
		`{"biz_content":{"divide_back_detail":"[]"}}`:       `"divide_back_detail" : "[ {\"amount\":1.10} ]","divide_back_res_detail":"[1]"`,
		`{"biz_content":"{\"divide_back_detail\":\"[]\"}"}`: `"divide_back_detail" : "[ {\"amount\":1.10} ]","divide_back_res_detail":"[1]"`,
	} {
		sealed, err := seal(t, p.Scheme, request)
		require.NoError(t, err)
		opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference), Sealed: sealed})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), want, request)
		assert.Equal(t, "*", opened.Signed)
	}
}

func TestJSONInAStringIsReadStrictly(t *testing.T) {
	p := signer(t)
	sealed, err := seal(t, p.Scheme, `{"biz_content":{"divide_back_detail":[]}}`)
	require.NoError(t, err)
	open := func(detail string) (*providertest.Opened, error) {
		answer := p.JSON(t, message.Answer, `{"code":20000,"divide_back_detail":`+string(body.AppendQuote(nil, detail))+`}`)
		return p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference), Sealed: sealed})
	}
	for _, detail := range []string{`[{"a":1,"a":2}]`, `[{"a":1,"\u0061":2}]`} {
		_, err = open(detail)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), "two readers would read %s in two ways", detail)
	}
	for _, detail := range []string{"", "none", "[1", "12", "true", `"x"`, " "} {
		opened, err := open(detail)
		require.NoError(t, err, detail)
		assert.Equal(t, detail, providertest.Text(t, providertest.Parse(t, opened.Body), "divide_back_detail"), "what is no JSON stays a string")
	}
	opened, err := open(" null")
	require.NoError(t, err)
	assert.Contains(t, string(opened.Body), `"divide_back_detail": null`)
}

func TestNotification(t *testing.T) {
	p := signer(t)
	n := p.Scheme
	assert.True(t, n.IsForm())
	assert.Equal(t, "success", n.Describe().Notify.Ack)
	assert.Equal(t, []keys.Role{keys.Verify}, n.Describe().Notification.Roles)
	assert.True(t, n.Signs("mch_no"))
	assert.True(t, n.Signs("sign_type"))
	assert.False(t, n.Signs("sign"))

	form := p.Form(t, "out_trade_no=1&divide_back_detail=[1]&empty=&sign_type=RSA&timestamp=2014-07-24+03%3A07%3A50")
	opened, err := n.OpenNotification(providertest.Notification{Form: form, Keys: providertest.Merchant(t, reference)})
	require.NoError(t, err)
	assert.Equal(t, "divide_back_detail=[1]&out_trade_no=1&sign_type=RSA&timestamp=2014-07-24 03:07:50", string(opened.Canonical))
	stamp, ok := n.Time(opened)
	assert.True(t, ok)
	assert.True(t, now.Equal(stamp))
	opened, err = n.OpenNotification(providertest.Notification{Form: p.Form(t, "out_trade_no=1"), Keys: providertest.Merchant(t, reference)})
	require.NoError(t, err)
	_, ok = n.Time(opened)
	assert.False(t, ok)
}
