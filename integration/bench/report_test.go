package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sampleReport has something of everything.
func sampleReport() *report {
	f := &flavour{name: "fast-rsa"}
	of := func(a arrangement, p provider) *target { return newTarget(&server{flavour: f, arrangement: a}, p, 1) }
	all := providers()
	rounds := []figures{
		{Requests: 1000, P50: 900, P99: 3000, CPU: 150, Allocs: 300, Resident: 60, Crypto: 3, ToPlain: 1.5, ToFloor: 1.4, P99Floor: 1.2},
		{Requests: 3000, P50: 1100, P99: 5000, CPU: 130, Allocs: 310, Resident: 62, Crypto: 2, ToPlain: 1.1, ToFloor: 1.2, P99Floor: 1.4},
		{Requests: 2000, P50: 1000, P99: 4000, CPU: 140, Allocs: 305, Resident: 61, Crypto: 2.5, ToPlain: 1.2, ToFloor: 1.3, P99Floor: 1.3},
	}
	r := &report{
		Rows: []row{
			newRow(of(plain, all[0]), load{16, 1}, rounds),
			newRow(of(audited, all[1]), load{16, 1}, rounds),
			newRow(of(files, all[5]), load{64, 256}, rounds),
			newRow(of(transit, all[5]), load{16, 1}, rounds),
			newRow(&target{name: "Vault itself"}, load{16, 1}, []figures{{Requests: 600, P50: 1, P99: 2}}),
		},
		Arithmetic: []signature{{"RSA-2048 sign", "openssl speed", 245, 1, []float64{245, 246}}, {"RSA-2048 sign", "go", 900, 0, []float64{900}}},
		Memory: &memoryReport{
			Flat: []memoryPoint{{0, 50}, {10000, 60}}, LateOver: 1.01,
			Large: []largeReport{{Target: "jeepay", InFlight: 4, Growth: 20, Bound: 20, ToBound: 1}},
		},
		Notes: []string{"Nothing is measured with keys in Vault: there is no room"},
	}
	c := overloadCase{MaxInFlight: 64, Capacity: 800, RecoveredSeconds: 0.5}
	c.Over = phaseReport{Offered: 1600, Answered: 700, Share: 0.56, RejectP50: 300, RejectP99: 900}
	c.Resident.Peak = 80
	r.Overload = []overloadCase{{}, c}
	return r
}

func TestEveryFigureHasItsUnit(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleReport().print(&out, options{}))
	text := out.String()
	for _, head := range []string{
		"req/s", "p50 µs", "p99 µs", "CPU µs/req", "allocs/req", "RSS MiB", "crypto µs/req", "CPU x plain", "CPU x floor", "p99 x floor",
		"µs/op", "x openssl", "p50 x Vault + plain", "growth MiB", "limits MiB", "growth x limits",
		"offered req/s", "overloaded %", "its p99 µs", "Caddy CPU %", "load CPU %", "RSS peak MiB", "p99 back after s",
	} {
		assert.Contains(t, text, head)
	}
	assert.Regexp(t, `hkrt\s+16\s+1\s+2000\s+1000\s+4000\s+140.0\s+305\s+61.0\s+2.5\s+1.20\s+1.30\s+1.30\s+met`, text, "medians")
	assert.Regexp(t, `hongwen\s+64\s+256\s.*-\n`, text, "there is no budget for other loads")
	assert.Contains(t, text, "Nothing is measured with keys in Vault: there is no room")

	// Every line of a table has as many cells as its head.
	heads := regexp.MustCompile(`\s{2,}`)
	for block := range strings.SplitSeq(text, "\n\n") {
		lines := strings.Split(strings.Trim(block, "\n"), "\n")
		if !strings.HasPrefix(lines[0], "  ") {
			continue
		}
		want := len(heads.Split(strings.TrimSpace(lines[0]), -1))
		for _, line := range lines[1:] {
			assert.Len(t, heads.Split(strings.TrimSpace(line), -1), want, "%s\n%s", lines[0], line)
		}
	}
}

func TestBenchstatHasALineForEachRound(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleReport().print(&out, options{benchstat: true}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	form := regexp.MustCompile(`^Benchmark[A-Z][^\s]* 1( [0-9.]+ [^\s0-9][^\s]*)+$`)
	for _, line := range lines {
		assert.Regexp(t, form, line)
	}
	count := func(part string) (n int) {
		for _, line := range lines {
			if strings.Contains(line, part) {
				n++
			}
		}
		return n
	}
	assert.Equal(t, 3, count("BenchmarkExchange/flavour=fast-rsa/keys=file-keys-audit-entry-to-a-file/target=hkrt/conn=16/kib=1 "))
	assert.Contains(t, lines[0], " 1 900000.0000 p50-ns 3000000.0000 p99-ns 1000.0000 req/s 150000.0000 cpu-ns/op 300.0000 allocs/op "+
		"62914560.0000 resident-B 1.5000 x-plain 1.4000 x-floor 1.2000 p99-x-floor")
	assert.Equal(t, 1, count("target=Vault-itself/conn=16/kib=1 1 1000.0000 p50-ns 2000.0000 p99-ns 600.0000 req/s"))
	assert.Equal(t, 2, count("BenchmarkArithmetic/operation=RSA-2048-sign/by=openssl-speed "))
	assert.Equal(t, 1, count("BenchmarkMemoryLarge/target=jeepay/inflight=4 1 20971520.0000 growth-B"))
	assert.Equal(t, 1, count("BenchmarkOverload/max_in_flight=64 1 700.0000 req/s 56.0000 overloaded-%"))
}

func TestJSONHoldsAll(t *testing.T) {
	var out bytes.Buffer
	want := sampleReport()
	require.NoError(t, want.print(&out, options{json: true}))
	var got report
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.Equal(t, want, &got)
	for _, member := range []string{`"cpu_us_per_request": 140`, `"cpu_to_floor": 1.3`, `"rounds": [`, `"recovered_seconds": 0.5`, `"growth_to_bound": 1`} {
		assert.Contains(t, out.String(), member)
	}
}
