package proxy_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// tampered is an answer with one character of one member of bizData changed.
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
	var e body.Editor
	e.SetString(part, member, string(text))
	return e.Apply(answer)
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
		"UTF-16":                       {changed(utf16LE), unverified("response_invalid", 200)},
		"GBK":                          {replaced("交易成功\",\"orgId", "\xbd\xbb\xd2\xd7\xb3\xc9\xb9\xa6\",\"orgId"), unverified("response_invalid", 200)},
		"a lone surrogate":             {replaced("交易成功\",\"orgId", `\ud800","orgId`), unverified("response_invalid", 200)},
		"101 levels":                   {changed(func(genuine []byte) []byte { return deepened(genuine, 101) }), unverified("response_invalid", 200)},
		"a signed member twice":        {replaced(`"transCount":"2"`, `"transCount":"2","transCount":"2"`), unverified("response_invalid", 200)},
		"in another spelling":          {replaced(`"transCount":"2"`, `"transCount":"2","trans\u0043ount":"9"`), unverified("response_invalid", 200)},
		"bizData twice":                {replaced(`"bizData":{`, `"bizData":{},"bizData":{`), unverified("response_invalid", 200)},
		"sign twice":                   {replaced(`"signType":`, `"sign":"AA==","signType":`), unverified("response_invalid", 200)},
		"a sign that is a number":      {changed(func(g []byte) []byte { return set(t, g, "sign", `1`) }), with(unverified("response_invalid", 200), "000000")},
		"no bizData":                   {text(200, closing, `{"sysRetCode":"000030","sign":"AA=="}`), with(unverified("response_invalid", 200), "000030")},
		"a bizData that is a string":   {text(200, closing, `{"sysRetCode":"000030","sign":"AA==","bizData":"{}"}`), with(unverified("response_invalid", 200), "000030")},
		"a code that is no code":       {text(200, closing, `{"sysRetCode":"planted <b>","sign":"AA=="}`), unverified("response_invalid", 200)},
		"a code that is long":          {text(200, closing, `{"sysRetCode":"`+strings.Repeat("0", 33)+`","sign":"AA=="}`), unverified("response_invalid", 200)},
		"a code that is a number":      {text(200, closing, `{"sysRetCode":30,"sign":"AA=="}`), with(unverified("response_invalid", 200), "30")},
		"a type that is no type":       {text(200, "Content-Type: planted/planted/<b>\r\nConnection: close\r\n", "x"), of(unverified("response_invalid", 200), "")},
		"no type, and not JSON":        {text(200, bare, "x"), of(unverified("response_invalid", 200), "")},
		"a status that means nothing":  {d.answering(func(c *testcaddy.Conn, genuine []byte) { c.Answer(666, closing, genuine) }), with(unverified("response_invalid", 666), "000000")},
		"a value with a signed member": {d.signed(map[string]string{"oriOrgTrace": "ORG0000720220224031331542213", "attach": "x&transAmt=9", "transAmt": "1"}), unverified("response_invalid", 200)},

		"301": {redirect(301), with(unverified("response_invalid", 301), "000000")},
		"302": {redirect(302), with(unverified("response_invalid", 302), "000000")},
		"303": {redirect(303), with(unverified("response_invalid", 303), "000000")},
		"307": {redirect(307), with(unverified("response_invalid", 307), "000000")},
		"308": {redirect(308), with(unverified("response_invalid", 308), "000000")},
		"300": {redirect(300), with(unverified("response_invalid", 300), "000000")},
		"304": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 304 Not Modified\r\n%s\r\n", closing) }), unverified("response_invalid", 304)},
		"101": {d.answering(func(c *testcaddy.Conn, genuine []byte) {
			c.Print("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Type: application/json\r\n\r\n%s", genuine)
		}), unverified("response_invalid", 101)},

		"unsigned":              {fault(provider.Unsigned), with(unverified("response_unsigned", 200), "000000")},
		"unsigned with 500":     {text(500, closing, `{"sysRetCode":"999999","sysRetMsg":"planted"}`), with(unverified("response_unsigned", 500), "999999")},
		"unsigned with 401":     {text(401, closing, `{"sysRetCode":"A0"}`), with(unverified("response_unsigned", 401), "A0")},
		"an empty object":       {text(200, closing, `{}`), unverified("response_unsigned", 200)},
		"a null sign":           {changed(func(g []byte) []byte { return set(t, g, "sign", `null`) }), with(unverified("response_unsigned", 200), "000000")},
		"an empty sign":         {changed(func(g []byte) []byte { return set(t, g, "sign", `""`) }), with(unverified("response_unsigned", 200), "000000")},
		"unsigned HTML as JSON": {text(500, closing, "<h1>planted</h1>"), unverified("response_invalid", 500)},

		"a bad signature":     {fault(provider.BadSignature), with(unverified("response_signature_invalid", 200), "000000")},
		"by another key":      {fault(provider.WrongKey), with(unverified("response_signature_invalid", 200), "000000")},
		"tampered":            {fault(provider.Tampered), with(unverified("response_signature_invalid", 200), "000000")},
		"sign is not Base64":  {changed(func(g []byte) []byte { return set(t, g, "sign", `"planted!"`) }), with(unverified("response_signature_invalid", 200), "000000")},
		"sign is short":       {changed(func(g []byte) []byte { return set(t, g, "sign", `"AAAA"`) }), with(unverified("response_signature_invalid", 200), "000000")},
		"a signed label RSA":  {changed(func(g []byte) []byte { return set(t, g, "signType", `"none"`) }), want{}}, // which algorithm verifies never comes from the message
		"by the merchant":     {d.byMerchant(), with(unverified("response_signature_invalid", 200), "000000")},
		"of another message":  {d.ofAnother(t), with(unverified("response_signature_invalid", 200), "000000")},
		"one member more":     {replaced(`"bizData":{`, `"bizData":{"planted":"1",`), with(unverified("response_signature_invalid", 200), "000000")},
		"one member less":     {replaced(`"transCount":"2",`, ``), with(unverified("response_signature_invalid", 200), "000000")},
		"a member in capital": {replaced(`"transCount":"2"`, `"TransCount":"2"`), with(unverified("response_signature_invalid", 200), "000000")},

		"to another order": {fault(provider.Mismatch), with(unverified("response_mismatch", 200), "000000")},

		"too large":             {text(200, closing, `{"a":"`+strings.Repeat("x", 64<<10)+`"}`), unverified("response_too_large", 200)},
		"too large and chunked": {d.chunks(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`), unverified("response_too_large", 200)},
		"large by announcement": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: 1000000000000\r\n\r\n%s", closing, g)
		}), unverified("response_too_large", 200)},
		"gzip that swells":       {d.gzip([]byte(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`)), unverified("response_too_large", 200)},
		"gzip in gzip":           {d.gzip(squeeze(make([]byte, 1<<20))), unverified("response_invalid", 200)},
		"broken gzip":            {d.gzipRaw([]byte("planted, and no gzip")), unverified("response_invalid", 200)},
		"gzip with a bad sum":    {d.gzipRaw(badSum([]byte(`{}`))), unverified("response_invalid", 200)},
		"Brotli":                 {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: br\r\n", g) }), unverified("response_invalid", 200)},
		"deflate":                {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: deflate\r\n", g) }), unverified("response_invalid", 200)},
		"an encoding of its own": {d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: gzip, gzip\r\n", g) }), unverified("response_invalid", 200)},
	}
	for _, member := range []string{"tradeRetCode", "tradeRetMsg", "oriOrgTrace", "dgtlEnvlp", "transCount", "transAmt", "orderSubDetails"} {
		cases["a byte changed in "+member] = struct {
			handle func(*testcaddy.Conn)
			want   want
		}{changed(func(g []byte) []byte { return tampered(t, g, member) }), with(unverified("response_signature_invalid", 200), "000000")}
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
			assert.NotContains(t, string(answer.Body), "planted", "nothing of the answer is told")
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

// signed is an answer with members of the test's own, signed by the provider.
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

// Where Caddy's transport leaves gzip alone, the sidecar undoes it, within the
// same limit.
func TestGzipThatWasNotAskedFor(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_response_body 64KiB\nhttp {\ncompression off\n}")
	chunkedGzip := func(text []byte) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", closing, len(text), text)
		})
	}
	d.set(d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: gzip\r\n", squeeze(g)) }))
	s.ok(t, s.post(sample(t)))
	assert.Empty(t, d.Last(t).Header.Get("Accept-Encoding"))

	random := make([]byte, 48<<10) // Base64 makes 64 KiB of it
	_, _ = rand.Read(random)
	for size, w := range map[int]want{48<<10 - 12: unverified("response_unsigned", 200), 48 << 10: unverified("response_too_large", 200)} {
		d.set(chunkedGzip(squeeze([]byte(`{"a":"` + bare64(random[:size]) + `"}`))))
		s.problem(t, s.post(sample(t)), w)
	}
	d.set(d.gzip([]byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)))
	s.problem(t, s.post(sample(t)), unverified("response_too_large", 200))
	d.set(d.gzipRaw([]byte("no gzip")))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(badSum([]byte("{}"))))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(nil))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(squeeze([]byte("{}"))[:15]))
	s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
	d.set(chunkedGzip(bytes.Repeat(squeeze(nil), 5000))) // a hundred thousand bytes that are nothing
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
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

// deepened is an answer with a member of that many levels, the answer counted.
func deepened(answer []byte, levels int) []byte {
	return bytes.Replace(answer, []byte(`{`), []byte(`{"deep":`+strings.Repeat("[", levels-1)+strings.Repeat("]", levels-1)+","), 1)
}

// set gives a member of the answer another value.
func set(t testing.TB, answer []byte, member, raw string) []byte {
	t.Helper()
	o, err := body.Parse(answer)
	require.NoError(t, err)
	var e body.Editor
	e.Set(o, member, []byte(raw))
	return e.Apply(answer)
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

// An answer that breaks off leaves the outcome unknown.
func TestBrokenAnswers(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "timeout 700ms")
	for name, c := range map[string]struct {
		handle func(*testcaddy.Conn)
		want   want
	}{
		"closed before it read":         {func(*testcaddy.Conn) {}, unknown("upstream_failed", 502)},
		"reset before it read":          {func(c *testcaddy.Conn) { c.Reset() }, want{}},
		"closed after it read":          {d.answering(func(*testcaddy.Conn, []byte) {}), unknown("upstream_failed", 502)},
		"reset after it read":           {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Reset() }), unknown("upstream_failed", 502)},
		"closed within the status line": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 20") }), unknown("upstream_failed", 502)},
		"closed within the header":      {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\nContent-Ty") }), unknown("upstream_failed", 502)},
		"closed within the body":        {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g) }), unknown("upstream_failed", 502)},
		"reset within the body":         {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g); time.Sleep(20 * time.Millisecond); c.Reset() }), unknown("upstream_failed", 502)},
		"a byte short": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", closing, len(g)+1, g)
		}), unknown("upstream_failed", 502)},
		"chunks without an end": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", closing, len(g), g)
		}), unknown("upstream_failed", 502)},
		"broken chunks": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\nplanted\r\n%s\r\n", closing, g)
		}), unknown("upstream_failed", 502)},
		"gzip that breaks off": {d.answering(func(c *testcaddy.Conn, g []byte) {
			z := squeeze(g)
			c.Answer(200, closing+"Content-Encoding: gzip\r\n", z[:len(z)-20])
		}), unknown("upstream_failed", 502)},
		"not HTTP":              {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("planted: this is no HTTP\r\n\r\n") }), unknown("upstream_failed", 502)},
		"a header that is none": {d.answering(func(c *testcaddy.Conn, g []byte) { c.Print("HTTP/1.1 200 OK\r\nplanted without a colon\r\n\r\n%s", g) }), unknown("upstream_failed", 502)},
		"two lengths": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s", len(g), g)
		}), unknown("upstream_failed", 502)},
		"silent before it read":    {func(c *testcaddy.Conn) { time.Sleep(time.Second) }, unknown("upstream_timeout", 504)},
		"silent after it read":     {d.answering(func(*testcaddy.Conn, []byte) { time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent within the header": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\n"); time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent within the body":   {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g); time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent but for 1xx": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			forAWhile(func() bool { _, err := c.Write([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); return err == nil })
		}), unknown("upstream_timeout", 504)},
		"a byte now and then": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			forAWhile(func() bool { _, err := c.Write([]byte(" ")); return err == nil })
		}), unknown("upstream_timeout", 504)},
		"101 and then silence": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			time.Sleep(time.Second)
		}), want{code: "response_invalid", status: 502, outcome: "unverified", upstreamStatus: 101}},
		"too large and then silence": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
			time.Sleep(time.Second)
		}), want{code: "response_too_large", status: 502, outcome: "unverified", upstreamStatus: 200}},
		"an answer before the request": {func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			time.Sleep(50 * time.Millisecond)
		}, want{}},
		"an HTTP/2 preface in the place": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }), unknown("upstream_failed", 502)},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(c.handle)
			before := d.Delivered()
			start := time.Now()
			answer := s.post(sample(t))
			assert.Less(t, time.Since(start), 10*time.Second)
			assert.LessOrEqual(t, d.Delivered(), before+1, "sent once at most")
			if c.want.code == "" { // where the bytes cross on the way there is no one answer
				p := answer.JSON(t)
				assert.Contains(t, []any{"unknown", "unverified", "not_sent"}, p["outcome"])
				if p["outcome"] == "not_sent" {
					assert.Equal(t, before, d.Delivered())
				}
				s.Logs.Audit(t, s.asked)
				s.Logs.Access(t, s.asked)
				return
			}
			s.problem(t, answer, c.want)
			assert.NotContains(t, string(answer.Body), "planted")
		})
	}
	assert.NotContains(t, s.Logs.Text(), "planted")
}

// A header that does not end is cut off long before memory is.
func TestHeaderWithoutAnEnd(t *testing.T) {
	d := newDouble(t)
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\nX: %s", strings.Repeat("x", 11<<20)) }))
	s := startSidecar(t, d.Address, "")
	s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
}

func truncate(c *testcaddy.Conn, genuine []byte) {
	c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", closing, len(genuine), genuine[:len(genuine)/2])
}

// forAWhile calls step each 20 ms for a second, or until it returns false.
func forAWhile(step func() bool) {
	for range 50 {
		if !step() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unsigned_responses pass lets through what has no signature, marked as such,
// and nothing else.
func TestUnsignedResponsesPass(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "unsigned_responses pass")
	answerWith := func(f provider.Fault, status int) {
		d.set(func(c *testcaddy.Conn) {
			if r := c.Request(); r != nil {
				c.Answer(status, closing, easypayAnswer(d.keys, r, f).Body)
			}
		})
	}
	for _, status := range []int{200, 500} {
		answerWith(provider.Unsigned, status)
		answer := s.post(sample(t))
		require.Equal(t, status, answer.Status)
		assert.Equal(t, "false", answer.Header.Get("Countersign-Verified"))
		assert.Empty(t, answer.Header.Values("Countersign-Signed"))
		var got struct{ BizData struct{ OrderSubDetails any } }
		require.NoError(t, json.Unmarshal(answer.Body, &got))
		assert.IsType(t, "", got.BizData.OrderSubDetails, "nothing in it is decrypted")
		entry := s.Logs.Audit(t, s.asked)
		assert.Equal(t, "ok", entry.String("outcome"))
		assert.Equal(t, "unsigned", entry.String("verdict"))
	}
	answerWith(provider.NoFault, 200)
	s.ok(t, s.post(sample(t)))
	for fault, code := range map[provider.Fault]string{
		provider.BadSignature: "response_signature_invalid", provider.Tampered: "response_signature_invalid", provider.Mismatch: "response_mismatch",
	} {
		answerWith(fault, 200)
		w := unverified(code, 200)
		w.upstreamCode = "000000"
		s.problem(t, s.post(sample(t)), w)
	}
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, []byte("<html>")) }))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
}

// What the application gets back is in plain; what the provider got was not.
func TestThereAndBack(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	answer := s.post(sample(t))
	s.ok(t, answer)

	got := d.Last(t)
	assert.NotContains(t, string(got.Body), "831135358120002", "a receiver in plain")
	assert.NotContains(t, string(got.Body), "北京烤鸭")
	var sent struct {
		Sign, SignType string
		BizData        struct{ DgtlEnvlp, OrderSubDetails, OriOrgTrace, TransCount, TransAmt string }
	}
	require.NoError(t, json.Unmarshal(got.Body, &sent))
	assert.Equal(t, "SHA256withRSA", sent.SignType)
	assert.NotEmpty(t, sent.Sign)
	assert.NotEmpty(t, sent.BizData.DgtlEnvlp)

	var plain, back struct {
		BizData struct {
			OrderSubDetails []map[string]string
		}
	}
	require.NoError(t, json.Unmarshal(sample(t), &plain))
	require.NoError(t, json.Unmarshal(answer.Body, &back))
	require.Len(t, back.BizData.OrderSubDetails, 2)
	assert.Equal(t, plain.BizData.OrderSubDetails[0]["orgMercode"], back.BizData.OrderSubDetails[0]["orgMercode"])
	assert.Equal(t, "分账成功", back.BizData.OrderSubDetails[0]["attach"])

	// The audit says which key signed what.
	entry := s.Logs.Audit(t, 1)
	canonical := "dgtlEnvlp=" + sent.BizData.DgtlEnvlp + "&orderSubDetails=" + sent.BizData.OrderSubDetails +
		"&oriOrgTrace=" + sent.BizData.OriOrgTrace + "&transAmt=" + sent.BizData.TransAmt + "&transCount=" + sent.BizData.TransCount
	assert.Equal(t, digestOf(canonical), entry.String("canonical_sha256"))
	assert.Contains(t, entry["key_fingerprints"], spki(t, merchantKey(t).Public), "the key that signed")
	assert.Contains(t, entry["key_fingerprints"], spki(t, d.keys.Sign.Public().(*rsa.PublicKey)), "the key that verified")
	assert.Equal(t, "easypay/"+organisation, entry.String("reference"))
	assert.Equal(t, "easypay", entry.String("scheme"))
	assert.Equal(t, "easypay", entry.String("profile"))
	assert.InDelta(t, len(sample(t)), entry.Number("request_bytes"), 0)
	assert.Positive(t, entry.Number("response_bytes"))
	assert.InDelta(t, 200, entry.Number("upstream_status"), 0)
	for _, stage := range []string{"seal_ms", "upstream_ms", "open_ms"} {
		assert.Positive(t, entry.Number(stage), stage)
	}
	assert.ElementsMatch(t, []string{"level", "ts", "logger", "msg", "id", "profile", "scheme", "reference", "key_fingerprints", "canonical_sha256",
		"request_bytes", "response_bytes", "seal_ms", "upstream_ms", "open_ms", "upstream_status", "outcome"}, names(entry))
	assert.Equal(t, "info", entry.String("level"))

	// An answer that is refused by the provider comes back as it is.
	refused := s.post(replaceOnce(t, sample(t), `"transCount": "2"`, `"transCount": "3"`))
	require.Equal(t, http.StatusOK, refused.Status)
	assert.Equal(t, "true", refused.Header.Get("Countersign-Verified"))
	assert.Contains(t, string(refused.Body), "000030")
}

func names(e testcaddy.Entry) []string {
	out := make([]string, 0, len(e))
	for name := range e {
		out = append(out, name)
	}
	return out
}

// Two requests have nothing random in common.
func TestEachRequestIsSealedAfresh(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	seen := make(map[string]bool)
	for range 5 {
		s.ok(t, s.post(sample(t)))
		var sent struct {
			BizData struct{ DgtlEnvlp, OrderSubDetails string }
		}
		require.NoError(t, json.Unmarshal(d.Last(t).Body, &sent))
		assert.False(t, seen[sent.BizData.DgtlEnvlp])
		assert.False(t, seen[sent.BizData.OrderSubDetails])
		seen[sent.BizData.DgtlEnvlp], seen[sent.BizData.OrderSubDetails] = true, true
	}
}

// An answer with an envelope of the provider's own opens with the merchant's
// key.
func TestOwnEnvelope(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	s.url += "?envelope=own"
	answer := s.post(sample(t))
	s.ok(t, answer)
	assert.Contains(t, string(answer.Body), "分账成功")
	assert.Contains(t, d.Last(t).Target, "?envelope=own")

	// For a key that nobody has, it does not.
	stranger, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	d.set(func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			held := d.keys
			held.Encrypt = &stranger.PublicKey
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	})
	w := unverified("response_decryption_failed", 200)
	w.upstreamCode = "000000"
	p := s.problem(t, s.post(sample(t)), w)
	assert.NotContains(t, p["detail"], "padding")
}
