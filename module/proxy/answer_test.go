package proxy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// tampered returns an answer with one character of one member of bizData changed.
func tampered(t testing.TB, answer []byte, member string) []byte {
	t.Helper()
	o, err := body.Parse(answer)
	require.NoError(t, err)
	part, ok := o.Object("bizData")
	require.True(t, ok)
	m, ok := part.Get(member)
	require.True(t, ok, member)
	text := []rune(string(m.Text()))
	require.NotEmpty(t, text)
	if text[0] == 'x' {
		text[0] = 'y'
	} else {
		text[0] = 'x'
	}
	tree := body.NewTree(o)
	require.NoError(t, tree.SetString(body.Path{"bizData", member}, string(text)))
	return tree.Text()
}

func squeeze(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text)
	_ = w.Close()
	return out.Bytes()
}

// An answer that is not what it should be, in every way that the contract
// names, through a real socket.
func TestBadAnswers(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_response_body 64KiB")
	fault := func(f provider.Fault) func(*testcaddy.Conn) {
		return func(c *testcaddy.Conn) {
			if r := c.Request(); r != nil {
				c.Answer(200, closing, easypayAnswer(d.keys, r, f).Body)
			}
		}
	}
	text := func(status int, header, body string) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(status, header, []byte(body)) })
	}
	changed := func(change func(genuine []byte) []byte) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, genuine []byte) { c.Answer(200, closing, change(genuine)) })
	}
	replaced := func(old, replacement string) func(*testcaddy.Conn) {
		return changed(func(genuine []byte) []byte { return replaceOnce(t, genuine, old, replacement) })
	}
	with := func(w want, code string) want {
		w.upstreamCode = code
		return w
	}
	of := func(w want, contentType string) want {
		w.upstreamContentType = contentType
		return w
	}
	const html = "Content-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
	bare := "Connection: close\r\n"
	redirect := func(status int) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, genuine []byte) {
			c.Answer(status, closing+"Location: http://"+d.Address+"/elsewhere\r\n", genuine)
		})
	}

	cases := map[string]struct {
		handle func(*testcaddy.Conn)
		want   want
	}{
		"HTML with 200":                {text(200, html, "<h1>planted</h1>"), of(unverified("response_invalid", 200), "text/html")},
		"HTML with 502":                {text(502, html, "<h1>planted</h1>"), of(unverified("response_invalid", 502), "text/html")},
		"nothing with 200":             {text(200, closing, ""), unverified("response_invalid", 200)},
		"white space":                  {text(200, closing, " \r\n"), unverified("response_invalid", 200)},
		"a byte order mark alone":      {text(200, closing, "\ufeff"), unverified("response_invalid", 200)},
		"204":                          {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 204 No Content\r\n%s\r\n", bare) }), of(unverified("response_invalid", 204), "")},
		"an array":                     {text(200, closing, `[{"planted":1}]`), unverified("response_invalid", 200)},
		"half a JSON text":             {changed(func(genuine []byte) []byte { return genuine[:len(genuine)/2] }), unverified("response_invalid", 200)},
		"two JSON texts":               {changed(func(genuine []byte) []byte { return append(genuine, genuine...) }), unverified("response_invalid", 200)},
		"two byte order marks":         {changed(func(genuine []byte) []byte { return append([]byte("\ufeff\ufeff"), genuine...) }), unverified("response_invalid", 200)},
		"gzip, not said":               {changed(func([]byte) []byte { return []byte("\x1f\x8b\x08\x00") }), saying(unverified("response_invalid", 200), "compressed with gzip, and no Content-Encoding says so")},
		"UTF-16":                       {changed(utf16LE), unverified("response_invalid", 200)},
		"GBK":                          {replaced("交易成功\",\"orgId", "\xbd\xbb\xd2\xd7\xb3\xc9\xb9\xa6\",\"orgId"), unverified("response_invalid", 200)},
		"a lone surrogate":             {replaced("交易成功\",\"orgId", `\ud800","orgId`), unverified("response_invalid", 200)},
		"101 levels":                   {changed(func(genuine []byte) []byte { return deepened(genuine, 101) }), unverified("response_invalid", 200)},
		"a signed member twice":        {replaced(`"transCount":"2"`, `"transCount":"2","transCount":"2"`), unverified("response_invalid", 200)},
		"in another spelling":          {replaced(`"transCount":"2"`, `"transCount":"2","trans\u0043ount":"9"`), unverified("response_invalid", 200)},
		"bizData twice":                {replaced(`"bizData":{`, `"bizData":{},"bizData":{`), unverified("response_invalid", 200)},
		"sign twice":                   {replaced(`"signType":`, `"sign":"AA==","signType":`), unverified("response_invalid", 200)},
		"a sign that is a number":      {changed(func(g []byte) []byte { return set(t, g, "sign", `1`) }), unverified("response_invalid", 200)},
		"no bizData":                   {text(200, closing, `{"sysRetCode":"000030","sign":"AA=="}`), with(unverified("response_invalid", 200), "000030")},
		"a bizData that is a string":   {text(200, closing, `{"sysRetCode":"000030","sign":"AA==","bizData":"{}"}`), with(unverified("response_invalid", 200), "000030")},
		"a code that is no code":       {text(200, closing, `{"sysRetCode":"planted <b>","sign":"AA=="}`), unverified("response_invalid", 200)},
		"a code that is long":          {text(200, closing, `{"sysRetCode":"`+strings.Repeat("0", 33)+`","sign":"AA=="}`), unverified("response_invalid", 200)},
		"a code that is a number":      {text(200, closing, `{"sysRetCode":30,"sign":"AA=="}`), with(unverified("response_invalid", 200), "30")},
		"a type that is no type":       {text(200, "Content-Type: planted/planted/<b>\r\nConnection: close\r\n", "x"), of(unverified("response_invalid", 200), "")},
		"no type, and not JSON":        {text(200, bare, "x"), of(unverified("response_invalid", 200), "")},
		"a status that means nothing":  {d.answering(func(c *testcaddy.Conn, genuine []byte) { c.Answer(666, closing, genuine) }), unverified("response_invalid", 666)},
		"a value with a signed member": {d.signed(map[string]string{"oriOrgTrace": "ORG0000720220224031331542213", "attach": "x&transAmt=9", "transAmt": "1"}), unverified("response_invalid", 200)},

		"301": {redirect(301), unverified("response_invalid", 301)},
		"302": {redirect(302), unverified("response_invalid", 302)},
		"303": {redirect(303), unverified("response_invalid", 303)},
		"307": {redirect(307), unverified("response_invalid", 307)},
		"308": {redirect(308), unverified("response_invalid", 308)},
		"300": {redirect(300), unverified("response_invalid", 300)},
		"304": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 304 Not Modified\r\n%s\r\n", closing) }), unverified("response_invalid", 304)},
		"101": {d.answering(func(c *testcaddy.Conn, genuine []byte) {
			c.Print("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Type: application/json\r\n\r\n%s", genuine)
		}), unverified("response_invalid", 101)},

		"unsigned":              {fault(provider.Unsigned), unverified("response_unsigned", 200)},
		"unsigned with 500":     {text(500, closing, `{"sysRetCode":"999999","sysRetMsg":"planted"}`), with(unverified("response_unsigned", 500), "999999")},
		"unsigned with 401":     {text(401, closing, `{"sysRetCode":"A0"}`), with(unverified("response_unsigned", 401), "A0")},
		"an empty object":       {text(200, closing, `{}`), unverified("response_unsigned", 200)},
		"a null sign":           {changed(func(g []byte) []byte { return set(t, g, "sign", `null`) }), unverified("response_unsigned", 200)},
		"an empty sign":         {changed(func(g []byte) []byte { return set(t, g, "sign", `""`) }), unverified("response_unsigned", 200)},
		"unsigned HTML as JSON": {text(500, closing, "<h1>planted</h1>"), unverified("response_invalid", 500)},

		"a bad signature":     {fault(provider.BadSignature), unverified("response_signature_invalid", 200)},
		"by another key":      {fault(provider.WrongKey), unverified("response_signature_invalid", 200)},
		"tampered":            {fault(provider.Tampered), unverified("response_signature_invalid", 200)},
		"sign is not Base64":  {changed(func(g []byte) []byte { return set(t, g, "sign", `"planted!"`) }), unverified("response_signature_invalid", 200)},
		"sign is short":       {changed(func(g []byte) []byte { return set(t, g, "sign", `"AAAA"`) }), unverified("response_signature_invalid", 200)},
		"a signed label RSA":  {changed(func(g []byte) []byte { return set(t, g, "signType", `"none"`) }), want{}}, // which algorithm verifies never comes from the message
		"by the merchant":     {d.byMerchant(), unverified("response_signature_invalid", 200)},
		"of another message":  {d.ofAnother(t), unverified("response_signature_invalid", 200)},
		"one member more":     {replaced(`"bizData":{`, `"bizData":{"planted":"1",`), unverified("response_signature_invalid", 200)},
		"one member less":     {replaced(`"transCount":"2",`, ``), unverified("response_signature_invalid", 200)},
		"a member in capital": {replaced(`"transCount":"2"`, `"TransCount":"2"`), unverified("response_signature_invalid", 200)},

		"to another order": {fault(provider.Mismatch), unverified("response_mismatch", 200)},

		"too large":             {text(200, closing, `{"a":"`+strings.Repeat("x", 64<<10)+`"}`), unverified("response_too_large", 200)},
		"too large and chunked": {d.chunks(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`), unverified("response_too_large", 200)},
		"large by announcement": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: 1000000000000\r\n\r\n%s", closing, g)
		}), unverified("response_too_large", 200)},
		"gzip that swells": {d.gzip([]byte(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`)), unverified("response_too_large", 200)},
		"gzip in gzip":     {d.gzip(squeeze(make([]byte, 1<<20))), unverified("response_invalid", 200)},
		"broken gzip":      {d.gzipRaw([]byte("planted, and no gzip")), unverified("response_invalid", 200)},
		"gzip and two bytes": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Answer(200, closing+"Content-Encoding: gzip\r\n", append(squeeze(g), "\r\n"...))
		}), unverified("response_invalid", 200)},
		"gzip and many bytes": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Answer(200, closing+"Content-Encoding: gzip\r\n", append(squeeze(g), "<!-- planted -->"...))
		}), unverified("response_invalid", 200)},
		"gzip of nothing":        {d.gzipRaw(nil), unverified("response_invalid", 200)},
		"gzip with a bad sum":    {d.gzipRaw(badSum([]byte(`{}`))), unverified("response_invalid", 200)},
		"Brotli":                 {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: br\r\n", g) }), unverified("response_invalid", 200)},
		"deflate":                {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: deflate\r\n", g) }), unverified("response_invalid", 200)},
		"an encoding of its own": {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: gzip, gzip\r\n", g) }), unverified("response_invalid", 200)},
	}
	for _, member := range []string{"tradeRetCode", "tradeRetMsg", "oriOrgTrace", "dgtlEnvlp", "transCount", "transAmt", "orderSubDetails"} {
		cases["a byte changed in "+member] = struct {
			handle func(*testcaddy.Conn)
			want   want
		}{changed(func(g []byte) []byte { return tampered(t, g, member) }), unverified("response_signature_invalid", 200)}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d.set(c.handle)
			before := d.Delivered()
			answer := s.post(sample(t))
			assert.Equal(t, before+1, d.Delivered(), "sent once")
			if c.want.code == "" {
				s.ok(t, answer)
				return
			}
			s.problem(t, answer, c.want)
			assert.NotContains(t, string(answer.Body), "planted", "nothing of the answer is shown")
			entry := s.Logs.Audit(t, s.asked)
			assert.InDelta(t, c.want.upstreamStatus, entry.Number("upstream_status"), 0)
			assert.NotEmpty(t, entry.String("canonical_sha256"))
			assert.NotEmpty(t, entry["key_fingerprints"])
			assert.Positive(t, entry.Number("upstream_ms"))
		})
	}
	assert.NotContains(t, s.Logs.Text(), "planted")
	assert.NotContains(t, s.Logs.Text(), "/elsewhere")
}

// signed returns an answer with members of the test's own, signed by the provider.
func (d *double) signed(members map[string]string) func(*testcaddy.Conn) {
	return d.answering(func(c *testcaddy.Conn, _ []byte) {
		// The provider's own code makes no such answer: a request that it
		// refuses is signed with what the test wants in it.
		c.Answer(200, closing, signBizData(d.t, d.keys.Sign, members))
	})
}

// byMerchant signs with the merchant's own key: whoever reads requests has such
// signatures.
func (d *double) byMerchant() func(*testcaddy.Conn) {
	private := merchantKey(d.t)
	return func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			held := d.keys
			held.Sign = private.Signer
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	}
}

// ofAnother takes the signature of the answer before.
func (d *double) ofAnother(t testing.TB) func(*testcaddy.Conn) {
	t.Helper()
	return d.answering(func(c *testcaddy.Conn, genuine []byte) {
		another := signBizData(t, d.keys.Sign, map[string]string{"oriOrgTrace": "ORG0000720220224031331542213", "tradeRetCode": "00"})
		o, err := body.Parse(another)
		require.NoError(t, err)
		sign, _ := o.Get("sign")
		c.Answer(200, closing, set(t, genuine, "sign", string(sign.Raw())))
	})
}

func (d *double) chunks(text string) func(*testcaddy.Conn) {
	return d.answering(func(c *testcaddy.Conn, _ []byte) { writeChunks(c, text) })
}

func writeChunks(c *testcaddy.Conn, text string) {
	c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n", closing)
	for len(text) > 0 {
		n := min(1000, len(text))
		c.Print("%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	c.Print("0\r\n\r\n")
}

func (d *double) gzip(text []byte) func(*testcaddy.Conn) { return d.gzipRaw(squeeze(text)) }

func (d *double) gzipRaw(text []byte) func(*testcaddy.Conn) {
	return d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing+"Content-Encoding: gzip\r\n", text) })
}

func badSum(text []byte) []byte {
	out := squeeze(text)
	out[len(out)-6] ^= 1
	return out
}

func utf16LE(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, r := range string(text) {
		out = append(out, byte(r), byte(r>>8))
	}
	return out
}

// deepened returns an answer with a member of that many levels, the answer counted.
func deepened(answer []byte, levels int) []byte {
	return bytes.Replace(answer, []byte(`{`), []byte(`{"deep":`+strings.Repeat("[", levels-1)+strings.Repeat("]", levels-1)+","), 1)
}

// set gives a member of the answer another value.
func set(t testing.TB, answer []byte, member, raw string) []byte {
	t.Helper()
	o, err := body.Parse(answer)
	require.NoError(t, err)
	tree := body.NewTree(o)
	require.NoError(t, tree.Set(body.Path{member}, []byte(raw)))
	return tree.Text()
}

// What is unusual and still genuine passes, byte for byte.
func TestGoodAnswers(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_response_body 64KiB")
	var genuine []byte // as the provider signed it
	sending := func(send func(c *testcaddy.Conn)) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, text []byte) {
			genuine = text
			send(c)
		})
	}
	for name, c := range map[string]struct {
		status int
		send   func(c *testcaddy.Conn)
	}{
		"500, signed":       {500, func(c *testcaddy.Conn) { c.Answer(500, closing, genuine) }},
		"400, signed":       {400, func(c *testcaddy.Conn) { c.Answer(400, closing, genuine) }},
		"503, signed":       {503, func(c *testcaddy.Conn) { c.Answer(503, closing+"Retry-After: 5\r\n", genuine) }},
		"201, signed":       {201, func(c *testcaddy.Conn) { c.Answer(201, closing, genuine) }},
		"a byte order mark": {200, func(c *testcaddy.Conn) { c.Answer(200, closing, append([]byte("\ufeff"), genuine...)) }},
		"as HTML":           {200, func(c *testcaddy.Conn) { c.Answer(200, "Content-Type: text/html\r\nConnection: close\r\n", genuine) }},
		"without a type":    {200, func(c *testcaddy.Conn) { c.Answer(200, "Connection: close\r\n", genuine) }},
		"said to be GBK": {200, func(c *testcaddy.Conn) {
			c.Answer(200, "Content-Type: text/plain; charset=GBK\r\nConnection: close\r\n", genuine)
		}},
		"without a length": {200, func(c *testcaddy.Conn) { c.Print("HTTP/1.1 200 OK\r\n%s\r\n%s", closing, genuine) }},
		"HTTP/1.0":         {200, func(c *testcaddy.Conn) { c.Print("HTTP/1.0 200 OK\r\n%s\r\n%s", closing, genuine) }},
		"no coding at all": {200, func(c *testcaddy.Conn) { c.Answer(200, closing+"Content-Encoding: UTF-8\r\n", genuine) }},
		"gzip":             {200, func(c *testcaddy.Conn) { c.Answer(200, closing+"Content-Encoding: gzip\r\n", squeeze(genuine)) }},
		"x-gzip":           {200, func(c *testcaddy.Conn) { c.Answer(200, closing+"Content-Encoding: x-gzip\r\n", squeeze(genuine)) }},
		"identity":         {200, func(c *testcaddy.Conn) { c.Answer(200, closing+"Content-Encoding: identity\r\n", genuine) }},
		"chunked":          {200, func(c *testcaddy.Conn) { writeChunks(c, string(genuine)) }},
		"in single bytes": {200, func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n", closing, len(genuine))
			drip(c, genuine)
		}},
		"100 levels": {200, func(c *testcaddy.Conn) { genuine = deepened(genuine, 100); c.Answer(200, closing, genuine) }},
		"white space around": {200, func(c *testcaddy.Conn) {
			genuine = []byte("\r\n " + string(genuine) + "\n\n")
			c.Answer(200, closing, genuine)
		}},
		"100 before": {200, func(c *testcaddy.Conn) { c.Print("HTTP/1.1 100 Continue\r\n\r\n"); c.Answer(200, closing, genuine) }},
		"103 before": {200, func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 103 Early Hints\r\nLink: </planted>; rel=preload\r\nX-Planted: 1\r\n\r\n")
			c.Answer(200, closing, genuine)
		}},
		"102 and 103 before": {200, func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")
			c.Answer(200, closing, genuine)
		}},
		"with trailers": {200, func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\nTrailer: X-Planted\r\n\r\n%x\r\n%s\r\n0\r\nX-Planted: 1\r\nCountersign-Verified: false\r\n\r\n", closing, len(genuine), genuine)
		}},
		"more than announced": {200, func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%splanted", len(genuine), genuine)
		}},
		"with headers": {200, func(c *testcaddy.Conn) {
			c.Answer(200, closing+"Countersign-Verified: planted\r\nCountersign-Signed: planted\r\nCountersign-Outcome: planted\r\nCountersign-X: planted\r\n"+
				"Set-Cookie: planted=1\r\nServer: planted\r\nX-Planted: planted\r\nAccess-Control-Allow-Origin: *\r\nLocation: planted\r\nCache-Control: public\r\n", genuine)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(sending(c.send))
			answer, interim := s.postRaw(sample(t))
			require.Equal(t, c.status, answer.Status, "%s", answer.Body)
			assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
			assert.Equal(t, "bizData", answer.Header.Get("Countersign-Signed"))
			assert.Empty(t, interim, "1xx answers are dropped")
			assert.Equal(t, strconv.Itoa(len(answer.Body)), answer.Header.Get("Content-Length"))
			for name := range answer.Header {
				assert.Contains(t, []string{"Content-Type", "Content-Length", "Countersign-Verified", "Countersign-Signed", "Via", "Date", "Connection"}, name)
			}
			assert.NotContains(t, fmt.Sprint(answer.Header), "planted")
			// All but the encrypted member is as it came.
			var got, sent struct{ BizData map[string]json.RawMessage }
			require.NoError(t, json.Unmarshal(answer.Body, &got))
			require.NoError(t, json.Unmarshal(genuine, &sent))
			want := bytes.Replace(genuine, sent.BizData["orderSubDetails"], got.BizData["orderSubDetails"], 1)
			assert.Equal(t, string(want), string(answer.Body))
			assert.Contains(t, string(got.BizData["orderSubDetails"]), "分账成功")
		})
	}
	assert.NotContains(t, s.Logs.Text(), "planted")
}

// drip writes single bytes.
func drip(c *testcaddy.Conn, text []byte) {
	for i := range text {
		if _, err := c.Write(text[i : i+1]); err != nil {
			return
		}
	}
}
