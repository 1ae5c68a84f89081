package jeepay_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const reference = "jeepay/M1623997351"

var now = time.UnixMilli(1700000000123)

// fixed makes the canonical string of a request predictable.
const fixed = `"reqTime":"1700000000123","version":"1.0"`

func seal(t *testing.T, s providertest.Scheme, set *keys.Set, request string) *providertest.Sealed {
	t.Helper()
	sealed, err := s.Seal(providertest.Request{Body: providertest.Parse(t, request), Keys: set, Now: now})
	require.NoError(t, err)
	return sealed
}

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t, "jeepay")
	require.Len(t, vectors, 6)
	for id, v := range vectors {
		t.Run(id, func(t *testing.T) {
			var label struct{ SignType string }
			require.NoError(t, json.Unmarshal(v.Input, &label))
			s := providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", label.SignType})

			text, err := s.Canonical(providertest.Wire{Kind: message.Request, Body: providertest.Parse(t, v.Input)})
			require.NoError(t, err)
			assert.Equal(t, v.Canonical, string(text))

			// As data of an answer it is signed in the same way.
			var set *keys.Set
			if v.Secret == "" {
				set = providertest.Keys(t, map[keys.Role]string{keys.Verify: v.PublicKey})
			} else {
				set = providertest.Secret(t, v.Secret)
				sealed := seal(t, s, set, string(v.Input))
				assert.Equal(t, v.Canonical, string(sealed.Canonical))
				assert.Equal(t, v.Signature, providertest.Text(t, providertest.Parse(t, sealed.Body), "sign"))
			}
			answer := providertest.WithSign(t, `{"code":0,"msg":"SUCCESS","data":`+string(v.Input)+`}`, v.Signature)
			opened, err := s.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set})
			require.NoError(t, err)
			assert.Equal(t, "data", opened.Signed)
			assert.Equal(t, answer, string(opened.Body))
		})
	}
}

func TestCanonicalString(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"whole pieces are sorted: = comes behind 0":  {`"a":"1","a0":"2"`, "a0=2&a=1&"},
		"names are sorted without regard to case":    {`"b":"1","C":"2","A":"3"`, "A=3&b=1&C=2&"},
		"upper case and lower case names do not mix": {`"ab":"1","aC":"2","AD":"3"`, "ab=1&aC=2&AD=3&"},
		"case of the value decides nothing":          {`"a":"x","A":"y"`, "a=x&A=y&"},
		"null and empty are left out":                {`"a":null,"b":"","c":"1"`, "c=1&"},
		"zero, false and white space are kept":       {`"a":0,"b":false,"c":" ","d":"0"`, "a=0&b=false&c= &d=0&"},
		"nothing is trimmed":                         {`"a":" x "`, "a= x &"},
		"numbers are signed as they stand":           {`"a":1.10,"b":1e22,"c":20881234567890123456,"d":-0`, "a=1.10&b=1e22&c=20881234567890123456&d=-0&"},
		"strings are signed decoded":                 {`"a":"\u4e2d\/\"<>&"`, "a=中/\"<>&&"},
		"a value may hold a member's name":           {`"a":"x&b=2","b":"1"`, "a=x&b=2&b=1&"},
		"a sign of the client is left out":           {`"sign":"x","a":"1"`, "a=1&"},
		"a sign in another case is signed":           {`"Sign":"x"`, "reqTime=1700000000123&Sign=x&signType=MD5&version=1.0&"},
		"an object goes out as its exact text":       {`"a":{"x" : 1.10,"y":"\u4e2d"}`, `a={"x" : 1.10,"y":"\u4e2d"}&`},
		"so does an array, even an empty one":        {`"a":[ ]`, "a=[ ]&"},
		"a nested sign is replaced as any":           {`"sign":{"x":1},"a":"1"`, "a=1&"},
	} {
		t.Run(name, func(t *testing.T) {
			s := providertest.Configure(t, "jeepay")
			sealed := seal(t, s, providertest.Secret(t, "k"), "{"+c.request+","+fixed+"}")
			if !strings.Contains(c.want, "version") {
				c.want += "reqTime=1700000000123&signType=MD5&version=1.0&"
			}
			assert.Equal(t, c.want, string(sealed.Canonical))

			// What was signed is what was sent.
			wire := providertest.Wire{Kind: message.Request, Body: providertest.Parse(t, sealed.Body)}
			text, err := s.Canonical(wire)
			require.NoError(t, err)
			assert.Equal(t, string(sealed.Canonical), string(text))
		})
	}
}

func TestPiecesEqualButForCaseAreRefused(t *testing.T) {
	s := providertest.Configure(t, "jeepay")
	set := providertest.Secret(t, "k")
	_, err := s.Seal(providertest.Request{Body: providertest.Parse(t, `{"a":"x","A":"X"}`), Keys: set, Now: now})
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	_, err = s.Open(providertest.Answer{Body: providertest.Parse(t, `{"code":0,"data":{"a":"x","A":"X"},"sign":"00"}`), Keys: set})
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
}

func TestNestedValuesOfAnAnswerAreSignedCompact(t *testing.T) {
	signer := signer(t, "MD5")
	answer := signer.JSON(t, message.Answer, `{"code":0,"data":{"list":[ {"b" : 1.10, "a":"\u4e2d \/"} ],"n":1}}`)
	opened, err := signer.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference)})
	require.NoError(t, err)
	assert.Equal(t, `list=[{"b":1.10,"a":"\u4e2d \/"}]&n=1&`, string(opened.Canonical))
}

func signer(t *testing.T, signType string) providertest.Signer {
	t.Helper()
	p := providertest.Signer{
		Scheme:    providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", signType}),
		Algorithm: providertest.MD5WithKey,
		Keys:      providertest.Provider(t, reference),
	}
	if signType == "RSA2" {
		p.Algorithm = providertest.RSA
	}
	return p
}

func TestMembersAreAddedWhereTheClientGaveNone(t *testing.T) {
	s := providertest.Configure(t, "jeepay", providertest.Setting{"mch_no", "M1"}, providertest.Setting{"app_id", "A1"})
	set := providertest.Secret(t, "k")

	for name, request := range map[string]string{
		"absent": `{"x":"1"}`,
		"null":   `{"mchNo":null,"appId":null,"version":null,"reqTime":null,"x":"1"}`,
		"empty":  `{"mchNo":"","appId":"","version":"","reqTime":"","x":"1"}`,
	} {
		sealed := seal(t, s, set, request)
		assert.Equal(t, "appId=A1&mchNo=M1&reqTime=1700000000123&signType=MD5&version=1.0&x=1&", string(sealed.Canonical), name)
		o := providertest.Parse(t, sealed.Body)
		assert.Equal(t, "M1", providertest.Text(t, o, "mchNo"), name)
		assert.Equal(t, "1700000000123", providertest.Text(t, o, "reqTime"), name)
	}

	given := `{"mchNo":"M2","appId":"A2","version":"2.0","reqTime":1,"signType":"RSA2","sign":"forged"}`
	sealed := seal(t, s, set, given)
	assert.Equal(t, "appId=A2&mchNo=M2&reqTime=1&signType=MD5&version=2.0&", string(sealed.Canonical), "what the client gave wins, except the signature and its label")
	assert.NotContains(t, string(sealed.Body), "forged")

	plain := seal(t, providertest.Configure(t, "jeepay"), set, `{"x":"1"}`)
	assert.Equal(t, "reqTime=1700000000123&signType=MD5&version=1.0&x=1&", string(plain.Canonical), "a member that the page does not name is never added")
}

func TestSealingTwiceMakesTheSame(t *testing.T) {
	s := providertest.Configure(t, "jeepay")
	request := providertest.Request{Body: providertest.Parse(t, `{}`), Keys: providertest.Secret(t, "k"), Now: now}
	first, err := s.Seal(request)
	require.NoError(t, err)
	second, err := s.Seal(request)
	require.NoError(t, err)
	assert.Equal(t, string(first.Body), string(second.Body))
	assert.True(t, json.Valid(second.Body))
}

func TestUnsignedAnswer(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for answer, legal := range map[string]bool{
		`{"code":9999,"msg":"签名失败"}`:            true,
		`{"code":-1}`:                           true,
		`{"code":11,"sign":null,"data":null}`:   true,
		`{"code":1,"data":null}`:                true,
		`{"code":0,"msg":"SUCCESS"}`:            false,
		`{"code":"0"}`:                          false,
		`{"code":"11"}`:                         false,
		`{"code":0.0}`:                          false,
		`{"code":-0}`:                           false,
		`{"code":1.0}`:                          false,
		`{"code":1e1}`:                          false,
		`{"code":true}`:                         false,
		`{"code":null}`:                         false,
		`{"msg":"x"}`:                           false,
		`{"code":11,"sign":""}`:                 false,
		`{"code":11,"data":{}}`:                 false,
		`{"code":11,"data":""}`:                 false,
		`{"code":11,"data":{"payOrderId":"1"}}`: false,
		`{"code":11,"data":{"payOrderId":"1"},"sign":null}`:  false,
		`{"code":9223372036854775808,"msg":"a long number"}`: true,
	} {
		for _, signType := range []string{"MD5", "RSA2"} {
			s := providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", signType})
			opened, err := s.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set})
			if !legal {
				assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), answer)
				continue
			}
			if assert.NoError(t, err, answer) {
				assert.True(t, opened.Unsigned, answer)
				assert.Equal(t, answer, string(opened.Body))
				assert.Empty(t, opened.Signed)
			}
		}
	}
}

func TestASignatureWithoutDataIsNone(t *testing.T) {
	for _, answer := range []string{
		`{"code":9999,"sign":"00"}`, `{"code":0,"sign":"00","data":null}`, `{"code":0,"sign":"00","data":"{}"}`, `{"code":0,"sign":"00","data":[]}`,
	} {
		_, err := providertest.Configure(t, "jeepay").Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference)})
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), answer)
	}
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for _, member := range []string{"payOrderId", "mchOrderNo", "receiverId"} {
		for name, c := range map[string]struct {
			request, answer string
			want            scheme.Reason
		}{
			"the same":             {`"` + member + `":"800021"`, `"` + member + `":"800021"`, 0},
			"the same as a number": {`"` + member + `":"800021"`, `"` + member + `":800021`, 0},
			"another":              {`"` + member + `":"800021"`, `"` + member + `":"800022"`, scheme.Mismatch},
			"only asked":           {`"` + member + `":"800021"`, `"state":1`, 0},
			"only answered":        {`"x":"1"`, `"` + member + `":"800021"`, 0},
		} {
			signer := signer(t, "MD5")
			sealed := seal(t, signer.Scheme, set, "{"+c.request+"}")
			answer := signer.JSON(t, message.Answer, `{"code":0,"data":{`+c.answer+`}}`)
			_, err := signer.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
			assert.Equal(t, c.want, scheme.ReasonOf(err), "%s: %s", member, name)
		}
	}
}

func TestPlainInPlainOut(t *testing.T) {
	const array = `[{"receiverId" : "800029","divisionProfit":0.0001}]`
	const asString = `"[{\"receiverId\" : \"800029\",\"divisionProfit\":0.0001}]"`
	set := providertest.Merchant(t, reference)
	signer := signer(t, "MD5")
	answer := signer.JSON(t, message.Answer, `{"code":0, "data":{"receivers": `+asString+`,"note":"[1]","state":1}}`)
	for name, c := range map[string]struct{ request, want string }{
		"JSON in, JSON out":     {array, `{"code":0, "data":{"receivers": ` + array + `,"note":"[1]","state":1}`},
		"string in, string out": {asString, `{"code":0, "data":{"receivers": ` + asString + `,"note":"[1]","state":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			sealed := seal(t, signer.Scheme, set, `{"receivers":`+c.request+`}`)
			assert.Contains(t, string(sealed.Body), `"receivers":`+asString, "the provider gets a string either way")
			opened, err := signer.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
			require.NoError(t, err)
			assert.Equal(t, providertest.WithSign(t, c.want+"}", providertest.Text(t, providertest.Parse(t, answer), "sign")), string(opened.Body))
		})
	}
}

func TestNotificationsAreMD5EvenForRSA2(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for _, signType := range []string{"MD5", "RSA2"} {
		s := providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", signType})
		assert.Equal(t, []keys.Role{keys.SharedSecret}, s.Describe().Notification.Roles)
		form := signer(t, "MD5").Form(t, "amount=100&payOrderId=P1&empty=&reqTime=1700000000123")
		opened, err := s.OpenNotification(providertest.Notification{Form: form, Keys: set})
		require.NoError(t, err)
		assert.Equal(t, "amount=100&payOrderId=P1&reqTime=1700000000123&", string(opened.Canonical))
		stamp, ok := s.Time(opened)
		assert.True(t, ok)
		assert.Equal(t, now, stamp)

		rsa := signer(t, "RSA2").Form(t, "amount=100&payOrderId=P1")
		_, err = s.OpenNotification(providertest.Notification{Form: rsa, Keys: set})
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	}
}

func TestNotificationWithoutTime(t *testing.T) {
	p := signer(t, "MD5")
	for _, form := range []string{"a=1", "reqTime=", "reqTime=soon", "reqTime=1700000000123.5"} {
		opened, err := p.Scheme.OpenNotification(providertest.Notification{Form: p.Form(t, form), Keys: providertest.Merchant(t, reference)})
		require.NoError(t, err)
		_, ok := p.Scheme.Time(opened)
		assert.False(t, ok, form)
	}
}

func TestNeeds(t *testing.T) {
	assert.Equal(t, []keys.Role{keys.SharedSecret}, providertest.Configure(t, "jeepay").Needs(nil))
	assert.Equal(t, []keys.Role{keys.Sign, keys.Verify}, providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", "RSA2"}).Needs(nil))
	_, err := providertest.Try(t, "jeepay", providertest.Setting{"sign_type", "SHA1"})
	assert.ErrorContains(t, err, "sign_type")

	for _, signType := range []string{"MD5", "RSA2"} {
		s := providertest.Configure(t, "jeepay", providertest.Setting{"sign_type", signType})
		_, err := s.Seal(providertest.Request{Body: providertest.Parse(t, `{}`), Keys: new(keys.Set), Now: now})
		assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err), "without a key nothing leaves, and nothing panics")
		_, err = s.Open(providertest.Answer{Body: providertest.Parse(t, `{"code":0,"data":{},"sign":"00"}`), Keys: new(keys.Set)})
		assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err))
	}
}
