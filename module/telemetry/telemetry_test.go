package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/problem"
)

type fixedAge time.Duration

func (a *fixedAge) Age() time.Duration { return time.Duration(*a) }

func newAge(seconds int) *fixedAge {
	age := fixedAge(time.Duration(seconds) * time.Second)
	return &age
}

// gather returns what a registry shows of one family.
func gather(t *testing.T, name string) []*dto.Metric {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, Register(registry))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()
		}
	}
	return nil
}

func value(t *testing.T, counter prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, counter.Write(&m))
	return m.GetCounter().GetValue()
}

func TestRegisterTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	require.NoError(t, Register(registry))
	require.NoError(t, Register(registry))
	require.NoError(t, Register(prometheus.NewRegistry()), "a reload's registry")

	other := prometheus.NewRegistry()
	other.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "caddy_countersign_exchanges_total"}))
	assert.Error(t, Register(other))
}

func TestAgesOfASourceOverReloads(t *testing.T) {
	older, newer := newAge(10), newAge(20)
	show := func(want ...float64) {
		t.Helper()
		var got []float64
		for _, m := range gather(t, "caddy_countersign_key_age_seconds") {
			got = append(got, m.GetGauge().GetValue())
		}
		assert.Equal(t, want, got)
	}
	show()
	WatchSource("a", older)
	show(10)
	WatchSource("a", newer)
	show(20)
	UnwatchSource("a", newer) // the reload failed
	show(10)
	WatchSource("a", newer)
	UnwatchSource("a", older) // it went well
	show(20)
	WatchSource("a", newer) // the same source over a reload
	UnwatchSource("a", newer)
	show()
	UnwatchSource("a", newer)
}

func TestOutcomesBeginAtZero(t *testing.T) {
	exchange, notification := Exchanges("s", "zero"), Notifications("s", "zero")
	counters := len(gather(t, "caddy_countersign_exchanges_total"))
	for _, code := range problem.Reasons() {
		if code.Outcome() != "" {
			exchange.Count(string(code))
		} else {
			notification.Count(string(code))
		}
	}
	exchange.Count("ok")
	exchange.Count("unsigned")
	assert.Equal(t, counters, len(gather(t, "caddy_countersign_exchanges_total")), "no outcome makes a series")
	assert.Positive(t, value(t, exchanges.WithLabelValues("s", "zero", "response_mismatch")))
	assert.Positive(t, value(t, notifications.WithLabelValues("s", "zero", "notification_stale")))
	notification.Count(string(problem.MethodNotAllowed))
	assert.Positive(t, value(t, notifications.WithLabelValues("s", "zero", "method_not_allowed")))

	before := len(gather(t, "caddy_countersign_stage_duration_seconds"))
	exchange.Stages(time.Millisecond, 0, time.Second)
	notification.Stages(time.Millisecond, time.Millisecond, time.Millisecond)
	assert.Equal(t, before, len(gather(t, "caddy_countersign_stage_duration_seconds")))
}

func TestASpanWithoutATraceIsNothing(t *testing.T) {
	end := Exchanges("s", "p").Span(context.Background(), SpanSeal)
	assert.NotPanics(t, func() { end("ok"); end("signing_failed") })
}

func TestEntry(t *testing.T) {
	var out bytes.Buffer
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&out), zap.InfoLevel))
	e := &Entry{
		ID: "I", Profile: "p", Scheme: "s", Reference: "r", Fingerprints: []string{"f", "g"}, CanonicalSHA: [32]byte{1},
		RequestBytes: 1, ResponseBytes: 2, Seal: 1500 * time.Nanosecond, Upstream: time.Second, UpstreamStatus: 200, Outcome: "ok",
	}
	logger.Info("exchange", zap.Inline(e))
	assert.JSONEq(t, `{"id":"I","profile":"p","scheme":"s","reference":"r","key_fingerprints":["f","g"],
		"canonical_sha256":"01`+strings.Repeat("00", 31)+`","request_bytes":1,"response_bytes":2,
		"seal_ms":0.001,"upstream_ms":1000,"open_ms":0,"upstream_status":200,"outcome":"ok"}`, out.String())

	out.Reset()
	logger.Info("exchange", zap.Inline(&Entry{Outcome: "client_gone", Verdict: "ok"}))
	var fields map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
	assert.Equal(t, []any{}, fields["key_fingerprints"])
	assert.Empty(t, fields["canonical_sha256"])
	assert.Equal(t, "ok", fields["verdict"])

}

func TestGuardStandardLog(t *testing.T) {
	before, flags := log.Writer(), log.Flags()
	t.Cleanup(func() { log.SetOutput(before); log.SetFlags(flags) })
	var out bytes.Buffer
	log.SetOutput(&out)
	log.SetFlags(0)
	GuardStandardLog()
	guarded := log.Writer()
	GuardStandardLog()
	assert.Equal(t, guarded, log.Writer(), "once is enough")

	log.Print("something else: 6222020200112233445")
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "6222020200112233445\nsecret", nil)
	assert.Equal(t, "something else: 6222020200112233445\nUnsolicited response received on idle HTTP channel; what came is left out\n", out.String())

	log.SetOutput(io.Discard) // as Caddy does with a new configuration
	GuardStandardLog()
	assert.NotEqual(t, io.Discard, log.Writer())
}

// The sentence that GuardStandardLog looks for is the one that this Go's client
// writes: the test fails when that changes.
func TestTheClientStillSaysItLikeThat(t *testing.T) {
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	read, write := io.Pipe()
	log.SetOutput(write)
	server := rawServer(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}6222020200112233445")
	res, err := http.Get(server)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	line := make([]byte, 512)
	n, err := read.Read(line)
	require.NoError(t, err)
	assert.Contains(t, string(line[:n]), string(unsolicited)+" starting with")
	assert.Contains(t, string(line[:n]), "6222020200112233445", "what the guard is for")
}
