package observe_test

import (
	"encoding/json"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// families are the metrics of the sidecar, parsed.
func (s *sidecar) families() map[string]*dto.MetricFamily {
	s.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(s.get("watching", "/metrics").body))
	require.NoError(s.t, err)
	return families
}

// metric is the value of the one series with these labels, pairs of a name and
// a value; -1 if there is none.
func (s *sidecar) metric(family string, labels ...string) float64 {
	s.t.Helper()
	found := -1.0
	for _, m := range s.families()[family].GetMetric() {
		have := labelsOf(m)
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && have[labels[i]] == labels[i+1]
		}
		if matches {
			require.Equal(s.t, -1.0, found, "several series of %s match %v", family, labels)
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
	s.t.Helper()
	s.await("a line of the access log for "+prefix, func() bool {
		lines = nil
		for text := range strings.Lines(s.read(site + ".log")) {
			var line accessLine
			require.NoError(s.t, json.Unmarshal([]byte(text), &line), text)
			if strings.HasPrefix(line.Request.URI, prefix) {
				lines = append(lines, line)
			}
		}
		return len(lines) > 0
	})
	return lines
}
