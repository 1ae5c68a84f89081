package main

import (
	"context"
	"fmt"
	"slices"
)

// The first part of -memory.
const (
	memoryRequests    = 100_000
	memoryStep        = 10_000
	memoryConnections = 16
)

// memoryReport tells whether memory is bounded.
type memoryReport struct {
	Flat     []memoryPoint `json:"over_requests"`
	LateOver float64       `json:"late_to_early"` // the last three points to those from 20 000 requests on
	Large    []largeReport `json:"large_bodies"`
}

// memoryPoint is the resident memory after so many requests.
type memoryPoint struct {
	Requests int     `json:"requests"`
	Resident float64 `json:"resident_mib"`
}

// measureMemory sends a hundred thousand requests to one Caddy, all schemes in
// turn, and then bodies that are as large as the limits allow.
func (b *bench) measureMemory(ctx context.Context) error {
	b.report.Memory = new(memoryReport)
	if err := b.measureFlat(ctx); err != nil {
		return err
	}
	return b.measureLarge(ctx)
}

func (b *bench) measureFlat(ctx context.Context) error {
	end := b.mark()
	defer end()
	s := b.serverOf(files)
	if err := b.startServer(ctx, s); err != nil {
		return err
	}
	client := newClient(memoryConnections)
	defer client.CloseIdleConnections()
	bodies := make([][]byte, len(s.targets))
	for i, t := range s.targets {
		bodies[i] = []byte(t.request(padOf(1)))
	}
	report := b.report.Memory
	for sent := 0; ; sent += memoryStep {
		m, err := memoryOf(s.pid)
		if err != nil {
			return err
		}
		report.Flat = append(report.Flat, memoryPoint{sent, mib(m.Resident)})
		progress("%d requests: %.1f MiB resident", sent, mib(m.Resident))
		if sent >= memoryRequests {
			break
		}
		more := func(n int) bool { return n < memoryStep }
		if _, err := closedLoop(memoryConnections, more, func(n int) error {
			t := s.targets[n%len(s.targets)]
			return t.post(ctx, client, t.address(1), bodies[n%len(s.targets)])
		}); err != nil {
			return fmt.Errorf("driving all schemes in turn: %w", err)
		}
	}
	report.LateOver = lateToEarly(report.Flat)
	return nil
}

// lateToEarly is the mean of the last three points to that of the third, fourth
// and fifth: the first requests warm up.
func lateToEarly(points []memoryPoint) float64 {
	if len(points) < 8 {
		return 0
	}
	mean := func(some []memoryPoint) (sum float64) {
		for _, p := range some {
			sum += p.Resident / float64(len(some))
		}
		return sum
	}
	return ratio(mean(points[len(points)-3:]), mean(points[2:5]))
}

func mib(kib int) float64 { return float64(kib) / 1024 }

// serverOf is the Caddy of an arrangement in the first flavour.
func (b *bench) serverOf(a arrangement) *server {
	i := slices.IndexFunc(b.servers, func(s *server) bool { return s.arrangement == a })
	return b.servers[i]
}

func (p *printer) memory(m *memoryReport) {
	p.title(fmt.Sprintf("Memory over requests: all schemes in turn, %d connections, 1 KiB", memoryConnections), "requests", "RSS MiB")
	for _, point := range m.Flat {
		p.line("%d\t%.1f\t", point.Requests, point.Resident)
	}
	p.explain(fmt.Sprintf("The last three to those of 20000 to 40000 requests: %.2f x.", m.LateOver))
	p.large(m.Large)
}
