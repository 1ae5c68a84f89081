package scheme_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The request sent back is no answer, also where the text of answers is put
// together in another way than that of requests.
func TestReflection(t *testing.T) {
	ours := secret("s3cret")
	sealed := request(t, ours)
	back := read(t, message.Answer, string(sealed.Message.Wire))
	for name, covers := range map[string]covers{
		"alike": honest().covers,
		"another canonical string of the same text": func(in *scheme.Incoming) ([]scheme.Signature, error) {
			s := signature(in.Message)
			whole := s.Text.Canonical
			s.Text = scheme.Text{Canonical: whole[:5], With: func(scheme.Secrets) ([]byte, []byte, error) { return whole[:9], whole[9:], nil }}
			return []scheme.Signature{s}, nil
		},
	} {
		g := honest()
		g.covers = covers
		v, err := scheme.Open(g, scheme.Incoming{Message: back, Keys: ours, Now: now, Request: sealed})
		assert.Nil(t, v, name)
		assert.ErrorContains(t, err, "sent back", name)
	}
}

// A plain digest that verifies is no reflection of its own: the secret left out of
// the canonical string makes it no other text.
func TestAnAnswerThatIsNoReflection(t *testing.T) {
	ours := secret("s3cret")
	v, err := scheme.Open(honest(), scheme.Incoming{Message: signed(t, message.Answer, ours, `"order":"1","amount":"5","ok":1`), Keys: ours, Now: now, Request: request(t, ours)})
	require.NoError(t, err)
	assert.Equal(t, "*", v.Part())
}

// The members of a rule for unsigned answers are shared by all goroutines.
func TestTheUnsignedRuleIsNotWritten(t *testing.T) {
	g := honest()
	d := *g.describe()
	signedMembers := make([]body.Path, 1, 4)
	signedMembers[0] = body.Path{"sign"}
	d.Unsigned = &scheme.UnsignedRule{Member: body.Path{"code"}, Token: "0", Signed: signedMembers}
	g.describe = func() *scheme.Description { return &d }
	v, err := scheme.Open(g, scheme.Incoming{Message: read(t, message.Answer, `{"code":1}`), Keys: secret("x"), Now: now})
	require.NoError(t, err)
	assert.True(t, v.IsUnsigned())
	assert.Equal(t, []body.Path{{"sign"}, nil, nil, nil}, signedMembers[:4])
}

// An answer without a signature passes only as the rule says.
func TestTheUnsignedRule(t *testing.T) {
	g := honest()
	d := *g.describe()
	d.Unsigned = &scheme.UnsignedRule{
		Member: body.Path{"code"}, Token: "0", Signed: []body.Path{{"sign"}, {"code"}, {"data"}, {"r", "*_response"}},
		Bears: func(m *message.Message) bool { return m.Header.Get("X-Sign") != "" },
	}
	g.describe = func() *scheme.Description { return &d }
	for text, want := range map[string]scheme.Reason{
		`{"code":1,"msg":"no"}`:              0,
		`{"code":1,"sign":null,"data":null}`: 0,
		`{"code":1,"r":{"other":1}}`:         0,
		`{"code":0,"msg":"yes"}`:             scheme.Unsigned,
		`{"code":1,"data":{}}`:               scheme.Unsigned,
		`{"code":1,"sign":""}`:               scheme.Unsigned,
		`{"code":1,"r":{"pay_response":1}}`:  scheme.Unsigned,
		`{"code":1,"r":{"PAY_RESPONSE":1}}`:  scheme.Unsigned,
		`{"code":1,"Data":{}}`:               scheme.Ambiguous,
		`{"code":1,"Code":0}`:                scheme.Ambiguous,
		`{"code":1,"SIGN":"00"}`:             scheme.Ambiguous,
	} {
		m := read(t, message.Answer, text)
		v, err := scheme.Open(g, scheme.Incoming{Message: m, Keys: secret("x"), Now: now})
		if want != 0 {
			assert.Nil(t, v, text)
			assert.Contains(t, []scheme.Reason{want, scheme.Unsigned}, scheme.ReasonOf(err), text)
			continue
		}
		require.NoError(t, err, text)
		assert.True(t, v.IsUnsigned(), text)
		assert.Empty(t, v.Part())
		m.Header.Set("X-Sign", "00")
		_, err = scheme.Open(g, scheme.Incoming{Message: m, Keys: secret("x"), Now: now})
		require.Error(t, err, "one with a signature elsewhere: "+text)
	}
	_, err := scheme.Open(g, scheme.Incoming{Message: read(t, message.Notification, `{"code":1}`), Keys: secret("x"), Now: now})
	assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), "it is a rule for answers")
}

// Each of many signatures would cost a verification.
func TestManySignatures(t *testing.T) {
	ours := secret("s3cret")
	genuine := signed(t, message.Notification, ours, `"a":1`)
	g := honest()
	for n, want := range map[int]scheme.Reason{16: 0, 17: scheme.BadSignature, 100_000: scheme.BadSignature} {
		g.covers = func(in *scheme.Incoming) ([]scheme.Signature, error) {
			s := signature(in.Message)
			s.Values = append(slices.Repeat([]string{strings.Repeat("00", 32)}, n-1), s.Values...)
			return []scheme.Signature{s}, nil
		}
		_, err := scheme.Open(g, scheme.Incoming{Message: genuine, Keys: ours, Now: now})
		assert.Equal(t, want, scheme.ReasonOf(err), n)
	}
}

// What an error shows of a message is cut and printable.
func TestASerialInAnError(t *testing.T) {
	g := honest()
	g.covers = func(in *scheme.Incoming) ([]scheme.Signature, error) {
		s := signature(in.Message)
		s.Algorithm, s.Key = named("rsa-sha256"), "\x1b[2J\u202e\xff"+strings.Repeat("long", 1000)
		return []scheme.Signature{s}, nil
	}
	_, err := scheme.Open(g, scheme.Incoming{Message: read(t, message.Notification, `{"a":1,"sign":"00"}`), Keys: secret("x"), Now: now})
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 400)
	assert.NotContains(t, err.Error(), "\x1b")
	assert.NotContains(t, err.Error(), "\u202e")
}
