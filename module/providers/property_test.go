package providers_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The values are drawn as texts: what matters is how they are written.
var (
	strs = rapid.SampledFrom([]string{
		`""`, `"a"`, `" x "`, `"中文 😀"`, `"\u4e2d\/\ud83d\ude00"`, `"<>&=\"\\\n"`, `"a&b=1"`, `"{\"a\": 1}"`, `"[1.10]"`, `"20881234567890123456"`, `"\u0000"`,
	})
	nums  = rapid.SampledFrom([]string{"0", "-0", "1.10", "1e22", "20881234567890123456", "-12.50E-3", "1e400"})
	white = rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r\n  "})
	names = rapid.SampledFrom([]string{"a", "A", "b", "amount", "a0", "中", "\U0001f600", "\uffff", "a=b", "a&b", "Zebra", "", "receivers"})
)

func drawScalar(t *rapid.T) string {
	switch rapid.IntRange(0, 5).Draw(t, "scalar") {
	case 0:
		return "null"
	case 1, 2:
		return nums.Draw(t, "number")
	default:
		return strs.Draw(t, "string")
	}
}

func drawValue(t *rapid.T, depth int) string {
	w := white.Draw(t, "white")
	switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
	case kind == 0 && depth > 0:
		return drawObject(t, depth-1, drawValue)
	case kind == 1 && depth > 0:
		var elements []string
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			elements = append(elements, w+drawValue(t, depth-1))
		}
		return "[" + strings.Join(elements, ",") + w + "]"
	default:
		return drawScalar(t)
	}
}

func drawObject(t *rapid.T, depth int, value func(*rapid.T, int) string) string {
	w := white.Draw(t, "white")
	var members []string
	for _, name := range rapid.SliceOfNDistinct(names, 0, 5, rapid.ID).Draw(t, "names") {
		members = append(members, w+string(body.AppendQuote(nil, name))+w+":"+w+value(t, depth))
	}
	return "{" + strings.Join(members, ",") + w + "}"
}

// drawRequest draws a request that the provider's page allows.
func drawRequest(t *rapid.T, p provider) string {
	scalars := func(t *rapid.T, _ int) string { return drawScalar(t) }
	with := func(object, member string) string {
		if strings.TrimSpace(object[1:len(object)-1]) == "" {
			return "{" + member + "}"
		}
		return "{" + member + "," + object[1:]
	}
	switch p.name {
	case "easypay":
		return with(drawObject(t, 2, drawValue), `"bizData":`+with(drawObject(t, 0, scalars), `"orderSubDetails":`+drawValue(t, 2)))
	case "hbsk":
		return with(drawObject(t, 2, drawValue), `"data":`+drawObject(t, 3, drawValue))
	case "hongwen":
		return with(drawObject(t, 2, drawValue), `"biz_content":`+drawObject(t, 3, drawValue))
	default:
		return drawObject(t, 3, drawValue)
	}
}

// What is signed is what is sent, the provider's key says that it is good, and
// what the scheme does not have to change is not changed.
func TestAnyRequest(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		s, set := p.scheme(t), p.merchant(t)
		provider := providertest.Provider(t, p.reference)
		algorithm := p.algorithm
		rapid.Check(t, func(rt *rapid.T) {
			request := drawRequest(rt, p)
			plain, err := body.Parse([]byte(request))
			require.NoError(rt, err, "%s", request)
			sealed, err := s.Seal(providertest.Request{Body: plain, Keys: set, Now: time.Unix(1700000000, 0)})
			if p.name == "jeepay" && scheme.ReasonOf(err) == scheme.Invalid {
				return // two pieces that are equal but for case
			}
			if p.name == "hongwen" && scheme.ReasonOf(err) == scheme.Invalid {
				return // an object beside biz_content, which nothing signs
			}
			require.NoError(rt, err, "%s", request)

			sent, err := body.Parse(sealed.Body)
			require.NoError(rt, err, "%s", sealed.Body)
			text, err := s.Canonical(providertest.Wire{Kind: message.Request, Body: sent})
			require.NoError(rt, err)
			require.Equal(rt, string(sealed.Canonical), string(text))
			m, _ := sent.Get("sign")
			err = algorithm.Verify(provider, text, string(m.Text()))
			require.NoError(rt, err)

			for i, was := range plain.Members() {
				is := sent.Members()[i]
				require.Equal(rt, string(was.Name()), string(is.Name()), "the order stays")
				if was.IsScalar() && !was.IsEmpty() {
					require.Equal(rt, string(was.Raw()), string(is.Raw()))
				}
			}
			require.True(rt, bytes.HasSuffix(sealed.Body, tail(plain)), "what stands behind the last member stays")
		})
	})
}

func tail(o *body.Object) []byte {
	src := o.Source()
	if n := len(o.Members()); n > 0 {
		last := o.Members()[n-1].Raw()
		return src[bytes.LastIndex(src, last)+len(last):]
	}
	return src[bytes.IndexByte(src, '{')+1:]
}

// Whatever comes back, an answer is opened or refused with a reason, and only
// one that the provider has signed is opened.
func TestAnyAnswer(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		s, set := p.scheme(t), p.merchant(t)
		provider := providertest.Provider(t, p.reference)
		sealed := p.seal(t, s)
		rapid.Check(t, func(rt *rapid.T) {
			text := drawRequest(rt, p)
			if p.name == "hbsk" && rapid.Bool().Draw(rt, "string") {
				text = fmt.Sprintf(`{"data":%s,"time":%s}`, strs.Draw(rt, "data"), drawScalar(rt))
			}
			if p.name == "jeepay" && rapid.Bool().Draw(rt, "data") {
				text = `{"code":0,"data":` + text + `}`
			}
			o, err := body.Parse([]byte(text))
			require.NoError(rt, err, "%s", text)

			canonical, canonicalErr := s.Canonical(providertest.Wire{Kind: message.Answer, Body: o})
			sig := rapid.SampledFrom([]string{"", "00", "AAAA", "genuine"}).Draw(rt, "sign")
			if sig == "genuine" && canonicalErr == nil {
				sig = signed(rt, p.algorithm, provider, canonical)
			}
			o, err = body.Parse([]byte(providertest.WithSign(t, string(o.Source()), sig)))
			require.NoError(rt, err)

			opened, err := s.Open(providertest.Answer{Body: o, Keys: set, Sealed: sealed})
			switch {
			case err != nil:
				require.NotZero(rt, scheme.ReasonOf(err), "%v", err)
				require.Nil(rt, opened)
			default:
				require.NoError(rt, canonicalErr)
				require.False(rt, opened.Unsigned)
				require.Equal(rt, string(canonical), string(opened.Canonical))
				require.NoError(rt, body.Valid(opened.Body))
				require.Greater(rt, len(sig), 4)
			}
		})
	})
}

func signed(t *rapid.T, algorithm providertest.Algorithm, set *keys.Set, text []byte) string {
	sig, err := algorithm.Sign(set, text)
	require.NoError(t, err)
	return sig
}
