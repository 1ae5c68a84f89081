package proxy_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

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
	p := s.problem(t, s.post(sample(t)), w)
	assert.NotContains(t, p["detail"], "padding")
}
