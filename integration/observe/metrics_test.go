package observe_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/problem"
)

// families returns the metrics of the sidecar, parsed.
func (s *sidecar) families() map[string]*dto.MetricFamily {
	s.T.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(s.get("watching", "/metrics").body))
	require.NoError(s.T, err)
	return families
}

// count is metric as a whole number.
func (s *sidecar) count(family string, labels ...string) int {
	s.T.Helper()
	return int(s.metric(family, labels...))
}

// metric returns the value of the one series with these labels, pairs of a name and
// a value; -1 if there is none.
func (s *sidecar) metric(family string, labels ...string) float64 {
	s.T.Helper()
	found := -1.0
	for _, m := range s.families()[family].GetMetric() {
		have := labelsOf(m)
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && have[labels[i]] == labels[i+1]
		}
		if matches {
			require.Negative(s.T, found, "several series of %s match %v", family, labels)
			found = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return found
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := make(map[string]string)
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// accessLine is a line of an access log.
type accessLine struct {
	ID      string `json:"countersign_id"`
	Status  int    `json:"status"`
	Request struct {
		URI string `json:"uri"`
	} `json:"request"`
}

// access waits for lines of a site's access log whose target begins so, and
// returns them: a line is written when its answer is on its way.
func (s *sidecar) access(site, prefix string) (lines []accessLine) {
	s.T.Helper()
	s.Await("a line of the access log for "+prefix, func() bool {
		lines = nil
		for text := range strings.Lines(s.Read(site + ".log")) {
			var line accessLine
			require.NoError(s.T, json.Unmarshal([]byte(text), &line), text)
			if strings.HasPrefix(line.Request.URI, prefix) {
				lines = append(lines, line)
			}
		}
		return len(lines) > 0
	})
	return lines
}

// ours are the names of the sidecar's own metrics, with their labels.
var ours = map[string][]string{
	"caddy_countersign_exchanges_total":        {"outcome", "profile", "scheme"},
	"caddy_countersign_notifications_total":    {"outcome", "profile", "scheme"},
	"caddy_countersign_stage_duration_seconds": {"profile", "scheme", "stage"},
	"caddy_countersign_key_refreshes_total":    {"outcome", "source"},
	"caddy_countersign_key_age_seconds":        {"source"},
	"caddy_countersign_audit_lost_total":       nil,
	"caddy_countersign_guard_refusals_total":   {"profile", "rule"},
	"caddy_countersign_rsa_arithmetic_info":    {"implementation"},
}

func TestMetricsHaveTheNamesAndLabelsOfTheContract(t *testing.T) {
	s := start(t, global("")+app(short("/east", provider, "profile east", "allow POST /ledger/mpos"), notify("/notify", "profile west"))+providers()+watching())
	body := sample(t, "easypay")
	for range 3 {
		require.Equal(t, http.StatusOK, s.post("/east/ledger/mpos", body).status)
	}
	s.post("/east/ledger/mpos?fault=tampered", body)
	s.post("/east/ledger/mpos", []byte("[]"))
	s.post("/notify", []byte(`{"bizData":{"a":"1"},"sign":"AAAA"}`))

	families := s.families()
	for name, labels := range ours {
		family := families[name]
		if !assert.NotNil(t, family, name) {
			continue
		}
		for _, m := range family.GetMetric() {
			assert.Equal(t, labels, slices.Sorted(maps.Keys(labelsOf(m))), name)
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "caddy_countersign") {
			assert.Contains(t, ours, name)
		}
	}

	count := func(outcome string) int {
		return s.count("caddy_countersign_exchanges_total", "scheme", "easypay", "profile", "east", "outcome", outcome)
	}
	assert.Equal(t, 3, count("ok"))
	assert.Equal(t, 1, count("response_signature_invalid"))
	assert.Equal(t, 1, count("invalid_request"))
	// Every outcome is there before it happens: the first failure is a step from
	// zero to one, which Prometheus sees, and not a new series.
	assert.Zero(t, count("unsigned"))
	for _, code := range problem.Reasons() {
		if code.Outcome() != "" {
			assert.GreaterOrEqual(t, count(string(code)), 0, code)
		}
	}
	assert.Equal(t, 1, s.count("caddy_countersign_notifications_total", "profile", "west", "outcome", "notification_signature_invalid"))
	assert.Zero(t, s.metric("caddy_countersign_notifications_total", "profile", "west", "outcome", "ok"))

	for stage, n := range map[string]int{"seal": 4, "upstream": 4, "open": 4} {
		assert.Equal(t, n, s.count("caddy_countersign_stage_duration_seconds", "profile", "east", "stage", stage), stage)
	}
	for _, source := range []string{"default", "provider"} {
		assert.Greater(t, s.metric("caddy_countersign_key_refreshes_total", "source", source, "outcome", "ok"), 0.0)
		assert.Zero(t, s.metric("caddy_countersign_key_refreshes_total", "source", source, "outcome", "error"))
		age := s.metric("caddy_countersign_key_age_seconds", "source", source)
		assert.Greater(t, age, 0.0)
		assert.Less(t, age, 10.0)
	}
}

// notify returns a site's handler of notifications, with an application behind it.
func notify(path string, options ...string) string {
	return "handle " + path + " {\ncountersign_notify easypay {\nkeys easypay/ORG000000000007\n" +
		strings.Join(options, "\n") + "\n}\nrespond ok\n}\n"
}

// No value out of a request becomes a label, whatever a client sends.
func TestMetricsLabelsAreBounded(t *testing.T) {
	s := start(t, global("")+
		app("handle_path /pay/* {\ncountersign easypay "+provider+" {\nkeys easypay/{body.orgId}\n}\n}", notify("/notify"))+
		providers()+watching())
	require.Equal(t, http.StatusOK, s.post("/pay/ledger/mpos", sample(t, "easypay")).status)
	before := s.series()
	for i := range 60 {
		odd := fmt.Sprintf("CARD62220000%08d", i)
		s.post("/pay/"+odd+"?"+odd+"="+odd, fmt.Appendf(nil, `{"orgId":%q,"bizData":{%q:%q}}`, odd, odd, odd), "User-Agent", odd, odd, odd)
		s.post("/notify?"+odd, fmt.Appendf(nil, `{"bizData":{%q:%q},"sign":"AAAA"}`, odd, odd))
	}
	assert.Equal(t, 60, s.count("caddy_countersign_exchanges_total", "outcome", "unknown_key_set"))
	assert.Equal(t, before, s.series())
	assert.NotContains(t, s.get("watching", "/metrics").body, "CARD6222")
}

// series returns the names and labels of the sidecar's own series.
func (s *sidecar) series() []string {
	var out []string
	for name, family := range s.families() {
		if _, ok := ours[name]; ok {
			for _, m := range family.GetMetric() {
				out = append(out, fmt.Sprint(name, labelsOf(m)))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestMetricsOverReloads(t *testing.T) {
	east := global("") + app(short("/east", provider, "profile east")) + providers() + watching()
	s := start(t, east)
	body := sample(t, "easypay")
	ok := func() int {
		return s.count("caddy_countersign_exchanges_total", "profile", "east", "outcome", "ok")
	}
	pay := func() { require.Equal(t, http.StatusOK, s.postAcrossReload("/east/ledger/mpos", body).status) }
	require.Equal(t, http.StatusOK, s.post("/east/ledger/mpos", body).status)
	refreshes := s.metric("caddy_countersign_key_refreshes_total", "source", "default", "outcome", "ok")
	require.Equal(t, 1, ok())

	// The same sources, another configuration: everything goes on.
	require.Equal(t, http.StatusOK, s.reload(east+"# changed\n"+site("8082", "more", "respond hello")).status)
	require.Equal(t, 1, ok())
	pay()
	require.Equal(t, 2, ok())
	assert.Equal(t, 2, s.count("caddy_countersign_stage_duration_seconds", "profile", "east", "stage", "open"))
	assert.GreaterOrEqual(t, s.metric("caddy_countersign_key_refreshes_total", "source", "default", "outcome", "ok"), refreshes)

	// A source with another name: the old one's age is gone, its counters stay.
	renamed := strings.ReplaceAll(strings.Replace(east, "refresh 50ms", "name ours", 1), "keys easypay/ORG", "keys ours easypay/ORG")
	require.Equal(t, http.StatusOK, s.reload(renamed).status)
	pay()
	assert.Equal(t, 3, ok())
	assert.Negative(t, s.metric("caddy_countersign_key_age_seconds", "source", "default"))
	assert.GreaterOrEqual(t, s.metric("caddy_countersign_key_age_seconds", "source", "ours"), 0.0)
	assert.GreaterOrEqual(t, s.metric("caddy_countersign_key_refreshes_total", "source", "default", "outcome", "ok"), refreshes)

	// A reload that fails after the sources have started, because an address
	// cannot be had, takes nothing away from the configuration that goes on.
	failing := strings.Replace(renamed, "$REPO/keys-dev/merchant", "$REPO/keys-dev/../keys-dev/merchant", 1) +
		"http://:8083 {\nbind unix/$DIR/no/such/folder\n}\n"
	require.Equal(t, http.StatusBadRequest, s.reload(failing).status)
	pay()
	assert.Equal(t, 4, ok())
	assert.GreaterOrEqual(t, s.metric("caddy_countersign_key_age_seconds", "source", "ours"), 0.0)

	// And Caddy's own page of metrics shows the same.
	admin := s.get("admin", "/metrics").body
	assert.Contains(t, admin, `caddy_countersign_exchanges_total{outcome="ok",profile="east",scheme="easypay"} 4`)
}

// Keys that cannot be looked at any more, and keys that never loaded, grow old
// and are counted as errors.
func TestMetricsOfKeysThatFail(t *testing.T) {
	s := start(t, strings.Replace(global(""), "$REPO/keys-dev/merchant", "$DIR/keys", 1)+app(short("/east", provider))+providers()+watching())
	set := s.Path("keys/easypay/ORG000000000007")
	age := func() float64 { return s.metric("caddy_countersign_key_age_seconds", "source", "default") }
	failed := func(outcome string) float64 {
		return s.metric("caddy_countersign_key_refreshes_total", "source", "default", "outcome", outcome)
	}
	s.Await("keys that never loaded grow old", func() bool { return age() > 0.3 && failed("error") > 0 })

	require.NoError(t, os.CopyFS(set, os.DirFS(repository+"/keys-dev/merchant/easypay/ORG000000000007")))
	s.Await("keys are fresh", func() bool { return age() < 0.3 && failed("ok") > 0 })

	require.NoError(t, os.WriteFile(set+"/sign.pem", bytes.Repeat([]byte("x"), 100), 0o600))
	s.Await("broken keys grow old", func() bool { return age() > 0.5 && failed("error") > 0 })
	assert.Equal(t, http.StatusOK, s.post("/east/ledger/mpos", sample(t, "easypay")).status, "the last good keys serve on")
}
