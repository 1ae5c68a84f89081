package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// phase is a part of an open loop: requests are sent at their times, whether
// those before have been answered or not.
type phase struct {
	rate float64 // requests a second
	span time.Duration
}

// shot is one request of an open loop.
type shot struct {
	phase   int
	due     time.Duration // since the start of its phase
	latency time.Duration // since it was due, so that a late start counts
	kind    kind
}

// kind is what became of a request.
type kind int

const (
	answered   kind = iota // verified
	overloaded             // refused: 503 overloaded, not_sent
	gaveUp                 // the client would not wait longer
	unsent                 // the load generator itself had too many waiting
	failed                 // anything else
)

// The bounds of the open loop: how long a client waits, and how many wait at
// once.
const (
	patience   = 2 * time.Second
	maxWaiting = 8000
)

// openLoop runs phases one after another and returns what became of each
// request. It calls edge when a phase begins, with its number, and when the last
// one ends.
func openLoop(ctx context.Context, phases []phase, edge func(int), post func(context.Context) error) []shot {
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		shots   []shot
		waiting = make(chan struct{}, maxWaiting)
	)
	record := func(s shot) {
		mu.Lock()
		defer mu.Unlock()
		shots = append(shots, s)
	}
	start := time.Now()
	for i, p := range phases {
		time.Sleep(time.Until(start))
		edge(i)
		for n := range int(p.rate * p.span.Seconds()) {
			due := time.Duration(float64(n) / p.rate * float64(time.Second))
			if ahead := time.Until(start.Add(due)); ahead > 0 {
				time.Sleep(ahead)
			}
			if ctx.Err() != nil {
				break
			}
			select {
			case waiting <- struct{}{}:
			default:
				record(shot{phase: i, due: due, kind: unsent})
				continue
			}
			began := start.Add(due)
			group.Go(func() {
				ctx, cancel := context.WithDeadline(ctx, began.Add(patience))
				err := post(ctx)
				cancel()
				<-waiting
				record(shot{phase: i, due: due, latency: time.Since(began), kind: kindOf(err)})
			})
		}
		start = start.Add(p.span)
	}
	time.Sleep(time.Until(start))
	edge(len(phases))
	group.Wait()
	return shots
}

// kindOf tells what an error of post means. A refusal that does not say that
// nothing was sent is a failure.
func kindOf(err error) kind {
	if err == nil {
		return answered
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return gaveUp
	}
	f, ok := errors.AsType[*failure](err)
	if ok && f.status == http.StatusServiceUnavailable && f.outcome == "not_sent" && strings.Contains(f.text, `"code":"overloaded"`) {
		return overloaded
	}
	return failed
}

// phaseReport is what became of the requests of a phase.
type phaseReport struct {
	Offered   float64 `json:"offered_per_second"`
	Answered  float64 `json:"answered_per_second"`
	P50       float64 `json:"p50_us"` // of what was answered
	P99       float64 `json:"p99_us"`
	Share     float64 `json:"overloaded_share"`
	RejectP50 float64 `json:"overloaded_p50_us"`
	RejectP99 float64 `json:"overloaded_p99_us"`
	GaveUp    float64 `json:"gave_up_share"`   // clients that did not get an answer within their patience
	CaddyCPU  float64 `json:"caddy_cpu_share"` // of one core
	LoadCPU   float64 `json:"load_cpu_share"`  // of one core, by the load generator
	Unsent    int     `json:"unsent"`
	Failed    int     `json:"failed"` // anything else; none is wanted
}

func newPhaseReport(shots []shot, i int, span time.Duration) phaseReport {
	latencies := make(map[kind][]time.Duration)
	total := 0
	for _, s := range shots {
		if s.phase == i {
			total++
			latencies[s.kind] = append(latencies[s.kind], s.latency)
		}
	}
	for _, some := range latencies {
		slices.Sort(some)
	}
	share := func(k kind) float64 { return ratio(float64(len(latencies[k])), float64(total)) }
	return phaseReport{
		Offered:   float64(total) / span.Seconds(),
		Answered:  float64(len(latencies[answered])) / span.Seconds(),
		P50:       us(percentile(latencies[answered], 50)),
		P99:       us(percentile(latencies[answered], 99)),
		Share:     share(overloaded),
		RejectP50: us(percentile(latencies[overloaded], 50)),
		RejectP99: us(percentile(latencies[overloaded], 99)),
		GaveUp:    share(gaveUp),
		Unsent:    len(latencies[unsent]),
		Failed:    len(latencies[failed]),
	}
}
