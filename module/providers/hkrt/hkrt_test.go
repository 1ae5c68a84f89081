package hkrt_test

import (
	"strings"
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

const reference = "hkrt/405544499f016a9b3d8f57000f"

func seal(t *testing.T, s providertest.Scheme, set *keys.Set, request string) (*providertest.Sealed, error) {
	t.Helper()
	return s.Seal(providertest.Request{Body: providertest.Parse(t, request), Keys: set, Now: time.Now()})
}

func signer(t *testing.T, settings ...providertest.Setting) providertest.Signer {
	t.Helper()
	return providertest.Signer{Scheme: providertest.Configure(t, "hkrt", settings...), Algorithm: providertest.MD5, Keys: providertest.Provider(t, reference)}
}

func TestVectors(t *testing.T) {
	vectors := providertest.Vectors(t, "hkrt")
	require.Len(t, vectors, 1)
	v := vectors["hkrt-ledger-request"]
	s := providertest.Configure(t, "hkrt")
	sealed, err := seal(t, s, providertest.Secret(t, v.Secret), providertest.Page(t, "hkrt-request.json"))
	require.NoError(t, err)
	assert.Equal(t, v.Canonical, string(sealed.Canonical))
	assert.Equal(t, v.Signature, providertest.Text(t, providertest.Parse(t, sealed.Body), "sign"))
	assert.Equal(t, strings.Replace(providertest.Page(t, "hkrt-request.json"), "3DD98E25484BB84E08AF32E57B6D6662F", v.Signature, 1), string(sealed.Body),
		"nothing but the signature changes")

	// The sample with what the sidecar adds left out is the same request.
	s = providertest.Configure(t, "hkrt", providertest.Setting{"access_id", "405544499f016a9b3d8f57000f"})
	sealed, err = seal(t, s, providertest.Secret(t, v.Secret), providertest.Sample(t, "hkrt.json"))
	require.NoError(t, err)
	assert.Equal(t, v.Canonical, string(sealed.Canonical))
}

func TestCanonicalString(t *testing.T) {
	for name, c := range map[string]struct{ message, want, keep string }{
		"sorted by name":                           {`{"b":"1","a":"2","B":"3"}`, "B=3&a=2&b=1", ""},
		"sign, null and empty are left out":        {`{"sign":"x","a":null,"b":"","c":"1"}`, "c=1", ""},
		"at every level":                           {`{"o":{"sign":"x","a":null,"b":"","c":"1"}}`, "o=c=1", ""},
		"an object is replaced by its own string":  {`{"o":{"b":"2","a":"1"},"z":"3"}`, "o=a=1&b=2&z=3", ""},
		"a list by its elements, without an index": {`{"l":[{"b":"2","a":"1"},{"a":"3"}],"z":"4"}`, "l=a=1&b=2&a=3&z=4", ""},
		"elements may be scalars":                  {`{"l":["x",1.10,"y"]}`, "l=x&1.10&y", ""},
		"null and empty elements are left out":     {`{"l":["x",null,"","y"]}`, "l=x&y", ""},
		"lists nest":                               {`{"l":[["a","b"],[["c"]]]}`, "l=a&b&c", ""},
		"an empty list is left out or kept":        {`{"l":[],"z":"1"}`, "z=1", "l=&z=1"},
		"an empty object likewise":                 {`{"o":{ },"z":"1"}`, "z=1", "o=&z=1"},
		"as an element too":                        {`{"l":["x",[],"y"]}`, "l=x&y", "l=x&&y"},
		"what is not empty but has an empty string": {`{"l":[{"remark":""}],"o":{"a":null},"z":"1"}`,
			"l=&o=&z=1", ""},
		"numbers are signed as they stand": {`{"a":0.01,"b":1.00,"c":20881234567890123456,"d":1e22,"e":-0}`, "a=0.01&b=1.00&c=20881234567890123456&d=1e22&e=-0", ""},
		"strings are signed decoded":       {`{"a":"\u4e2d\/ <>&"}`, "a=中/ <>&", ""},
		"nothing is trimmed":               {`{"a":" "}`, "a= ", ""},
		"zero is kept":                     {`{"a":0,"b":"0"}`, "a=0&b=0", ""},
		"nothing at all":                   {`{}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.keep == "" {
				c.keep = c.want
			}
			for option, want := range map[string]string{"skip": c.want, "keep": c.keep} {
				s := providertest.Configure(t, "hkrt", providertest.Setting{"empty_list", option})
				for _, kind := range []message.Kind{message.Request, message.Answer, message.Notification} {
					text, err := s.Canonical(providertest.Wire{Kind: kind, Body: providertest.Parse(t, c.message)})
					require.NoError(t, err)
					assert.Equal(t, want, string(text), "%s, %s", option, kind)
				}
			}
		})
	}
}

func TestTheSecretFollowsTheLastCharacter(t *testing.T) {
	sealed, err := seal(t, providertest.Configure(t, "hkrt"), providertest.Secret(t, "secret"), `{"accessid":"1"}`)
	require.NoError(t, err)
	assert.Equal(t, "accessid=1", string(sealed.Canonical), "the canonical string never holds the secret")
	// printf accessid=1secret | md5sum
	assert.Equal(t, "A270BB7051087C7AACC4181243A04132", providertest.Text(t, providertest.Parse(t, sealed.Body), "sign"))
}

func TestABooleanIsRefusedInARequest(t *testing.T) {
	s := providertest.Configure(t, "hkrt")
	for _, request := range []string{
		`{"accessid":"1","a":true}`, `{"accessid":"1","a":false}`, `{"accessid":"1","o":{"a":true}}`, `{"accessid":"1","l":["x",[false]]}`,
	} {
		_, err := seal(t, s, providertest.Merchant(t, reference), request)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
	}
	text, err := s.Canonical(providertest.Wire{Kind: message.Answer, Body: providertest.Parse(t, `{"a":true,"l":[false]}`)})
	require.NoError(t, err)
	assert.Equal(t, "a=true&l=false", string(text), "in an answer they are signed as they stand")
}

func TestNumbersOfAnAnswer(t *testing.T) {
	for token, want := range map[string]string{
		"1.00": "1", "0.10": "0.1", "100.0": "100", "1.50": "1.5", "0.01": "0.01", "-2.50": "-2.5", "0.0": "0", "-0.0": "-0",
		"1": "1", "10000": "10000", "20881234567890123456": "20881234567890123456", "-0": "-0",
		"1e2": "100", "1.5E1": "15", "123456789.10": "123456789.1",
		// PHP's settings decide how it writes these.
		"1e22": "1e22", "1.0e-7": "1.0e-7", "1e400": "1e400", "0.00001": "0.00001",
	} {
		answer := `{"l":[{"amt":` + token + `}],"n":` + token + `}`
		for option, want := range map[string]string{"token": token, "shortest": want} {
			p := signer(t, providertest.Setting{"numbers", option})
			o := providertest.Parse(t, answer)
			assert.Equal(t, "l=amt="+want+"&n="+want, string(p.Canonical(t, providertest.Wire{Kind: message.Answer, Body: o})), option)
			assert.Equal(t, "l=amt="+token+"&n="+token, string(p.Canonical(t, providertest.Wire{Kind: message.Request, Body: o})), "in a request it is the token")
		}
	}
}

func TestAccessID(t *testing.T) {
	set := providertest.Secret(t, "k")
	s := providertest.Configure(t, "hkrt", providertest.Setting{"access_id", "A1"})
	for request, want := range map[string]string{
		`{"x":"1"}`:                  "accessid=A1&x=1",
		`{"accessid":null,"x":"1"}`:  "accessid=A1&x=1",
		`{"accessid":"","x":"1"}`:    "accessid=A1&x=1",
		`{"accessid":"A2","x":"1"}`:  "accessid=A2&x=1",
		`{"accessid":"A2","sign":1}`: "accessid=A2",
	} {
		sealed, err := seal(t, s, set, request)
		require.NoError(t, err)
		assert.Equal(t, want, string(sealed.Canonical), request)
	}
	sealed, err := seal(t, providertest.Configure(t, "hkrt"), set, `{"x":"1"}`)
	require.NoError(t, err)
	assert.Equal(t, "x=1", string(sealed.Canonical), "the member is added only where the option is set")
}

// The elements of a list are signed without an index: what that does not cover
// stands in the documentation, and here.
func TestTwoBodiesWithOneSignature(t *testing.T) {
	p := signer(t)
	a := providertest.Parse(t, `{"l":[{"a":"1","b":"2"}]}`)
	b := providertest.Parse(t, `{"l":[{"a":"1"},{"b":"2"}]}`)
	c := providertest.Parse(t, `{"b":"2","l":[{"a":"1"}]}`)
	text := func(o *body.Object) string {
		return string(p.Canonical(t, providertest.Wire{Kind: message.Answer, Body: o}))
	}
	assert.Equal(t, text(a), text(b))
	assert.NotEqual(t, text(a), text(c))
}

// Joined by "&", the element of a list can read as a member.
func TestAnElementThatReadsAsAMember(t *testing.T) {
	for answer, want := range map[string]scheme.Reason{
		`{"amt":"1","l":["x","amt=9"]}`:     scheme.Ambiguous,
		`{"amt":"1","l":[["x"],"y&amt=9"]}`: scheme.Ambiguous,
		`{"amt":"1","l":["y&amt=9"]}`:       scheme.Ambiguous,
		`{"l":[{"amt":"1"},"amt=9"]}`:       scheme.Ambiguous,
		`{"amt":"1","l":["x","other=9"]}`:   0,
		`{"amt":"1","l":["x","amt"]}`:       0,
		`{"l":["x","amt=9"]}`:               0,
	} {
		p := signer(t)
		_, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, p.JSON(t, message.Answer, answer)), Keys: providertest.Merchant(t, reference)})
		assert.Equal(t, want, scheme.ReasonOf(err), answer)
	}
}

func TestAnAnswerBelongsToItsRequest(t *testing.T) {
	set := providertest.Merchant(t, reference)
	for apply, want := range map[string]scheme.Reason{`"apply_no":"202301040535",`: 0, `"apply_no":"202301040536",`: scheme.Mismatch, "": 0} {
		p := signer(t, providertest.Setting{"access_id", "A1"})
		sealed, err := seal(t, p.Scheme, set, providertest.Sample(t, "hkrt.json"))
		require.NoError(t, err)
		answer := p.JSON(t, message.Answer, `{`+apply+`"return_code":10000}`)
		opened, err := p.Scheme.Open(providertest.Answer{Body: providertest.Parse(t, answer), Keys: set, Sealed: sealed})
		assert.Equal(t, want, scheme.ReasonOf(err), apply)
		if want == 0 {
			assert.Equal(t, "*", opened.Signed)
			assert.Equal(t, answer, string(opened.Body))
		}
	}
}

func TestASecretIsRotated(t *testing.T) {
	p := signer(t)
	p.Keys = providertest.Secret(t, "old")
	answer := providertest.Parse(t, p.JSON(t, message.Answer, `{"apply_no":"1"}`))
	set := providertest.Keys(t, map[keys.Role]string{keys.SharedSecret: "new", keys.VerifySecret: "older\nold\n"})
	opened, err := p.Scheme.Open(providertest.Answer{Body: answer, Keys: set})
	require.NoError(t, err)
	assert.Equal(t, []string{p.Keys.Secret.Fingerprint}, opened.Fingerprints)
	_, err = p.Scheme.Open(providertest.Answer{Body: answer, Keys: providertest.Secret(t, "new")})
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
}

// A string that is built anew at every level would cost the square.
func TestDepthCostsNothing(t *testing.T) {
	s := providertest.Configure(t, "hkrt")
	fastest := func(depth int, open, inner, end string) time.Duration {
		o := providertest.Parse(t, `{"a":`+strings.Repeat(open, depth)+inner+strings.Repeat(end, depth)+"}")
		best := time.Hour
		for range 3 {
			start := time.Now()
			_, err := s.Canonical(providertest.Wire{Kind: message.Answer, Body: o})
			require.NoError(t, err)
			best = min(best, time.Since(start))
		}
		return best
	}
	long := `"` + strings.Repeat("x", 1<<20) + `"`
	many := strings.Repeat(`"x",`, 1<<15) + `"x"`
	const most = body.MaxDepth - 1
	assert.Less(t, fastest(most, `{"a":`, long, "}"), 5*fastest(1, `{"a":`, long, "}")+50*time.Millisecond)
	assert.Less(t, fastest(most, "[", many, "]"), 5*fastest(1, "[", many, "]")+50*time.Millisecond)
}

func TestNotification(t *testing.T) {
	p := signer(t)
	n := p.Scheme
	assert.False(t, n.IsForm())
	assert.Empty(t, n.Describe().Notify.Ack)
	assert.Nil(t, n.Describe().Notify.Time)
	assert.True(t, n.Signs("agent_no"))
	assert.False(t, n.Signs("sign"))
	assert.False(t, n.Signs("ledger.sign"), "a sign is signed at no level")
	opened, err := n.OpenNotification(providertest.Notification{
		Body: providertest.Parse(t, p.JSON(t, message.Notification, `{"agent_no":"FF109108120","l":[{"amt":0.01}]}`)), Keys: providertest.Merchant(t, reference),
	})
	require.NoError(t, err)
	assert.Equal(t, "agent_no=FF109108120&l=amt=0.01", string(opened.Canonical))
}
