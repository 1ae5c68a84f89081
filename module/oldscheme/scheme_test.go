package scheme

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/signature"
)

func parse(t *testing.T, text string) *body.Object {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	return o
}

func TestOptions(t *testing.T) {
	var value string
	var list []string
	enum, text, many := Enum("padding", &value, "space", "zero"), Text("mch_no", &value), List("encrypt", &list)

	require.NoError(t, enum.Set([]string{"zero"}))
	assert.Equal(t, "zero", value)
	assert.EqualError(t, enum.Set([]string{"one"}), `padding cannot be "one"; it is one of space, zero`)
	assert.Equal(t, "zero", value, "a value that is refused changes nothing")
	assert.Error(t, enum.Set(nil))
	assert.Error(t, enum.Set([]string{"space", "zero"}))
	assert.Equal(t, []string{"space", "zero"}, enum.Try)

	require.NoError(t, text.Set([]string{"M1"}))
	assert.Equal(t, "M1", value)
	assert.Error(t, text.Set([]string{"a", "b"}))
	assert.EqualError(t, text.Set([]string{""}), "mch_no is empty; give a value, or leave the option out")
	assert.Equal(t, "M1", value)

	given := []string{"a", "b"}
	require.NoError(t, many.Set(given))
	given[0] = "changed"
	assert.Equal(t, []string{"a", "b"}, list)
	assert.Error(t, many.Set(nil))
	assert.True(t, many.Many)
}

func TestOneOf(t *testing.T) {
	value := ""
	require.NoError(t, OneOf("match", &value, "on", "off"))
	assert.Equal(t, "on", value, "the first is the default")
	value = "off"
	require.NoError(t, OneOf("match", &value, "on", "off"))
	assert.Equal(t, "off", value)
	value = "no"
	assert.EqualError(t, OneOf("match", &value, "on", "off"), `match cannot be "no"; it is one of on, off`)
}

func TestUnknownScheme(t *testing.T) {
	_, err := New("nobody")
	assert.ErrorContains(t, err, `unknown scheme "nobody"`)
}

func TestMatching(t *testing.T) {
	for name, c := range map[string]struct {
		request, answer string
		want            Reason
	}{
		"equal":                    {`{"a":"1"}`, `{"a":"1"}`, 0},
		"equal, written otherwise": {`{"a":"\u0031"}`, `{"a":1}`, 0},
		"not equal":                {`{"a":"1"}`, `{"a":"2"}`, Mismatch},
		"another form of a number": {`{"a":1.0}`, `{"a":1}`, Mismatch},
		"the second":               {`{"a":"1","b":"2"}`, `{"a":"1","b":"3"}`, Mismatch},
		"not asked":                {`{}`, `{"a":"1"}`, 0},
		"not answered":             {`{"a":"1"}`, `{"b":"1"}`, 0},
		"null or empty":            {`{"a":"1","b":null}`, `{"a":"","b":"2"}`, 0},
		"nested":                   {`{"a":{"x":1}}`, `{"a":{"x":2}}`, 0},
	} {
		on := Matching{}
		require.NoError(t, on.Validate())
		err := on.Order(parse(t, c.request), "a", "b").Check(parse(t, c.answer))
		assert.Equal(t, c.want, ReasonOf(err), name)
		assert.NoError(t, (&Matching{Match: "off"}).Order(parse(t, c.request), "a", "b").Check(parse(t, c.answer)), name)
	}
	on := Matching{Match: "on"}
	assert.NoError(t, on.Order(nil, "a").Check(parse(t, `{"a":1}`)))
	assert.NoError(t, on.Order(parse(t, `{"a":1}`), "a").Check(nil))
	assert.Error(t, (&Matching{Match: "maybe"}).Validate())
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	err := Failf(Decryption, "opening: %w", cause)
	require.ErrorIs(t, err, cause)
	assert.Equal(t, Decryption, ReasonOf(err))
	assert.Zero(t, ReasonOf(cause))
	assert.Zero(t, ReasonOf(nil))
	failed := SigningFailed(errors.New("vault transit/east is sealed"))
	assert.NotContains(t, failed.Error(), "transit", "which key failed is for the log alone")
	assert.ErrorContains(t, errors.Unwrap(failed), "transit")
	assert.NotContains(t, SignatureInvalid("*").Error(), "*")
	assert.Contains(t, SignatureInvalid("data").Error(), "over data")
}

func TestWrapAndUnwrap(t *testing.T) {
	request := parse(t, `{"o":{"x" : 1.10},"l":[ "\u4e2d" ],"s":"{}","n":1,"z":null}`)
	draft := body.NewDraft(request)
	wrapped := Wrap(draft)
	assert.Equal(t, Wrapped{"o", "l"}, wrapped)
	sent := draft.Apply()
	assert.Equal(t, `{"o":"{\"x\" : 1.10}","l":"[ \"\\u4e2d\" ]","s":"{}","n":1,"z":null}`, string(sent))

	back := parse(t, string(sent))
	opened := &Opened{Body: back.Source()}
	require.NoError(t, wrapped.Unwrap(opened, back))
	assert.Equal(t, string(request.Source()), string(opened.Body), "what was wrapped comes back as it was")

	for answer, want := range map[string]string{
		`{"o":{"x":1},"l":1}`:       `{"o":{"x":1},"l":1}`,
		`{"o":"text","l":"[1"}`:     `{"o":"text","l":"[1"}`,
		`{"o":"\"x\"","l":"12"}`:    `{"o":"\"x\"","l":"12"}`,
		`{"o":"null","l":"\t[] "}`:  "{\"o\":null,\"l\":\t[] }",
		`{"s":"{}"}`:                `{"s":"{}"}`,
		`{"o":"","l":" "}`:          `{"o":"","l":" "}`,
		`{"o":"nothing","l":"{}x"}`: `{"o":"nothing","l":"{}x"}`,
	} {
		o := parse(t, answer)
		opened := &Opened{Body: o.Source()}
		require.NoError(t, wrapped.Unwrap(opened, o))
		assert.Equal(t, want, string(opened.Body))
	}
	o := parse(t, `{"o":"{\"a\":1,\"\\u0061\":2}"}`)
	assert.Equal(t, Invalid, ReasonOf(wrapped.Unwrap(&Opened{Body: o.Source()}, o)))
}

func TestInside(t *testing.T) {
	message := parse(t, `{"o":{"x":1},"s":"{\"x\":2}","l":"[1]","t":"text","n":1,"z":null,"e":"","twice":"{\"x\":1,\"x\":2}"}`)
	for name, want := range map[string]string{"o": `{"x":1}`, "s": `{"x":2}`, "l": "", "t": "", "n": "", "z": "", "e": "", "absent": ""} {
		o, err := Inside(message, name)
		require.NoError(t, err, name)
		if want == "" {
			assert.Nil(t, o, name)
		} else {
			assert.Equal(t, want, string(o.Raw()), name)
		}
	}
	_, err := Inside(message, "twice")
	assert.Equal(t, Invalid, ReasonOf(err))
	_, err = Inside(parse(t, `{"s":"`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`"}`), "s")
	assert.Equal(t, Invalid, ReasonOf(err), "deeper than any reader goes")
}

var algorithm = signature.UpperHex(signature.MD5WithSecret(""))

func secret(t *testing.T, text string) *keys.Set {
	t.Helper()
	set, err := keys.Parse("test", "1", keys.Material{keys.SharedSecret: {Text: []byte(text)}})
	require.NoError(t, err)
	return set
}

func TestSignAndVerify(t *testing.T) {
	request := Request{Body: parse(t, `{"a":1}`), Keys: secret(t, "k")}
	draft := body.NewDraft(request.Body)
	sealed, err := request.Sign(algorithm, Covered{Text: []byte("a=1")}, "sign", draft)
	require.NoError(t, err)

	answer := Answer{Body: parse(t, string(sealed.Body)), Keys: request.Keys}
	sig, err := SignatureOf(answer.Body, "sign")
	require.NoError(t, err)
	covered := Covered{Part: "*", Text: []byte("a=1")}
	opened, err := answer.Verify(algorithm, covered, sig)
	require.NoError(t, err)
	assert.Equal(t, string(sealed.Body), string(opened.Body))
	assert.Equal(t, "a=1", string(opened.Canonical))
	assert.Equal(t, "*", opened.Signed)

	reflected := answer
	reflected.Sealed = sealed
	_, err = reflected.Verify(algorithm, covered, sig)
	assert.Equal(t, Signature, ReasonOf(err), "a request sent back")

	// While the secret is rotated both secrets verify, and the same request was
	// sealed with the other one.
	rotated, err := keys.Parse("test", "2", keys.Material{keys.SharedSecret: {Text: []byte("new")}, keys.VerifySecret: {Text: []byte("k")}})
	require.NoError(t, err)
	later, err := Request{Body: request.Body, Keys: rotated}.Sign(algorithm, Covered{Text: []byte("a=1")}, "sign", body.NewDraft(request.Body))
	require.NoError(t, err)
	_, err = Answer{Body: answer.Body, Keys: rotated, Sealed: later}.Verify(algorithm, covered, sig)
	assert.Equal(t, Signature, ReasonOf(err), "a request of before the rotation sent back")
	rotated, err = keys.Parse("test", "0", keys.Material{keys.SharedSecret: {Text: []byte("k")}, keys.VerifySecret: {Text: []byte("new")}})
	require.NoError(t, err)
	_, err = Answer{Body: parse(t, string(later.Body)), Keys: rotated, Sealed: sealed}.Verify(algorithm, covered, later.Signature)
	assert.Equal(t, Signature, ReasonOf(err), "a request of after the rotation sent back")
	_, err = Answer{Body: answer.Body, Keys: rotated, Sealed: later}.Verify(algorithm, Covered{Part: "*", Text: []byte("a=2")}, sig)
	assert.Error(t, err)
	_, err = Answer{Body: answer.Body, Keys: request.Keys, Sealed: new(Sealed)}.Verify(algorithm, covered, sig)
	assert.Equal(t, Signature, ReasonOf(err), "a scheme that does not tell")

	foreign := later.Canonical // of no room of ours, as another scheme may have it
	later.Forget()
	assert.Nil(t, later.Canonical)
	canonical.Joined([]canonical.Pair{{Name: []byte("x"), Value: []byte("y")}})
	assert.Equal(t, "a=1", string(foreign))

	_, err = answer.Verify(algorithm, Covered{Part: "*", Text: []byte("a=2")}, sig)
	assert.Equal(t, Signature, ReasonOf(err))
	ambiguous := Covered{Text: []byte("a=1"), Ambiguous: canonical.Ambiguous([]canonical.Pair{{Name: []byte("a"), Value: []byte("1&a=2")}})}
	_, err = answer.Verify(algorithm, ambiguous, sig)
	assert.Equal(t, Ambiguous, ReasonOf(err))
	_, err = answer.Verify(algorithm, ambiguous, "00")
	assert.Equal(t, Signature, ReasonOf(err), "what does not verify is not looked at further")

	other := answer
	other.Charset = func(text []byte) []byte { return append([]byte("other "), text...) }
	_, err = other.Verify(algorithm, covered, sig)
	assert.Equal(t, Signature, ReasonOf(err))

	form := Notification{Keys: request.Keys}
	opened, err = form.Verify(algorithm, covered, sig)
	require.NoError(t, err)
	assert.Nil(t, opened.Body)
	form.Keys = new(keys.Set)
	_, err = form.Verify(algorithm, covered, sig)
	assert.Equal(t, NeedsKeys, ReasonOf(err))
	form.Keys.VerifySecrets = request.Keys.VerifySecrets
	_, err = form.Verify(algorithm, covered, sig)
	assert.NoError(t, err, "a secret that is only accepted verifies")
}

func TestSignatureOf(t *testing.T) {
	for text, want := range map[string]Reason{
		`{"sign":"x"}`: 0, `{}`: Unsigned, `{"sign":null}`: Unsigned, `{"sign":""}`: Unsigned, `{"sign":1}`: Invalid, `{"sign":["x"]}`: Invalid, `{"Sign":"x"}`: Unsigned,
	} {
		_, err := SignatureOf(parse(t, text), "sign")
		assert.Equal(t, want, ReasonOf(err), text)
	}
}

func TestForms(t *testing.T) {
	form := []Param{{"b", "2"}, {"a", ""}, {"sign", "x"}, {"c", " "}}
	sig, err := SignatureOfForm(form, "sign")
	require.NoError(t, err)
	assert.Equal(t, "x", sig)
	assert.Equal(t, "b=2&c= ", string(canonical.Joined(FormPairs(form, "sign"))))
	assert.Equal(t, "2", Notification{Form: form}.Param("b"))
	assert.Empty(t, Notification{Form: form}.Param("z"))

	_, err = SignatureOfForm(form[:2], "sign")
	assert.Equal(t, Unsigned, ReasonOf(err))
	_, err = SignatureOfForm([]Param{{"sign", ""}}, "sign")
	assert.Equal(t, Unsigned, ReasonOf(err))
	for _, twice := range []Param{{"b", "2"}, {"b", "3"}, {"sign", "y"}} {
		_, err = SignatureOfForm(append(form, twice), "sign")
		assert.Equal(t, Invalid, ReasonOf(err), twice.Name)
	}
}
