package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// The error table as the documentation has it.
var documented = map[Reason]struct {
	status  int
	outcome Outcome
}{
	"invalid_request":        {400, "not_sent"},
	"forbidden_origin":       {403, "not_sent"},
	"unknown_key_set":        {404, "not_sent"},
	"not_allowed":            {403, "not_sent"},
	"over_limit":             {403, "not_sent"},
	"over_budget":            {403, "not_sent"},
	"duplicate_request":      {409, "not_sent"},
	"unknown_route":          {404, "not_sent"},
	"method_not_allowed":     {405, "not_sent"},
	"request_too_large":      {413, "not_sent"},
	"unsupported_media_type": {415, "not_sent"},
	"unprocessable_request":  {422, "not_sent"},
	"keys_unavailable":       {503, "not_sent"},
	"signing_failed":         {503, "not_sent"},
	"store_unavailable":      {503, "not_sent"},
	"audit_unavailable":      {503, "not_sent"},
	"overloaded":             {503, "not_sent"},
	"upstream_unreachable":   {502, "not_sent"},

	"upstream_timeout": {504, "unknown"},
	"upstream_failed":  {502, "unknown"},
	"client_gone":      {499, "unknown"},

	"response_too_large":         {502, "unverified"},
	"response_invalid":           {502, "unverified"},
	"response_unsigned":          {502, "unverified"},
	"response_signature_invalid": {502, "unverified"},
	"response_decryption_failed": {502, "unverified"},
	"response_mismatch":          {502, "unverified"},

	"notification_signature_invalid": {401, ""},
	"notification_stale":             {401, ""},
	"notification_not_ours":          {403, ""},
	"notification_invalid":           {400, ""},
	"notification_in_progress":       {503, ""},
	"application_failed":             {502, ""},
	"application_timeout":            {504, ""},
}

func TestTable(t *testing.T) {
	titles := make(map[string]Reason)
	for _, reason := range Reasons() {
		want, ok := documented[reason]
		require.True(t, ok, "%s is not in the documentation", reason)
		assert.Equal(t, want.status, reason.Status(), reason)
		assert.Equal(t, want.outcome, reason.Outcome(), reason)
		for _, l := range []i18n.Language{i18n.English, i18n.Chinese} {
			title := reason.Title(l)
			assert.NotEmpty(t, title)
			assert.Empty(t, titles[title], "two reasons have the title of %s", reason)
			titles[title] = reason
		}
	}
	assert.Len(t, Reasons(), len(documented))
}

func TestWrite(t *testing.T) {
	p := New(ResponseUnsigned, i18n.T("a <detail> & more"), errors.New("planted"))
	p.ID, p.UpstreamStatus, p.UpstreamContentType, p.UpstreamCode = "ID", 200, "text/html", "A0"
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "7")
	require.NoError(t, p.Write(w))
	assert.Equal(t, 502, w.Code)
	assert.Equal(t, http.Header{
		"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Countersign-Outcome": {"unverified"},
	}, w.Header())
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.Equal(t, map[string]any{
		"type": "urn:countersign:problem:response_unsigned", "title": "The provider's answer is not signed", "status": 502.0,
		"detail": "a <detail> & more", "reason": "response_unsigned", "outcome": "unverified", "id": "ID",
		"upstream_status": 200.0, "upstream_content_type": "text/html", "upstream_code": "A0",
	}, got)
	assert.NotContains(t, w.Body.String(), "planted", "the cause is for the log")

	w = httptest.NewRecorder()
	require.NoError(t, New(MethodNotAllowed, i18n.T("x"), nil).Write(w))
	assert.Equal(t, "POST", w.Header().Get("Allow"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
}

// The title and the detail follow Accept-Language; the reason and the outcome,
// which programs read, do not, and neither does the text for the log.
func TestTheLanguageOfTheAnswer(t *testing.T) {
	for _, tc := range []struct {
		accept    []string
		byDefault i18n.Language
		want      string
	}{
		{nil, i18n.English, "en"},
		{nil, i18n.Chinese, "zh"},
		{[]string{"zh-CN,zh;q=0.9,en;q=0.8"}, i18n.English, "zh"},
		{[]string{"en-US,en;q=0.9", "zh;q=0.8"}, i18n.Chinese, "en"},
	} {
		p := New(UpstreamTimeout, i18n.T("the provider did not answer within the timeout; ask it what became of the request"), nil)
		p.Speak(http.Header{"Accept-Language": tc.accept}, tc.byDefault)
		w := httptest.NewRecorder()
		require.NoError(t, p.Write(w))
		assert.Equal(t, tc.want, w.Header().Get("Content-Language"))
		var got map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		title, detail := "The provider did not answer in time", "the provider did not answer within the timeout; ask it what became of the request"
		assert.Equal(t, detail, p.Detail)
		if tc.want == "zh" {
			title, detail = "渠道没有及时应答", "渠道在超时时间内没有应答；请先查单，确认这笔请求的结果"
		}
		assert.Equal(t, title, got["title"])
		assert.Equal(t, detail, got["detail"])
		assert.Equal(t, "upstream_timeout", got["reason"])
		assert.Equal(t, "unknown", got["outcome"])
	}
}

// A failure of a notification has no outcome, not even where the code is one of
// an exchange.
func TestNotifications(t *testing.T) {
	p := New(KeysUnavailable, i18n.T("x"), nil)
	p.Notification = true
	w := httptest.NewRecorder()
	require.NoError(t, p.Write(w))
	assert.Equal(t, 503, w.Code)
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assert.Empty(t, w.Header().Values("Countersign-Outcome"))
	assert.NotContains(t, w.Body.String(), "outcome")
}

// The cause changes nothing of what others make of a problem.
func TestCauseIsKeptApart(t *testing.T) {
	p := New(UpstreamTimeout, i18n.T("x"), context.Canceled)
	assert.Equal(t, "upstream_timeout: x", p.Error())
	require.NotErrorIs(t, p, context.Canceled)
	assert.Equal(t, context.Canceled, p.Cause())
	found, ok := As(fmt.Errorf("around it: %w", p))
	assert.True(t, ok)
	assert.Same(t, p, found)
	_, ok = As(context.Canceled)
	assert.False(t, ok)
}

func TestIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID()
		require.Regexp(t, `^[A-Z2-7]{26}$`, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}
