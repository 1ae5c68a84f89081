package hbsk

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/schemes/internal/schemetest"
	"github.com/countersign/caddy-countersign/module/signature"
)

const reference = "hbsk/d787d45a68b48"

// now is the page's sample time.
var now = time.Unix(1668671935, 0)

func seal(t *testing.T, s scheme.Scheme, set *keys.Set, request string) (*scheme.Sealed, error) {
	t.Helper()
	return s.Seal(scheme.Request{Body: schemetest.Parse(t, request), Keys: set, Now: now})
}

func pen(t *testing.T, settings ...schemetest.Setting) schemetest.Pen {
	t.Helper()
	return schemetest.Pen{
		Scheme:    schemetest.Configure(t, "hbsk", append(settings, schemetest.Setting{"developer_key", "d787d45a68b48"})...),
		Algorithm: signature.LowerHex(signature.HMACSHA256), Keys: schemetest.Provider(t, reference),
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
			p := pen(t)
			sealed, err := seal(t, p.Scheme, schemetest.Merchant(t, reference), c.request)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(sealed.Canonical))

			o := schemetest.Parse(t, sealed.Body)
			assert.Equal(t, c.want, string(p.Canonical(t, scheme.Wire{Kind: scheme.KindRequest, Body: o})), "what was signed is what was sent")
			assert.Regexp(t, "^[0-9a-f]{64}$", schemetest.Text(t, o, "sign"))
			_, err = p.Algorithm.Verify(p.Keys, sealed.Canonical, schemetest.Text(t, o, "sign"))
			assert.NoError(t, err)
		})
	}
}

func TestTimeIsANumberInSeconds(t *testing.T) {
	sealed, err := seal(t, pen(t).Scheme, schemetest.Merchant(t, reference), `{"data":{}}`)
	require.NoError(t, err)
	assert.Contains(t, string(sealed.Body), `"time":1668671935`)
}

func TestARequestThatLacksSomething(t *testing.T) {
	set := schemetest.Merchant(t, reference)
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
		_, err := seal(t, schemetest.Configure(t, "hbsk"), set, request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		assert.ErrorContains(t, err, want)
	}
}

func TestTheKeyIsNeededWhereItIsSigned(t *testing.T) {
	set := schemetest.Merchant(t, reference)
	for _, request := range []string{`{"data":"D","time":7}`, `{"data":"D","time":7,"key":""}`, `{"data":"D","time":7,"key":null}`} {
		_, err := seal(t, schemetest.Configure(t, "hbsk"), set, request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		assert.ErrorContains(t, err, "developer_key")
		sealed, err := seal(t, schemetest.Configure(t, "hbsk", schemetest.Setting{"message", "{data}{time}"}), set, request)
		require.NoError(t, err)
		assert.Equal(t, "D7", string(sealed.Canonical))
	}
}

func TestTemplates(t *testing.T) {
	set := schemetest.Secret(t, "s3cret")
	for _, c := range []struct{ digest, message, want, sign string }{
		// The expected signatures are OpenSSL's: printf '%s' "$message" | openssl dgst -sha256 [-hmac s3cret]
		{"hmac-sha256", "data={data}&key={key}&time={time}", "data=D&key=k&time=7", "8fb76984e17ce2f76487fb71c52923b205a5945d8c8d65c39f2d1a415f56434a"},
		{"hmac-sha256", "{key}|{time}|{data}", "k|7|D", "add6e0f9e910e10a52eea4b0d1c6d17a5059980940100518b3790de646d127da"},
		{"sha256", "{data}{time}{secret}", "D7", "3ea1ae23d1bfbfb5c48c39b9e8a8a4a6b28d229d4c611532a2e1ba64d9282f3a"},
		{"sha256", "{data}{secret}{time}", "D{secret}7", "01a70e69df10796aa8c86e365fbc1dd44f5e4a795749459015813a81fc895c63"},
		{"sha256", "k={secret}&{data}", "k={secret}&D", "703774080c1422b61e4c9a49c66095ba1d6ca18c212eb8e0c58422421207b75a"},
		{"hmac-sha256", "{secret}{data}{secret}", "{secret}D", "c2e9ace844f2c61f6e0c350d89a8374396663b4ff548031bb674d47370724483"},
	} {
		s := schemetest.Configure(t, "hbsk", schemetest.Setting{"digest", c.digest}, schemetest.Setting{"message", c.message},
			schemetest.Setting{"response_message", "{data}{secret}"})
		sealed, err := seal(t, s, set, `{"data":"D","key":"k","time":7}`)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(sealed.Canonical), "the canonical string never holds the secret")
		assert.Equal(t, c.sign, schemetest.Text(t, schemetest.Parse(t, sealed.Body), "sign"), c.message)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ digest, message, response, want string }{
		{"hmac-sha256", "data={data}&nonce={nonce}", "", "unknown placeholder {nonce}"},
		{"hmac-sha256", "data={data}&code={code}", "", "unknown placeholder {code}"},
		{"hmac-sha256", "", "data={data}&sign={sign}", "unknown placeholder {sign}"},
		{"hmac-sha256", "data={data", "", "unknown placeholder"},
		{"hmac-sha256", "data={data}}", "", "without its {"},
		{"hmac-sha256", "data={{data}}", "", "unknown placeholder"},
		{"hmac-sha256", "key={key}&time={time}", "", "no {data}"},
		{"hmac-sha256", "", "time={time}", "no {data}"},
		{"sha256", "", "", "no {secret}"},
		{"sha256", "data={data}{secret}", "", "response_message has no {secret}"},
		{"sha256", "{secret}{data}", "{data}{secret}", "message begins with {secret}"},
		{"sha256", "{data}{secret}", "{secret}&data={data}", "response_message begins with {secret}"},
		{"md5", "", "", "digest"},
	} {
		var settings []schemetest.Setting
		for name, value := range map[string]string{"digest": c.digest, "message": c.message, "response_message": c.response} {
			if value != "" {
				settings = append(settings, schemetest.Setting{name, value})
			}
		}
		_, err := schemetest.Try(t, "hbsk", settings...)
		assert.ErrorContains(t, err, c.want)
	}
}

func TestItWarnsWhileATemplateIsBuiltIn(t *testing.T) {
	message, response := schemetest.Setting{"message", defaultMessage}, schemetest.Setting{"response_message", defaultResponseMessage}
	for _, settings := range [][]schemetest.Setting{nil, {message}, {response}} {
		assert.Len(t, schemetest.Configure(t, "hbsk", settings...).(scheme.Warner).Warnings(), 1)
	}
	s := schemetest.Configure(t, "hbsk", message, response)
	require.NoError(t, s.Validate(), "Caddy validates, and so does the transport")
	assert.Empty(t, s.(scheme.Warner).Warnings(), "written down, it is the operator's decision")
}

func TestTheMessageOfAnAnswer(t *testing.T) {
	all := schemetest.Setting{"response_message", "{code}|{text}|{data}|{key}|{time}"}
	for name, c := range map[string]struct {
		settings []schemetest.Setting
		answer   string
		want     string
	}{
		"the page's sample":       {nil, schemetest.Page(t, "hbsk-response.json"), "data=" + schemetest.Text(t, schemetest.Parse(t, schemetest.Page(t, "hbsk-response.json")), "data") + "&time=1668672190"},
		"no data":                 {nil, `{"code":107010,"time":"7"}`, "data=&time=7"},
		"data null":               {nil, `{"data":null,"time":7}`, "data=&time=7"},
		"all placeholders":        {[]schemetest.Setting{all}, `{"code":0,"text":"成功","data":"D","time":7}`, "0|成功|D|d787d45a68b48|7"},
		"text is absent if empty": {[]schemetest.Setting{all}, `{"code":0,"data":"D","time":7}`, "0||D|d787d45a68b48|7"},
		"a key of its own":        {[]schemetest.Setting{all}, `{"code":0,"data":"D","key":"k","time":7}`, "0||D|k|7"},
	} {
		p := pen(t, c.settings...)
		signed := p.JSON(t, scheme.KindResponse, c.answer)
		opened, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, signed), Keys: schemetest.Merchant(t, reference)})
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
		_, err := pen(t).Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: schemetest.Merchant(t, reference)})
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), answer)
		assert.ErrorContains(t, err, want)
	}
}

func TestTheKeyOfTheRequestServesItsAnswer(t *testing.T) {
	response := schemetest.Setting{"response_message", "{data}{key}"}
	p := pen(t, response)
	s := schemetest.Configure(t, "hbsk", response) // no developer_key
	sealed, err := seal(t, s, schemetest.Merchant(t, reference), `{"data":{},"key":"d787d45a68b48"}`)
	require.NoError(t, err)
	answer := schemetest.Parse(t, p.JSON(t, scheme.KindResponse, `{"data":"D","time":7}`))
	_, err = s.Open(scheme.Answer{Body: answer, Keys: schemetest.Merchant(t, reference), Sealed: sealed})
	require.NoError(t, err)
	_, err = s.Open(scheme.Answer{Body: answer, Keys: schemetest.Merchant(t, reference)})
	assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	assert.ErrorContains(t, err, "developer_key")
}

func TestPlainInPlainOut(t *testing.T) {
	p := pen(t)
	set := schemetest.Merchant(t, reference)
	answer := p.JSON(t, scheme.KindResponse, `{"code":0,"data": "{\"amount\" : 1.10,\"remark\":null}" ,"time":7}`)
	for request, want := range map[string]string{
		`{"data":{"sequence":"1"}}`:       `"data": {"amount" : 1.10,"remark":null} ,`,
		`{"data":"{\"sequence\":\"1\"}"}`: `"data": "{\"amount\" : 1.10,\"remark\":null}" ,`,
	} {
		sealed, err := seal(t, p.Scheme, set, request)
		require.NoError(t, err)
		opened, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: set, Sealed: sealed})
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), want, request)
	}
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	p := pen(t)
	set := schemetest.Merchant(t, reference)
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
			answer := p.JSON(t, scheme.KindResponse, `{"code":0,"data":"`+data+`","time":7}`)
			_, err := p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: set, Sealed: sealed})
			if asked && !same {
				assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(err), "%s to %s", answer, request)
			} else {
				assert.NoError(t, err, "%s to %s", answer, request)
			}
		}
		// Two readers would take two orders out of it.
		answer := p.JSON(t, scheme.KindResponse, `{"data":"{\"sequence\":\"221103786337\",\"sequence\":\"2\"}","time":7}`)
		_, err = p.Scheme.Open(scheme.Answer{Body: schemetest.Parse(t, answer), Keys: set, Sealed: sealed})
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
	}
}

func TestAnotherCharsetIsTriedForTheDiagnosis(t *testing.T) {
	upper := func(text []byte) []byte { return []byte(strings.ToUpper(string(text))) }
	p := pen(t)
	sig, _, err := p.Algorithm.Sign(p.Keys, []byte("DATA=ABC&TIME=7"))
	require.NoError(t, err)
	answer := scheme.Answer{Body: schemetest.Parse(t, `{"data":"abc","time":7,"sign":"`+sig+`"}`), Keys: schemetest.Merchant(t, reference)}
	_, err = p.Scheme.Open(answer)
	assert.Equal(t, scheme.Signature, scheme.ReasonOf(err))
	answer.Charset = upper
	_, err = p.Scheme.Open(answer)
	assert.NoError(t, err)
}

func TestNotification(t *testing.T) {
	p := pen(t)
	rule := p.Scheme.(scheme.Notifier).Notification()
	assert.False(t, rule.Form)
	for member, signed := range map[string]bool{"data": true, "data.sequence": true, "time": true, "code": false, "text": false, "key": false, "sign": false, "database": false} {
		assert.Equal(t, signed, rule.Signed(member), member)
	}
	n := scheme.Notification{Body: schemetest.Parse(t, p.JSON(t, scheme.KindNotification, `{"data":"{\"sequence\":\"1\"}","time":1668671935}`)), Keys: schemetest.Merchant(t, reference)}
	opened, err := p.Scheme.(scheme.Notifier).OpenNotification(n)
	require.NoError(t, err)
	assert.Equal(t, string(n.Body.Source()), string(opened.Body), "it reaches the application unchanged")
	stamp, ok := rule.Time(n)
	assert.True(t, ok)
	assert.True(t, now.Equal(stamp))

	unstamped := pen(t, schemetest.Setting{"response_message", "data={data}"}).Scheme.(scheme.Notifier)
	assert.Nil(t, unstamped.Notification().Time, "a time that is not signed proves nothing")
}
