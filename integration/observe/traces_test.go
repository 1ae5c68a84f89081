package observe_test

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlp is a collector of traces.
type otlp struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*trace.Span
	raw   []byte // all that came
}

func collect(t *testing.T) *otlp {
	t.Helper()
	c := new(otlp)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(raw, &request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, raw...)
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// environment has Caddy send its spans here, soon.
func (c *otlp) environment() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_EXPORTER_OTLP_INSECURE=true",
		"OTEL_PROPAGATORS=tracecontext,baggage,b3,b3multi,jaeger",
	}
}

// of returns the spans of a trace so far, by name.
func (c *otlp) of(id string) map[string][]*trace.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string][]*trace.Span)
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetTraceId()) == id {
			out[span.GetName()] = append(out[span.GetName()], span)
		}
	}
	return out
}

// parent returns a traceparent header, sampled or not.
func parent(id, flags string) string { return "00-" + id + "-00f067aa0ba902b7-" + flags }

func TestSpansOfAnExchange(t *testing.T) {
	c := collect(t)
	const traced = "tracing {\nspan payments\n}\n"
	s := start(t, global("")+
		app(traced, short("/short", provider, "profile east"), long("/long", provider, "", "profile east"), short("/down", "127.0.0.1:1", "profile east"),
			shortWith("easypay/{body.orgMercode}", "/dynamic", provider, "profile east"), notify("/notify"))+
		providers(), c.environment()...)
	body := sample(t, "easypay")
	all := []string{"countersign.keys.load", "countersign.seal", "countersign.upstream", "countersign.open"}

	for i, test := range []struct {
		path   string
		failed string // the span that fails, and ends the exchange
		code   string
	}{
		{"/short/ledger/mpos", "", ""},
		{"/long/ledger/mpos", "", ""},
		{"/short/ledger/mpos?fault=tampered", "countersign.open", "response_signature_invalid"},
		{"/long/ledger/mpos?fault=reset", "countersign.upstream", "upstream_failed"},
		{"/down/ledger/mpos", "countersign.upstream", "upstream_unreachable"},
		{"/dynamic/ledger/mpos", "countersign.keys.load", "unknown_key_set"},
	} {
		t.Run(test.path, func(t *testing.T) {
			id := strings.Repeat("0123456789abcdef"[i+1:i+2], 32)
			s.post(test.path, body, "traceparent", parent(id, "01"))
			want := all
			if test.failed != "" {
				want = all[:slices.Index(all, test.failed)+1]
			}
			s.Await("the request's span came", func() bool { return len(c.of(id)["payments"]) > 0 })
			spans := c.of(id)
			assert.Len(t, spans, len(want)+1)
			for _, name := range want {
				if !assert.Len(t, spans[name], 1, name) {
					continue
				}
				span := spans[name][0]
				assert.Equal(t, spans["payments"][0].GetSpanId(), span.GetParentSpanId(), name)
				outcome, status := "ok", trace.Status_STATUS_CODE_UNSET
				if name == test.failed {
					outcome, status = test.code, trace.Status_STATUS_CODE_ERROR
					assert.Equal(t, test.code, span.GetStatus().GetMessage())
				}
				assert.Equal(t, status, span.GetStatus().GetCode(), name)
				assert.Equal(t, map[string]string{
					"countersign.scheme": "easypay", "countersign.profile": "east", "countersign.outcome": outcome,
				}, attributes(span), name)
				assert.Empty(t, span.GetEvents(), name)
			}
		})
	}

	id := strings.Repeat("d", 32)
	require.Equal(t, http.StatusOK, s.post("/notify", genuine(t, providerKey, map[string]string{"oriOrgTrace": "1"}), "traceparent", parent(id, "01")).status)
	s.Await("the notification's span came", func() bool { return len(c.of(id)["payments"]) > 0 })
	spans := c.of(id)
	assert.Len(t, spans, 3)
	assert.Equal(t, "ok", attributes(spans["countersign.keys.load"][0])["countersign.outcome"])
	assert.Equal(t, "ok", attributes(spans["countersign.open"][0])["countersign.outcome"])

	// A trace that is not sampled has no spans of ours either.
	unsampled := strings.Repeat("e", 32)
	s.post("/short/ledger/mpos", body, "traceparent", parent(unsampled, "00"))
	last := strings.Repeat("f", 32)
	s.post("/short/ledger/mpos", body, "traceparent", parent(last, "01"))
	s.Await("the last trace came", func() bool { return len(c.of(last)["payments"]) > 0 })
	assert.Empty(t, c.of(unsampled))
}

func attributes(span *trace.Span) map[string]string {
	out := make(map[string]string)
	for _, a := range span.GetAttributes() {
		out[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return out
}

// Nothing of a trace reaches the provider unless forward_headers names it, by
// whatever propagator.
func TestTheProviderSeesNothingOfTheTrace(t *testing.T) {
	c := collect(t)
	s := start(t, global("")+
		app("tracing", short("/short", provider), long("/long", provider, ""),
			short("/named", provider, "forward_headers traceparent tracestate baggage"))+
		providers(), c.environment()...)
	body := sample(t, "easypay")
	id := strings.Repeat("4bf92f35", 4)
	headers := []string{
		"traceparent", parent(id, "01"), "tracestate", "vendor=shop", "baggage", "customer=zhang",
		"X-B3-TraceId", id, "X-B3-SpanId", "00f067aa0ba902b7", "X-B3-Sampled", "1", "uber-trace-id", id + ":00f067aa0ba902b7:0:1",
		"X-Request-Id", id, "X-Forwarded-For", "10.0.0.1", "Authorization", "Bearer shop",
	}
	seen := func(path string) map[string][]string {
		require.Equal(t, http.StatusOK, s.post(path+"/ledger/mpos", body, headers...).status)
		var received struct{ Header map[string][]string }
		require.NoError(t, json.Unmarshal([]byte(s.get("provider", "/ledger/received").body), &received))
		return received.Header
	}
	for _, path := range []string{"/short", "/long"} {
		for name := range seen(path) {
			assert.Contains(t, []string{"Content-Type", "Content-Length", "Accept", "Accept-Encoding", "User-Agent"}, name, path)
		}
	}
	named := seen("/named")
	assert.Contains(t, named["Traceparent"][0], id)
	assert.NotContains(t, named["Traceparent"][0], "00f067aa0ba902b7", "the provider's parent is the sidecar's span")
	assert.Equal(t, []string{"vendor=shop"}, named["Tracestate"])
	assert.Equal(t, []string{"customer=zhang"}, named["Baggage"])
	assert.NotContains(t, named, "X-B3-Traceid")
}
