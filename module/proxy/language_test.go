package proxy_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// A client that prefers Chinese reads title and detail in Chinese, whatever failed:
// in the handler, in the transport, or in the answer. What programs read and what
// the log says stay as they are, and neither language shows a value.
func TestProblemsInChinese(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	d.set(func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, easypayAnswer(d.keys, r, provider.Tampered).Body)
		}
	})
	for _, tc := range []struct {
		body           string
		reason         string
		title, detail  string
		english, value string
	}{
		{`{"orgId":"PLANTED",`, "invalid_request", "请求不是可以加签的 JSON 对象", "请求正文被拒绝：不是合法的 JSON", "the request body is refused: not valid JSON", "PLANTED"},
		{" \n", "invalid_request", "请求不是可以加签的 JSON 对象", "请求正文是空的", "the request body is empty", "PLANTED"},
		{`{"orgId":"PLANTED","orgId":"x"}`, "invalid_request", "请求不是可以加签的 JSON 对象", "同一个字段名出现两次", "the same member name twice", "PLANTED"},
		{`{"orgId":"PLANTED"}`, "unprocessable_request", "请求缺少签名方案需要的内容", "bizData", "bizData", "PLANTED"},
		{string(sample(t)), "response_signature_invalid", "渠道的应答验签不过", "对 bizData 的签名用配置的任何一个密钥都验不过", "the signature over bizData does not verify with any of the configured keys", "分账成功"},
	} {
		for language, header := range map[string]string{"zh": "zh-CN,zh;q=0.9,en;q=0.8", "en": "en"} {
			answer := s.post([]byte(tc.body), func(r *http.Request) { r.Header.Set("Accept-Language", header) })
			var got map[string]any
			require.NoError(t, json.Unmarshal(answer.Body, &got), "%s", answer.Body)
			assert.Equal(t, tc.reason, got["reason"])
			assert.Equal(t, language, answer.Header.Get("Content-Language"))
			detail := tc.english
			if language == "zh" {
				detail = tc.detail
				assert.Equal(t, tc.title, got["title"])
			}
			assert.Contains(t, got["detail"], detail)
			assert.NotContains(t, string(answer.Body), tc.value)
			assert.Equal(t, tc.reason, s.Logs.Audit(t, s.asked).String("outcome"))
		}
	}
	assert.NotRegexp(t, `\p{Han}`, s.Logs.Text(), "the log stays in one language")
}
