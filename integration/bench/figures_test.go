package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMiddle(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, 1, 1, 1, 1000}, 1},
	} {
		assert.InDelta(t, tc.want, middle(tc.values), 1e-9, "%v", tc.values)
	}
	values := []float64{3, 1, 2}
	middle(values)
	assert.Equal(t, []float64{3, 1, 2}, values, "what was measured stays in its order")
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tc := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 99, 0},
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{[]time.Duration{1, 2, 3}, 99, 3},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		assert.Equal(t, tc.want, percentile(tc.sorted, tc.p), "p%d of %d", tc.p, len(tc.sorted))
	}
}

func TestRatio(t *testing.T) {
	assert.InDelta(t, 1.25, ratio(125, 100), 1e-9)
	assert.Zero(t, ratio(1, 0), "where there is nothing to compare with")
}

// The ratio of a round is taken within the round: a machine that was slow in one
// of them slows both.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	f := &flavour{name: "go"}
	plainServer := &server{flavour: f, arrangement: plain}
	base := &target{server: plainServer, name: "reverse_proxy"}
	plainServer.targets = []*target{base}
	sidecar := &target{server: &server{flavour: f, arrangement: files}, provider: provider{operation: "md5"}}
	b := &bench{servers: []*server{plainServer, sidecar.server}}

	var rounds []figures
	for _, slow := range []int{1, 10, 1, 1, 3} {
		millis := func(n int) time.Duration { return time.Duration(n*slow) * time.Millisecond }
		samples := map[*target]sample{
			base:    {requests: 1000, elapsed: time.Second, cpu: millis(100), p99: millis(1)},
			sidecar: {requests: 500, elapsed: time.Second, cpu: millis(60), p99: millis(2)},
		}
		bare := bareRound{flavours: map[*flavour]floorTimes{f: {"md5": 20 * float64(slow)}}}
		rounds = append(rounds, b.figures(sidecar, samples, bare, load{16, 1}))
	}
	r := newRow(sidecar, load{16, 1}, rounds)
	assert.InDelta(t, 1.2, r.ToPlain, 1e-9, "120 µs to 100 µs")
	assert.InDelta(t, 1.0, r.ToFloor, 1e-9, "120 µs to 100 µs and 20 µs")
	assert.InDelta(t, 2000.0/(1000+16*20), r.P99Floor, 1e-9, "the cryptography of all connections is on one core")
	assert.InDelta(t, 120, r.CPU, 1e-9)
	assert.InDelta(t, 500, r.Requests, 1e-9)
	assert.Equal(t, "missed", r.Budget, "the p99 is not within its budget")
	assert.Len(t, r.Rounds, 5)
}

func TestBudget(t *testing.T) {
	for _, tc := range []struct {
		arrangement arrangement
		rsa         bool
		figures     figures
		met         bool
	}{
		{files, false, figures{ToPlain: 1.25, ToFloor: 9, P99Floor: 1.5}, true},
		{files, false, figures{ToPlain: 1.26, P99Floor: 1}, false},
		{files, false, figures{ToPlain: 1, P99Floor: 1.6}, false},
		{kv, false, figures{ToPlain: 1.3, P99Floor: 1}, false},
		{audited, false, figures{ToPlain: 1.30, P99Floor: 1}, true},
		{audited, false, figures{ToPlain: 1.31, P99Floor: 1}, false},
		{files, true, figures{ToPlain: 9, ToFloor: 1.15, P99Floor: 1}, true},
		{files, true, figures{ToFloor: 1.16, P99Floor: 1}, false},
	} {
		target := &target{provider: provider{rsa: tc.rsa}, server: &server{arrangement: tc.arrangement}}
		wanted, verdict := budget(target, tc.figures)
		assert.NotEmpty(t, wanted)
		assert.Equal(t, tc.met, verdict == "met", "%+v", tc)
	}
	for _, a := range []arrangement{plain, transit} {
		wanted, verdict := budget(&target{server: &server{arrangement: a}}, figures{})
		assert.Empty(t, wanted+verdict, "there is no budget for %s", a)
	}
}

func TestLateToEarly(t *testing.T) {
	points := make([]memoryPoint, 11)
	for i := range points {
		points[i] = memoryPoint{i * memoryStep, 60}
	}
	points[0].Resident, points[1].Resident = 40, 50
	assert.InDelta(t, 1, lateToEarly(points), 1e-9, "the beginning does not count")
	for i := range points {
		points[i].Resident = 60 + 6*float64(i)
	}
	assert.InDelta(t, 114.0/78, lateToEarly(points), 1e-9, "it grows")
}

// The bare operations are the harmonic mean over the slices, by the faster of the
// binaries.
func TestFloors(t *testing.T) {
	usual, fast := &flavour{bare: []string{"built", "this"}}, &flavour{bare: []string{"fast"}}
	f := new(floors)
	f.begin()
	f.slices = 2
	for _, micros := range []float64{100, 300} {
		f.add("built", floorTimes{"sign1024": micros, "md5": 1})
		f.add("this", floorTimes{"sign1024": micros / 2, "md5": 2})
		f.add("fast", floorTimes{"sign1024": micros / 4, "md5": 3})
	}
	assert.Equal(t, floorTimes{"sign1024": 75, "md5": 1}, f.of(usual))
	assert.Equal(t, floorTimes{"sign1024": 37.5, "md5": 3}, f.of(fast))
}
