package proxy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// published returns a file of what the provider has published.
func published(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testcaddy.Root(), "module", "providers", "testdata", filepath.FromSlash(name)))
	require.NoError(t, err)
	return text
}

// The page's sample answer, as printed there, passes the sidecar under the key
// that is printed there, byte for byte.
func TestThePagesAnswer(t *testing.T) {
	page := published(t, "pages/easypay-response.json")
	var vectors []struct {
		ID, Canonical string
		PublicKey     string `json:"public_key"`
	}
	require.NoError(t, json.Unmarshal(published(t, "vectors.json"), &vectors))
	dir := keyFolder(t, "1")
	for _, v := range vectors {
		if v.ID == "easypay-ledger-response" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "1", "verify.pem"), []byte(v.PublicKey), 0o600))
		}
	}
	d := newDouble(t)
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, page) }))
	s := startWithKeys(t, d.Address, dir, "1", "")
	answer := s.post(sample(t))
	s.ok(t, answer)
	assert.Equal(t, string(page), string(answer.Body))

	// Each of its signed members counts, and it answers no other order.
	for old, replacement := range map[string]string{
		`"tradeRetCode": "86"`: `"tradeRetCode": "00"`, `"transAmt": "0"`: `"transAmt": "1"`, `"transCount": "1"`: `"transCount": "2"`,
		`"tradeRetMsg": "分账`: `"tradeRetMsg": "Ｘ账`, `"oriOrgTrace": "ORG0000720220224031331542213"`: `"oriOrgTrace": "ORG0000720220224031331542214"`,
	} {
		d.set(d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Answer(200, closing, replaceOnce(t, page, old, replacement))
		}))
		w := unverified("response_signature_invalid", 200)
		w.upstreamCode = "000086"
		s.problem(t, s.post(sample(t)), w)
	}
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, page) }))
	another := []byte(strings.Replace(string(sample(t)), "ORG0000720220224031331542213", "ORG0000720220224031331542299", 1))
	w := unverified("response_mismatch", 200)
	w.upstreamCode = "000086"
	s.problem(t, s.post(another), w)
	// What is not signed may be anything: the documentation says so.
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) {
		c.Answer(200, closing, replaceOnce(t, page, `"sysRetCode": "000086"`, `"sysRetCode": "000000"`))
	}))
	s.ok(t, s.post(sample(t)))
}

// What the sidecar does not have to change leaves and returns unchanged.
func TestByteForByte(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	odd := `{ "a" : 1.10 , "b":1e22,"c":20881234567890123456,"d":"\/\u4e2d\u0041<>&😀","e":[ [ {"x" : -0} ] , null ],` + "\n\t" +
		`"f":{"中":true,"\u0061":false} , "bizData" : { "z":1.10, "oriOrgTrace":"A\/1\u002e0" , "n":20881234567890123456, "spaces":"  x  ", "empty":"" ,"null":null },"last":"" } `
	answerOdd := signOdd(t, d)
	var answered []byte
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) {
		answered = answerOdd
		c.Answer(200, closing, answered)
	}))
	answer := s.post([]byte(odd))
	s.ok(t, answer)
	assert.Equal(t, string(answered), string(answer.Body))

	sent := string(d.Last(t).Body)
	var added struct{ Sign string }
	require.NoError(t, json.Unmarshal([]byte(sent), &added))
	assert.Equal(t, odd, strings.NewReplacer(`,"sign":"`+added.Sign+`"`, "", `,"signType":"SHA256withRSA"`, "").Replace(sent), "two members are added, and nothing else")
	assert.NotEqual(t, odd, sent)
	assert.Equal(t, digestOf("n=20881234567890123456&oriOrgTrace=A/1.0&spaces=x&z=1.10"), s.Logs.Audit(t, 1).String("canonical_sha256"))
}

// signOdd returns an answer in an odd spelling.
func signOdd(t *testing.T, d *double) []byte {
	t.Helper()
	plain := signBizData(t, d.keys.Sign, map[string]string{"oriOrgTrace": "A/1.0", "n": "20881234567890123456", "x": "中", "y": "1.10"})
	var signed struct{ Sign string }
	require.NoError(t, json.Unmarshal(plain, &signed))
	return []byte("{\r\n \"sysRetCode\" : \"000000\", \"deep\":[[[{\"a\":1e22}]]], \"bizData\":{ \"y\":1.10, \"x\" : \"\\u4e2d\",\"n\":20881234567890123456, \"oriOrgTrace\":\"A\\/1.0\" } ," +
		"\"sign\":\"" + signed.Sign + "\",\"after\":\"<&>\" }\n")
}

// Tracing in Caddy adds headers for upstreams. They reach the provider only
// where forward_headers asks for them.
func TestTraceHeaders(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	t.Setenv("OTEL_PROPAGATORS", "tracecontext,baggage")
	for options, forwarded := range map[string]bool{"": false, "forward_headers traceparent": true} {
		d := newDouble(t)
		address := testcaddy.FreeAddress(t)
		text := strings.Replace(sidecarText(address, d.Address, options), "\tlog\n", "\tlog\n\ttracing {\n\t\tspan sidecar\n\t}\n", 1)
		s := &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
		s.ok(t, s.post(sample(t)))
		assert.Equal(t, forwarded, d.Last(t).Header.Get("Traceparent") != "", options)
		assert.Empty(t, d.Last(t).Header.Get("Baggage"))
	}
}

// An operator may give the provider another Host, and response headers of the
// operator's own are added.
func TestOperatorHeaders(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "reverse_proxy {\nheader_up Host other.example\nheader_up X-Secret planted\nheader_down X-Ours 1\n}")
	answer := s.post(sample(t))
	s.ok(t, answer)
	assert.Equal(t, "other.example", d.Last(t).Host)
	assert.Empty(t, d.Last(t).Header.Get("X-Secret"), "the allow-list comes last")
	assert.Equal(t, "1", answer.Header.Get("X-Ours"))
}

// Many exchanges at once keep to themselves.
func TestManyAtOnce(t *testing.T) {
	d := newDouble(t)
	d.set(d.keepAliveGenuine)
	s := startSidecar(t, d.Address, "")
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 10 {
				trace := "ORG" + strings.Repeat(string(rune('a'+worker)), i+1)
				body := []byte(strings.Replace(string(sample(t)), "ORG0000720220224031331542213", trace, 1))
				answer, err := testcaddy.TryPost(t.Context(), s.url, body)
				if assert.NoError(t, err) && assert.Equal(t, 200, answer.Status, "%s", answer.Body) {
					assert.Contains(t, string(answer.Body), `"oriOrgTrace":"`+trace+`"`)
				}
			}
		})
	}
	group.Wait()
	assert.Equal(t, 80, d.Delivered())
	s.Logs.Audit(t, 80)
	seen := make(map[string]bool)
	for _, entry := range s.Logs.Entries("http.countersign.audit") {
		assert.Equal(t, "ok", entry.String("outcome"))
		assert.False(t, seen[entry.String("id")])
		seen[entry.String("id")] = true
	}
}
