package hbsk_test

import (
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

const reference = "hbsk/d787d45a68b48"

// now is the page's sample time.
var now = time.Unix(1668671935, 0)

func seal(t *testing.T, s providertest.Scheme, set *keys.Set, request string) (*providertest.Sealed, error) {
	t.Helper()
	return s.Seal(providertest.Request{Body: providertest.Parse(t, request), Keys: set, Now: now})
}

func signer(t *testing.T, settings ...providertest.Setting) providertest.Signer {
	t.Helper()
	return providertest.Signer{
		Scheme:    providertest.Configure(t, "hbsk", append(settings, providertest.Setting{"developer_key", "d787d45a68b48"})...),
		Algorithm: providertest.HMACSHA256, Keys: providertest.Provider(t, reference),
	}
}

func TestTheMessageOfARequest(t *testing.T) {
	const data = `{"orders" : ["1"],"amount":1.10,"s":"<&>\/"}`
	const quoted = `"{\"orders\" : [\"1\"],\"amount\":1.10,\"s\":\"<&>\\/\"}"`
	for name, c := range map[string]struct{ request, want string }{
		"an object goes out as a string":         {`{"data":` + data + `}`, "data=" + data + "&key=d787d45a68b48&time=1668671935"},
		"a string is taken as it is":             {`{"data":` + quoted + `}`, "data=" + data + "&key=d787d45a68b48&time=1668671935"},
		"an array likewise":                      {`{"data":[ 1 ]}`, "data=[ 1 ]&key=d787d45a68b48&time=1668671935"},
		"text that is no JSON":                   {`{"data":"x"}`, "data=x&key=d787d45a68b48&time=1668671935"},
		"what the client gave wins":              {`{"data":"x","key":"k","time":"1"}`, "data=x&key=k&time=1"},
		"a number too":                           {`{"data":"x","key":"k","time":1668671936,"sign":"forged"}`, "data=x&key=k&time=1668671936"},
		"null and empty are not given":           {`{"data":"x","key":"","time":null}`, "data=x&key=d787d45a68b48&time=1668671935"},
		"in a request a value may look like two": {`{"data":"x&time=1"}`, "data=x&time=1&key=d787d45a68b48&time=1668671935"},
	} {
		t.Run(name, func(t *testing.T) {
			p := signer(t)
			sealed, err := seal(t, p.Scheme, providertest.Merchant(t, reference), c.request)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(sealed.Canonical))

			o := providertest.Parse(t, sealed.Body)
			assert.Equal(t, c.want, string(p.Canonical(t, providertest.Wire{Kind: message.Request, Body: o})), "what was signed is what was sent")
			assert.Regexp(t, "^[0-9a-f]{64}$", providertest.Text(t, o, "sign"))
			err = p.Algorithm.Verify(p.Keys, sealed.Canonical, providertest.Text(t, o, "sign"))
			assert.NoError(t, err)
		})
	}
}

func TestTimeIsANumberInSeconds(t *testing.T) {
	sealed, err := seal(t, signer(t).Scheme, providertest.Merchant(t, reference), `{"data":{}}`)
	require.NoError(t, err)
	assert.Contains(t, string(sealed.Body), `"time":1668671935`)
}

func TestARequestThatLacksSomething(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for request, want := range map[string]string{
		`{"key":"k"}`:                                  "data",
		`{"key":"k","data":null}`:                      "data",
		`{"key":"k","data":""}`:                        "data",
		`{"key":"k","data":1}`:                         "data",
		`{"key":"k","data":true}`:                      "data",
		`{"data":{}}`:                                  "key",
		`{"key":{},"data":{}}`:                         "key",
		`{"key":"k","data":{},"time":"now"}`:           "time",
		`{"key":"k","data":{},"time":1.5}`:             "time",
		`{"key":"k","data":{},"time":-1}`:              "time",
		`{"key":"k","data":{},"time":[]}`:              "time",
		`{"key":"k","data":"{\"a\":1,\"\\u0061\":2}"}`: "data",
	} {
		_, err := seal(t, providertest.Configure(t, "hbsk"), set, request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		assert.ErrorContains(t, err, want)
	}
}

func TestTheKeyIsNeededWhereItIsSigned(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for _, request := range []string{`{"data":"D","time":7}`, `{"data":"D","time":7,"key":""}`, `{"data":"D","time":7,"key":null}`} {
		_, err := seal(t, providertest.Configure(t, "hbsk"), set, request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		assert.ErrorContains(t, err, "developer_key")
		sealed, err := seal(t, providertest.Configure(t, "hbsk", providertest.Setting{"message", "{data}{time}"}), set, request)
		require.NoError(t, err)
		assert.Equal(t, "D7", string(sealed.Canonical))
	}
}

func TestTemplates(t *testing.T) {
	set := providertest.Secret(t, "s3cret")
	for _, c := range []struct{ digest, message, want, sign string }{
		// The expected signatures are OpenSSL's: printf '%s' "$message" | openssl dgst -sha256 [-hmac s3cret]
		{"hmac-sha256", "data={data}&key={key}&time={time}", "data=D&key=k&time=7", "8fb76984e17ce2f76487fb71c52923b205a5945d8c8d65c39f2d1a415f56434a"},
		{"hmac-sha256", "{key}|{time}|{data}", "k|7|D", "add6e0f9e910e10a52eea4b0d1c6d17a5059980940100518b3790de646d127da"},
		{"sha256", "{data}{time}{secret}", "D7", "3ea1ae23d1bfbfb5c48c39b9e8a8a4a6b28d229d4c611532a2e1ba64d9282f3a"},
		{"sha256", "{data}{secret}{time}", "D{secret}7", "01a70e69df10796aa8c86e365fbc1dd44f5e4a795749459015813a81fc895c63"},
		{"sha256", "k={secret}&{data}", "k={secret}&D", "703774080c1422b61e4c9a49c66095ba1d6ca18c212eb8e0c58422421207b75a"},
		{"hmac-sha256", "{secret}{data}{secret}", "{secret}D", "c2e9ace844f2c61f6e0c350d89a8374396663b4ff548031bb674d47370724483"},
	} {
		s := providertest.Configure(t, "hbsk", providertest.Setting{"digest", c.digest}, providertest.Setting{"message", c.message},
			providertest.Setting{"response_message", "{data}{secret}"})
		sealed, err := seal(t, s, set, `{"data":"D","key":"k","time":7}`)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(sealed.Canonical), "the canonical string never holds the secret")
		assert.Equal(t, c.sign, providertest.Text(t, providertest.Parse(t, sealed.Body), "sign"), c.message)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ digest, message, response, want, option string }{
		{"hmac-sha256", "data={data}&nonce={nonce.x}", "", "is no nonce", "message"},
		{"hmac-sha256", "data={data}&x={time.YYYYMMDD}", "", "is no time", "message"},
		{"hmac-sha256", "data={data}&x={nothing.x}", "", "unknown placeholder {nothing.x}", "message"},
		{"hmac-sha256", "", "data={data}&sign={sign}", "holds the signature itself", "response_message"},
		{"hmac-sha256", "data={data", "", "a { has no }", "message"},
		{"hmac-sha256", "data={data}}", "", "without its {", "message"},
		{"hmac-sha256", "data={{data}}", "", "unknown placeholder", "message"},
		{"hmac-sha256", "key={key}&time={time}", "", "no {data}", "message"},
		{"hmac-sha256", "", "time={time}", "no {data}", "response_message"},
		{"sha256", "", "", "no {secret}", "digest"},
		{"sha256", "data={data}{secret}", "", "no {secret}", "digest"},
		{"sha256", "{secret}{data}", "{data}{secret}", "begins with {secret}", "digest, message"},
		{"sha256", "{data}{secret}", "{secret}&data={data}", "begins with {secret}", "digest, response_message"},
		{"md5", "", "", "one of hmac-sha256, sha256", "digest"},
	} {
		var settings []providertest.Setting
		for name, value := range map[string]string{"digest": c.digest, "message": c.message, "response_message": c.response} {
			if value != "" {
				settings = append(settings, providertest.Setting{name, value})
			}
		}
		_, err := providertest.Try(t, "hbsk", settings...)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, c.option, "whoever set the option learns which one")
	}
}

// A template may name any member of the message; without it nothing leaves.
func TestAMemberThatATemplateNames(t *testing.T) {
	for _, name := range []string{"nonce", "code"} {
		s := providertest.Configure(t, "hbsk", providertest.Setting{"message", "data={data}&x={" + name + "}"})
		_, err := seal(t, s, providertest.Merchant(t, reference), `{"data":"D","key":"k","time":7}`)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
		assert.ErrorContains(t, err, "the member "+name)
		sealed, err := seal(t, s, providertest.Merchant(t, reference), `{"data":"D","key":"k","time":7,"`+name+`":"N"}`)
		require.NoError(t, err)
		assert.Equal(t, "data=D&x=N", string(sealed.Canonical))
	}
}

func TestItWarnsWhileATemplateIsBuiltIn(t *testing.T) {
	message, response := providertest.Setting{"message", "data={data}&key={key}&time={time}"}, providertest.Setting{"response_message", "data={data}&time={time}"}
	for _, settings := range [][]providertest.Setting{nil, {message}, {response}} {
		warnings := providertest.Configure(t, "hbsk", settings...).Describe().Warnings
		require.Len(t, warnings, 1)
		assert.Contains(t, warnings[0].Text, "a guess")
		assert.Contains(t, warnings[0].Text, "message, response_message and digest", "it says what to do")
	}
	assert.Empty(t, providertest.Configure(t, "hbsk", message, response).Describe().Warnings, "written down, it is the operator's decision")
}

func TestTheMessageOfAnAnswer(t *testing.T) {
	all := providertest.Setting{"response_message", "{code}|{text}|{data}|{key}|{time}"}
	for name, c := range map[string]struct {
		settings []providertest.Setting
		answer   string
		want     string
	}{
		"the page's sample":       {nil, providertest.Page(t, "hbsk-response.json"), "data=" + providertest.Text(t, providertest.Parse(t, providertest.Page(t, "hbsk-response.json")), "data") + "&time=1668672190"},
		"no data":                 {nil, `{"code":107010,"time":"7"}`, "data=&time=7"},
		"data null":               {nil, `{"data":null,"time":7}`, "data=&time=7"},
		"all placeholders":        {[]providertest.Setting{all}, `{"code":0,"text":"成功","data":"D","time":7}`, "0|成功|D|d787d45a68b48|7"},
		"text is absent if empty": {[]providertest.Setting{all}, `{"code":0,"data":"D","time":7}`, "0||D|d787d45a68b48|7"},
		"a key of its own":        {[]providertest.Setting{all}, `{"code":0,"data":"D","key":"k","time":7}`, "0||D|k|7"},
	} {
		p := signer(t, c.settings...)
		signed := p.JSON(t, message.Answer, c.answer)
		opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, signed), Keys: providertest.Merchant(t, reference)})
		require.NoError(t, err, name)
		assert.Equal(t, c.want, string(opened.Canonical), name)
		assert.Equal(t, signed, string(opened.Body), name)
		assert.Equal(t, "data", opened.Signed, "%s: code and text are not signed by default", name)
	}
	for answer, want := range map[string]string{
		`{"data":{},"time":7,"sign":"00"}`:     "data",
		`{"data":1,"time":7,"sign":"00"}`:      "data",
		`{"data":"","sign":"00"}`:              "time",
		`{"data":"","time":null,"sign":"00"}`:  "time",
		`{"data":"","time":"now","sign":"00"}`: "time",
		`{"data":"","time":"","sign":"00"}`:    "time",
		`{"data":"","time":{},"sign":"00"}`:    "time",
		`{"data":"","time":7.0,"sign":"00"}`:   "time",
	} {
		_, err := signer(t).Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: providertest.Merchant(t, reference)})
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), answer)
		assert.ErrorContains(t, err, want)
	}
}

func TestTheKeyOfTheRequestServesItsAnswer(t *testing.T) {
	response := providertest.Setting{"response_message", "{data}{key}"}
	p := signer(t, response)
	s := providertest.Configure(t, "hbsk", response) // no developer_key
	sealed, err := seal(t, s, providertest.Merchant(t, reference), `{"data":{},"key":"d787d45a68b48"}`)
	require.NoError(t, err)
	answer := providertest.Parse(t, p.JSON(t, message.Answer, `{"data":"D","time":7}`))
	_, err = s.Open(providertest.Answer{Body: answer, Keys: providertest.Merchant(t, reference), Sealed: sealed})
	require.NoError(t, err)
	_, err = s.Open(providertest.Answer{Body: answer, Keys: providertest.Merchant(t, reference)})
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	assert.ErrorContains(t, err, "developer_key")
}

func TestPlainInPlainOut(t *testing.T) {
	p := signer(t)
	set := providertest.Merchant(t, reference)
	answer := p.JSON(t, message.Answer, `{"code":0,"data": "{\"amount\" : 1.10,\"remark\":null}" ,"time":7}`)
	for request, want := range map[string]string{
		`{"data":{"sequence":"1"}}`:       `"data": {"amount" : 1.10,"remark":null} ,`,
		`{"data":"{\"sequence\":\"1\"}"}`: `"data": "{\"amount\" : 1.10,\"remark\":null}" ,`,
	} {
		sealed, err := seal(t, p.Scheme, set, request)
		require.NoError(t, err)
		opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), want, request)
	}
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	p := signer(t)
	set := providertest.Merchant(t, reference)
	for request, asked := range map[string]bool{
		`{"data":{"sequence":"221103786337"}}`:       true,
		`{"data":"{\"sequence\":\"221103786337\"}"}`: true,
		`{"data":{"sequence":""}}`:                   false,
		`{"data":{}}`:                                false,
		`{"data":"x"}`:                               false,
	} {
		sealed, err := seal(t, p.Scheme, set, request)
		require.NoError(t, err)
		for data, same := range map[string]bool{
			`{\"sequence\":\"221103786337\"}`: true,
			`{\"sequence\":221103786337}`:     true,
			`{\"sequence\":\"221103786338\"}`: false,
			`{\"sequence\":null}`:             true,
			`[]`:                              true,
			``:                                true,
		} {
			answer := p.JSON(t, message.Answer, `{"code":0,"data":"`+data+`","time":7}`)
			_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
			if asked && !same {
				assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(err), "%s to %s", answer, request)
			} else {
				assert.NoError(t, err, "%s to %s", answer, request)
			}
		}
		// Two readers would take two orders out of it.
		answer := p.JSON(t, message.Answer, `{"data":"{\"sequence\":\"221103786337\",\"sequence\":\"2\"}","time":7}`)
		_, err = p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	}
}

func TestAnotherCharsetIsTriedForTheDiagnosis(t *testing.T) {
	upper := func(text []byte) []byte { return []byte(strings.ToUpper(string(text))) }
	p := signer(t)
	sig, err := p.Algorithm.Sign(p.Keys, []byte("DATA=ABC&TIME=7"))
	require.NoError(t, err)
	answer := providertest.Answer{Body: providertest.Parse(t, `{"data":"abc","time":7,"sign":"`+sig+`"}`), Keys: providertest.Merchant(t, reference)}
	_, err = p.Scheme.Open(answer)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	answer.Charset = upper
	_, err = p.Scheme.Open(answer)
	assert.NoError(t, err)
}

func TestNotification(t *testing.T) {
	p := signer(t)
	assert.False(t, p.Scheme.IsForm())
	for member, signed := range map[string]bool{"data": true, "data.sequence": true, "time": true, "code": false, "text": false, "key": false, "sign": false, "database": false} {
		assert.Equal(t, signed, p.Scheme.Signs(member), member)
	}
	n := providertest.Notification{Body: providertest.Parse(t, p.JSON(t, message.Notification, `{"data":"{\"sequence\":\"1\"}","time":1668671935}`)), Keys: providertest.Merchant(t, reference)}
	opened, err := p.Scheme.OpenNotification(n)
	require.NoError(t, err)
	assert.Equal(t, string(n.Body.Source()), string(opened.Body), "it reaches the application unchanged")
	stamp, ok := p.Scheme.Time(opened)
	assert.True(t, ok)
	assert.True(t, now.Equal(stamp))

	unstamped := signer(t, providertest.Setting{"response_message", "data={data}"}).Scheme
	assert.Nil(t, unstamped.Describe().Notify.Time, "a time that is not signed proves nothing")
}
