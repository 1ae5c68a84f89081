package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSpeed(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want speed
	}{
		"OpenSSL 3.0": {"                  sign    verify    sign/s verify/s\nrsa 2048 bits 0.000250s 0.000010s   4000.0 100000.0\n", speed{Sign: 250, Verify: 10}},
		"OpenSSL 3.2": {"                   sign    verify    encrypt   decrypt   sign/s verify/s  encr./s  decr./s\nrsa  2048 bits 0.000250s 0.000010s 0.000011s 0.000260s   4000.0  100000.0  90000.0   3800.0\n", speed{Sign: 250, Verify: 10}},
		"SM2":         {"                              sign    verify    sign/s verify/s\n 256 bits SM2 (CurveSM2)   0.0003s   0.0003s   2500.0   5000.0\n", speed{Sign: 400, Verify: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSpeed(c.text)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	_, err := parseSpeed("speed: unknown algorithm")
	assert.ErrorContains(t, err, "no column sign/s")
}

func TestMiddle(t *testing.T) {
	assert.InDelta(t, 2.5, median([]float64{4, 1, 3, 2}), 0)
	assert.InDelta(t, 3, median([]float64{5, 1, 3}), 0)
	assert.Zero(t, median(nil))
	all := make([]time.Duration, 101)
	for i := range all {
		all[i] = time.Duration(100-i) * time.Microsecond
	}
	assert.InDelta(t, 99, percentile(all, 99), 0)
	assert.Zero(t, percentile(nil, 50))
}

// shots makes an overload of ten seconds that carried 100 a second.
func shots(answered, refused int, refusal error, took time.Duration) []shot {
	all := make([]shot, answered+refused)
	for i := range all {
		all[i] = shot{took: time.Millisecond}
		if i >= answered {
			all[i] = shot{took: took, err: refusal}
		}
	}
	return all
}

func TestJudge(t *testing.T) {
	full := &refusal{503, `{"type":"urn:countersign:problem:overloaded","outcome":"not_sent"}`}
	for name, c := range map[string]struct {
		shots []shot
		pass  bool
	}{
		"four fifths answered":                  {shots(800, 1200, full, 5*time.Millisecond), true},
		"fewer answered":                        {shots(790, 1210, full, 5*time.Millisecond), false},
		"slow refusals":                         {shots(900, 1100, full, 50*time.Millisecond), false},
		"a refusal that may have been sent":     {shots(900, 1100, &refusal{503, `{"type":"urn:countersign:problem:overloaded","outcome":"unknown"}`}, time.Millisecond), false},
		"another failure":                       {shots(1999, 1, errors.New("connection reset"), time.Millisecond), false},
		"all answered, the rest without answer": {shots(1000, 1000, context.DeadlineExceeded, 2*time.Second), true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.pass, judge(100, c.shots, 10*time.Second).Pass)
		})
	}
}

// The upstream is not a Caddy: driving it as a plain target tries the load
// generator, and what the upstream refuses.
func TestUpstreamUnderLoad(t *testing.T) {
	t.Chdir("../..")
	u, err := startUpstream()
	require.NoError(t, err)
	plainly := &target{name: "upstream", provider: providers[0], url: "http://" + u.address}
	took, err := plainly.drive(t.Context(), newClient(4), load{4, 1}, "", 20*time.Millisecond)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(took), 4)
	for _, s := range plainly.openLoop(t.Context(), load{4, 1}, 200, 50*time.Millisecond) {
		assert.NoError(t, s.err)
	}

	hongwen := &target{name: "upstream", provider: providers[4], url: "http://" + u.address}
	_, err = hongwen.drive(t.Context(), newClient(1), load{1, 1}, "&verify", 0)
	assert.ErrorContains(t, err, "sealed request", "what is not signed is refused where signatures are looked at")

	unverified := &target{name: "upstream", kind: peer, provider: providers[0], url: "http://" + u.address}
	_, err = unverified.drive(t.Context(), newClient(1), load{1, 1}, "", 0)
	assert.Error(t, err, "an answer that nobody verified does not count")
}

func TestCaddyfileFollowsTheContract(t *testing.T) {
	b := &bench{dir: "/run"}
	s := b.newSidecar("hongwen")
	s.path, s.port, s.audit = "/run/s", 1234, true
	text := s.caddyfile("127.0.0.1:99")
	for _, line := range []string{"admin unix///run/s.sock|0600", "persist_config off", "countersign hongwen 127.0.0.1:99 {", "keys hongwen/2014072300007148", "include http.countersign.audit"} {
		assert.Contains(t, text, line)
	}
	assert.NotContains(t, b.newPlain().caddyfile("127.0.0.1:99"), "countersign {")
}

func TestReport(t *testing.T) {
	r := report{Machine: "a machine", Notes: []string{"a note"}, Overload: &overload{Pass: true}}
	r.Rows = []row{{Name: "Caddy, reverse_proxy", CPU: 60, ToPlain: 1}, {Name: "sidecar, jeepay", CPU: 84, ToPlain: 1.4}}
	r.Speeds = []speed{{"SM2", 17, 40}, {"SM2, OpenSSL", 0, 0}}
	r.Series = []series{{Title: "Connections", Points: []point{{1, r.Rows}, {16, r.Rows}}}}
	var text strings.Builder
	require.NoError(t, r.print(&text))
	assert.Contains(t, text.String(), "MD5 and HMAC, CPU to the plain proxy: 1.40, at most 1.30 is wanted: missed")
	assert.Contains(t, text.String(), "a note")
	assert.Regexp(t, `SM2 +17 +40`, text.String())
	assert.Regexp(t, `SM2, OpenSSL +- +-`, text.String())
	picture := r.draw()
	assert.Equal(t, 2, strings.Count(picture, "<polyline"))
	assert.Contains(t, picture, "sidecar, jeepay")
	assert.NotContains(t, picture, "NaN")
}

// The configuration of nginx has no placeholder left, and finds its script from anywhere.
func TestConfigureNginx(t *testing.T) {
	here := &target{kind: peer, conf: "nginx/nginx.conf", port: 8080, path: t.TempDir() + "/nginx"}
	require.NoError(t, here.configure(&bench{upstream: "127.0.0.1:9090"}))
	text, err := os.ReadFile(here.path + ".conf")
	require.NoError(t, err)
	assert.NotRegexp(t, `\{[a-z]+\}`, string(text))
	assert.Contains(t, string(text), "listen 127.0.0.1:8080;")
	assert.Contains(t, string(text), "server 127.0.0.1:9090;")
	_, folder, _ := strings.Cut(string(text), "js_path ")
	folder, _, _ = strings.Cut(folder, ";")
	assert.FileExists(t, folder+"/hongwen.js")
}
