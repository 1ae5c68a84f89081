package attack

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/wire"
)

// FuzzOpen opens whatever comes. What the provider has not signed is never
// opened, and what it has signed is opened without a change to anything but
// what was encrypted or wrapped, or refused for a reason. ENVELOPE and
// CIPHERTEXT in a text stand for the request's envelope and a genuine
// ciphertext.
func FuzzOpen(f *testing.F) {
	type side struct {
		providertest.Scheme
		held       *keys.Set
		sealed     *providertest.Sealed
		substitute *strings.Replacer
	}
	sides := make([]side, len(parties))
	for i, p := range parties {
		s := p.scheme(f)
		held := p.held(f, "merchant")
		sealed, err := s.Seal(providertest.Request{Body: parse(f, p.request(f)), Keys: held, Now: now})
		require.NoError(f, err)
		wrapped := "none"
		if part, ok := parse(f, sealed.Body).Object("bizData"); ok {
			wrapped, _ = part.Text("dgtlEnvlp")
		}
		ciphertext := providertest.Encrypt(f, []byte(strings.Repeat("k", 32)), `[{"a":1}]`)
		sides[i] = side{s, held, sealed, strings.NewReplacer("ENVELOPE", wrapped, "CIPHERTEXT", ciphertext)}
	}
	for i, p := range parties {
		f.Add(uint8(i), []byte(p.answer), true)
		f.Add(uint8(i), []byte(p.answer), false)
		f.Add(uint8(i), p.request(f), true)
		for _, seed := range []string{
			`{}`, `{"code":1}`, `{"code":"11","msg":"x","data":null}`, `{"code":-0}`, `{"code":0.0,"sign":null}`,
			`{"bizData":{"orderSubDetails":"CIPHERTEXT","dgtlEnvlp":"ENVELOPE"},"sign":"AAAA"}`,
			`{"bizData":{"orderSubDetails":"AAAA","dgtlEnvlp":"AAAA"},"sign":"00"}`,
			`{"bizData":{"orderSubDetails":[],"dgtlEnvlp":{}}}`, `{"bizData":{"a":"&b=1","b":2}}`,
			`{"data":"{\"a\":1,\"a\":2}","time":1}`, `{"data":"[1","time":"1"}`, `{"data":{"a":{"b":1}},"sign":"x"}`,
		} {
			f.Add(uint8(i), []byte(seed), true)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte, genuine bool) {
		i := int(which) % len(parties)
		p, s := parties[i], sides[i]
		text = []byte(s.substitute.Replace(string(text)))
		o, err := body.Parse(text)
		if err != nil {
			return
		}
		_ = s.ResultCode(o)
		if genuine {
			sig, err := p.sign(t, p.signs, providertest.Wire{Kind: message.Answer, Body: o})
			if err != nil {
				require.NotZero(t, scheme.ReasonOf(err), "%v", err)
			} else {
				o = withSign(t, text, sig)
			}
		}
		kept := bytes.Clone(o.Source())
		for _, sealed := range []*providertest.Sealed{s.sealed, nil} {
			opened, err := s.Open(providertest.Answer{Body: o, Keys: s.held, Sealed: sealed})
			require.Equal(t, kept, o.Source(), "opening changed the answer")
			if err != nil {
				require.NotZero(t, scheme.ReasonOf(err), "%v", err)
				require.Nil(t, opened)
				continue
			}
			if opened.Unsigned {
				require.Equal(t, "jeepay", p.name)
				require.False(t, o.Has("sign") || o.Has("data"))
				continue
			}
			require.True(t, genuine, "forged: %s", kept)
			require.NotEmpty(t, opened.Signed)
			require.NotEmpty(t, opened.Fingerprints)
			again, err := body.Parse(opened.Body)
			require.NoError(t, err, "%s", opened.Body)
			require.Len(t, again.Members(), len(o.Members()))
			for n, m := range o.Members() {
				got := again.Members()[n]
				require.Equal(t, string(m.Name()), string(got.Name()))
				if m.Kind() == body.Number || m.IsNull() || m.Kind() == body.Array {
					require.Equal(t, string(m.Raw()), string(got.Raw()))
				}
			}
		}
	})
}

// FuzzNotification is FuzzOpen for what a provider sends in.
func FuzzNotification(f *testing.F) {
	for i, p := range parties {
		f.Add(uint8(i), p.notice, true)
		f.Add(uint8(i), p.notice, false)
		for _, seed := range []string{
			`{"bizData":{"a":"1"},"data":{"a":"1"}}`, `{"data":{"orderSubDetails":"AAAA"}}`, "a=1&a=2", "a=%zz", "a=1;b=2", "=1", "sign=1&sign=2", "a&b=&c==",
			"amount%3D1%26x=y&amount=2", "a=%26b%3D1&b=2",
		} {
			f.Add(uint8(i), seed, true)
		}
	}
	schemes := make([]providertest.Scheme, len(parties))
	for i, p := range parties {
		schemes[i] = p.scheme(f)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string, genuine bool) {
		i := int(which) % len(parties)
		p, s := parties[i], schemes[i]
		n := providertest.Notification{Keys: p.held(t, "merchant")}
		var err error
		if s.IsForm() {
			n.Form, err = form(text)
		} else {
			n.Body, err = body.Parse([]byte(text))
		}
		if err != nil {
			return
		}
		if genuine {
			sig, err := p.sign(t, p.notifies, providertest.Wire{Kind: message.Notification, Body: n.Body, Form: n.Form})
			switch {
			case err != nil:
				require.NotZero(t, scheme.ReasonOf(err), "%v", err)
			case s.IsForm():
				n.Form = append(n.Form, providertest.Param{Name: "sign", Value: sig})
			default:
				n.Body = withSign(t, []byte(text), sig)
			}
		}
		opened, err := s.OpenNotification(n)
		if err != nil {
			require.NotZero(t, scheme.ReasonOf(err), "%v", err)
			require.Nil(t, opened)
			return
		}
		require.True(t, genuine, "forged: %s", text)
		require.False(t, opened.Unsigned)
		if s.Describe().Notify.Time != nil {
			s.Time(opened)
		}
		if n.Body != nil {
			require.NoError(t, body.Valid(opened.Body))
		}
	})
}

// form returns the parameters of a form, in their order.
func form(text string) ([]providertest.Param, error) {
	raw, err := wire.ParseForm([]byte(text), wire.Options{})
	if err != nil {
		return nil, err
	}
	o, err := body.Parse(raw)
	if err != nil {
		return nil, err
	}
	var params []providertest.Param
	for _, m := range o.Members() {
		params = append(params, providertest.Param{Name: string(m.Name()), Value: string(m.Text())})
	}
	return params, nil
}
