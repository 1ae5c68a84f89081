package attack

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// TestTheSamplesAreAccepted shows that the harness can tell yes from no: each
// sample is accepted, and with a signature that is off by one byte it is not.
func TestTheSamplesAreAccepted(t *testing.T) {
	each(t, func(t *testing.T, p party) {
		sealed, err := p.scheme(t).Seal(providertest.Request{Body: parse(t, p.request(t)), Keys: p.held(t, "merchant"), Now: now})
		require.NoError(t, err)
		answer := p.judge(t, p.ofProvider(t), sealed.Body)
		require.False(t, p.rejected(answer), "%v", answer)

		o := parse(t, sealed.Body)
		sig, _ := o.Text("sign")
		last := byte('0')
		if sig[0] == last {
			last = '1'
		}
		answer = p.judge(t, p.ofProvider(t), withSign(t, sealed.Body, string(last)+sig[1:]).Source())
		require.True(t, p.rejected(answer), "%v", answer)
	})
}

// judge returns the provider's answer to a request.
func (p party) judge(t testing.TB, held provider.Keys, request []byte) map[string]any {
	t.Helper()
	answer := p.provider.Answer(provider.Request{
		Path: p.path, ContentType: "application/json", Body: request, Keys: held, Now: now,
	})
	d := json.NewDecoder(bytes.NewReader(answer.Body))
	d.UseNumber()
	var out map[string]any
	require.NoError(t, d.Decode(&out), "%s", answer.Body)
	return out
}

// FuzzSeal seals whatever comes and lets the provider look at it: it may refuse
// it for what it says, and never for its signature.
func FuzzSeal(f *testing.F) {
	schemes := make([]providertest.Scheme, len(parties))
	for i, p := range parties {
		schemes[i] = p.scheme(f)
		f.Add(uint8(i), p.request(f))
	}
	for _, seed := range []string{
		`{"bizData":{"a":" x ","b":"","c":null,"d":1.10,"e":true,"f":"&a=1","G":"\u0000","g":"中😀"}}`,
		`{"bizData":{"orderSubDetails":[{"a":1.10}],"dgtlEnvlp":"x","A":"1","a":"2"}}`,
		`{"amount":1e22,"b":"\/","B":"x","b0":false,"n":{"x":[1, 2]},"sign":"x","signType":"x"}`,
		`{"data":{"a":1.10,"b":"\u4e2d"},"time":1668671935}`, `{"data":"{}","key":"k","time":"1668671935"}`,
		`{"ledger_relation":[{"a":1,"b":[]},{"a":""},[],{},null,"x",[[1]]],"o":{"x":{"y":""}}}`,
		`{"biz_content":{"divide_back_detail":[{"a":"\"\\"}]},"x=y":"1","x":"y=1"}`, `{}`,
	} {
		for i := range parties {
			f.Add(uint8(i), []byte(seed))
		}
	}
	merchants, providers := make(map[string]providertest.Request), make(map[string]provider.Keys)
	for _, p := range parties {
		merchants[p.reference] = providertest.Request{Keys: p.held(f, "merchant"), Now: now}
		providers[p.reference] = p.ofProvider(f)
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		i := int(which) % len(parties)
		p, request := parties[i], merchants[parties[i].reference]
		o, err := body.Parse(text)
		if err != nil {
			return
		}
		kept := bytes.Clone(text)
		request.Body = o
		sealed, err := schemes[i].Seal(request)
		require.Equal(t, kept, text, "sealing changed the client's text")
		if err != nil {
			require.NotZero(t, scheme.ReasonOf(err), "%v", err)
			require.Nil(t, sealed)
			return
		}
		sent, err := body.Parse(sealed.Body)
		require.NoError(t, err, "%s", sealed.Body)
		text2, err := schemes[i].Canonical(providertest.Wire{Kind: message.Request, Body: sent})
		require.NoError(t, err)
		require.Equal(t, string(sealed.Canonical), string(text2), "what is signed is not what is sent")
		answer := p.judge(t, providers[p.reference], sealed.Body)
		require.False(t, p.rejected(answer), "%s\n%s\n%v", p.title(), sealed.Body, answer)
	})
}
